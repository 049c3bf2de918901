"""Keys that a KMS plugin guards: EncryptionConfiguration's provider `kms` in version 2 (KEP-3299).

A seed of our own is encrypted by the plugin once, and again when the plugin's key has changed; from it the
key of each value is derived. Reading needs the plugin once for each seed that some server has written with.
"""

import asyncio
import hmac
import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pilothouse.gotext import short
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.metrics.instruments import digest
from pilothouse.process.frozen import frozen
from pilothouse.storage.encryption.backend import Remote, seal, unseal
from pilothouse.storage.encryption.errors import EncryptionError
from pilothouse.storage.encryption.kms import wire as kms_wire
from pilothouse.storage.encryption.kms.intervals import DEFAULT_INTERVALS, KMSIntervals
from pilothouse.storage.encryption.kms.known import KnownKeys
from pilothouse.storage.encryption.kms.metrics import EnvelopeMetrics
from pilothouse.storage.encryption.kms.wire import KMSError
from pilothouse.storage.encryption.metrics import FROM_STORAGE, TO_STORAGE

if TYPE_CHECKING:
    from pilothouse.storage.encryption.kms.rpc import KMSPlugin

log = Logger(__name__)

VERSIONS = ("v2", "v2beta1")

PAUSE = 5.0
"""Times as long as a plugin let a call wait in vain,
nothing is asked of it, lest everybody waits for it all the time."""

CALLS = 16
"""The most keys that are decrypted at the same time."""

SEED_SIZE = INFO_SIZE = 32
LONGEST_SEED = 1024
"""Bytes of a seed that a plugin gives back.
Upstream has no such limit; all servers make seeds of SEED_SIZE."""


@frozen
class KMSSettings:
    """The settings of one plugin: `name` is part of every stored value; `timeout` is in seconds, for one
    call."""

    name: str
    endpoint: str
    timeout: float


class Seed:
    """AES-GCM with a key for each value, derived from the seed and 32 random bytes that stand before the data
    (HKDF-Expand of RFC 5869 with SHA-256, of which one block is taken)."""

    def __init__(self, seed: bytes, key_id: str) -> None:
        if not SEED_SIZE <= len(seed) <= LONGEST_SEED:
            raise ValueError(f"invalid seed length {len(seed)} used for key generation")
        self.key_id = key_id
        self._seed = seed

    def _cipher(self, info: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self._seed, info + b"\x01", "sha256"))

    def seal(self, data: bytes, context: bytes) -> bytes:
        info = os.urandom(INFO_SIZE)
        return info + seal(self._cipher(info), data, context)

    def unseal(self, data: bytes, context: bytes) -> bytes:
        if len(data) < INFO_SIZE:
            raise ValueError("the stored data was shorter than the required size")
        return unseal(self._cipher(data[:INFO_SIZE]), data[INFO_SIZE:], context)


class AESGCMKey:
    """AES-GCM with one key: what kube-apiserver wrote up to v1.28. Read only."""

    def __init__(self, key: bytes, key_id: str) -> None:
        if len(key) not in (16, 24, 32):
            raise ValueError(f"crypto/aes: invalid key size {len(key)}")
        self.key_id = key_id
        self._cipher = AESGCM(key)

    def unseal(self, data: bytes, context: bytes) -> bytes:
        return unseal(self._cipher, data, context)


@frozen
class _Writing:
    """The seed that encrypts writes, and its encoded source, which tells readers how to get it."""

    seed: Seed
    key_id: str
    source: bytes


class KMS(Remote, BackgroundTask):
    """The provider of one plugin. Known keys are kept, thousands of them,
    so values under them can be read without the plugin.

    `clock` gives the Unix time, by which seeds expire;
    `monotonic` what attempts and pauses are measured with.
    """

    def __init__(
        self,
        settings: KMSSettings,
        metrics: EnvelopeMetrics | None = None,
        intervals: KMSIntervals = DEFAULT_INTERVALS,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.prefix = b"k8s:enc:kms:v2:" + settings.name.encode() + b":"
        self.timeout = settings.timeout
        self.problem = "the plugin was not asked yet"
        self._metrics = metrics or EnvelopeMetrics()
        self._intervals = intervals
        self._clock = clock
        self._monotonic = monotonic
        self._plugin: KMSPlugin
        self._opened = False
        self._version = ""
        self._writing: _Writing | None = None
        self._until = 0.0
        self._keys: KnownKeys[Seed | AESGCMKey] = KnownKeys(
            lambda count: self._metrics.sources.set(count, settings.name)
        )
        self._asked: dict[bytes, asyncio.Task[None]] = {}
        self._failed: dict[bytes, tuple[float, str]] = {}
        self._paused = 0.0
        self._calls = asyncio.Semaphore(CALLS)

    # The provider

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        writing = self._writing
        if writing is None:
            raise EncryptionError("got unexpected nil transformer")
        now = self._clock()
        if now > self._until:
            raise EncryptionError(
                f'encryptedDEKSource with keyID hash "{digest(writing.key_id)}" expired at '
                f"{_rfc3339(self._until)} (current time is {_rfc3339(now)})"
            )
        self._metrics.used(TO_STORAGE, self.settings.name, writing.seed.key_id)
        return kms_wire.join(writing.seed.seal(data, context), writing.source)

    def decrypt(self, data: bytes, context: bytes) -> bytes:
        encrypted, source = kms_wire.split(data)
        key = self._keys.get(source)
        if key is None:
            _, why = self._failed.get(source, (0, "the plugin was not asked"))
            raise ValueError(f"failed to decrypt DEK, error: {why}")
        self._metrics.used(FROM_STORAGE, self.settings.name, key.key_id)
        return key.unseal(encrypted, context)

    def stale(self, data: bytes) -> bool:
        writing = self._writing
        if writing is None:
            return False
        try:
            source = kms_wire.split(data)[1]
            if source == writing.source:
                return False
            found = kms_wire.source(source)
        except ValueError:
            return False
        return found.key_id != writing.key_id or found.kind != kms_wire.SEED

    # Keys that are needed to read

    def unknown(self, data: bytes) -> bytes | None:
        try:
            source = kms_wire.split(data)[1]
        except ValueError:
            return None
        if source in self._keys:
            return None
        now = self._monotonic()
        again, _ = self._failed.get(source, (0.0, ""))
        return source if now > again and now > self._paused else None

    async def fetch(self, source: bytes) -> None:
        task = self._asked.get(source)
        if task is None:
            task = self._asked[source] = asyncio.get_running_loop().create_task(self._ask(source))
        await asyncio.wait([task])

    async def _ask(self, source: bytes) -> None:
        start = self._monotonic()
        try:
            self._keys.add(source, await self._decrypt(source))
            self._failed.pop(source, None)
        except (KMSError, ValueError) as error:
            now = self._monotonic()
            self._failed[source] = (now + self._intervals.retry, str(error))
            if now - start >= self.timeout:
                self._paused = now + PAUSE * (now - start)
        finally:
            del self._asked[source]

    async def _decrypt(self, encoded: bytes) -> Seed | AESGCMKey:
        source = kms_wire.source(encoded)
        async with self._calls:
            self._metrics.misses.inc()
            key = await self._plugin.decrypt(source)
        return (Seed if source.kind == kms_wire.SEED else AESGCMKey)(key, digest(source.key_id))

    # The plugin's state

    async def open(self, within: float = 0.0) -> None:
        from pilothouse.storage.encryption.kms import rpc as kms_rpc

        settings = self.settings
        self._plugin = kms_rpc.KMSPlugin(
            settings.endpoint,
            settings.timeout,
            lambda method, code, seconds: self._metrics.calls.observe(seconds, code, method, settings.name),
        )
        self._plugin.open()
        self._opened = True
        end = self._monotonic() + within
        await self._look()
        while self.problem and self._monotonic() < end:
            await asyncio.sleep(self._intervals.opening_poll)
            await self._look()
        self.start()

    async def close(self) -> None:
        if not self._opened:
            return
        await BackgroundTask.close(self)
        await self._plugin.close()
        if self._asked:
            await asyncio.wait(list(self._asked.values()))

    async def _run(self) -> None:
        while True:
            pause = self._intervals.failing_poll if self.problem else self._intervals.healthy_poll
            await asyncio.sleep(pause)
            try:
                await self._look()
            except Exception:  # if this task ended, writes would fail after write_ttl
                log.exception("The status of a KMS plugin was not read", provider=self.settings.name)

    async def _look(self) -> None:
        """Read the plugin's status, and make a new seed when its key has changed."""
        name = self.settings.name
        before = self.problem
        try:
            status = await self._plugin.status()
        except KMSError as error:
            self.problem = (
                "failed to perform status section of the healthz check for "
                f"KMS Provider {name}, error: {error}"
            )
        else:
            problems = await self._problems(status)
            text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            self.problem = f"kmsv2 Provider {name} is not healthy, error: {text}" if problems else ""
        if self.problem and self.problem != before:
            log.error("A KMS plugin is not healthy", provider=name, err=self.problem)
        elif before and not self.problem:
            log.info("A KMS plugin is healthy again", provider=name)

    async def _problems(self, status: kms_wire.Status) -> list[str]:
        out = []
        if status.healthz != "ok":
            out.append(f"got unexpected healthz status: {short(status.healthz)}")
        if status.version not in VERSIONS:
            out.append(f"expected KMSv2 API version {VERSIONS[0]}, got {short(status.version)}")
        else:
            self._version = self._version or status.version
            if status.version != self._version:
                out.append(
                    "KMSv2 API version should not change after the initial status response version "
                    f"{self._version}, got {status.version}"
                )
        if why := kms_wire.key_id_problem(status.key_id):
            self._metrics.invalid_key_ids.inc("too_long" if status.key_id else "empty", self.settings.name)
            out.append(f'got invalid KMSv2 KeyID hash "{digest(status.key_id)}": {why}')
        else:
            self._metrics.named(self.settings.name, digest(status.key_id))
            if why := await self._rotate(status.key_id):
                out.append(why)
        return out

    async def _rotate(self, key_id: str) -> str:
        """Go on writing with the seed of this key ID, or make one; the answer is what went wrong.

        The seed before stays in use until then, but for no longer than write_ttl.
        """
        until = self._clock() + self._intervals.write_ttl
        before = self._writing
        if before is not None and before.key_id == key_id:
            self._until = until
            return ""
        try:
            began = time.perf_counter()
            secret, uid = os.urandom(SEED_SIZE), str(uuid.uuid4())
            self._metrics.key_seconds.observe(time.perf_counter() - began)
        except (OSError, NotImplementedError):  # the system has no random bytes
            self._metrics.key_failures.inc()
            raise
        found, why = "", "<nil>"
        try:
            source = await self._plugin.encrypt(secret, uid, kms_wire.SEED)
            found = source.key_id
            source.check()
        except KMSError as error:
            why = f"failed to encrypt DEK, error: {error}"
        except ValueError as error:
            why = str(error)
        else:
            if found == key_id:
                seed, encoded = Seed(secret, digest(key_id)), source.encode()
                self._keys.add(encoded, seed)
                self._writing, self._until = _Writing(seed, key_id, encoded), until
                log.info("A KMS plugin has a new key", provider=self.settings.name)
                return ""
        return (
            f'failed to rotate DEK uid="{uid}", errGen={why}, statusKeyIDHash="{digest(key_id)}", '
            f'encryptKeyIDHash="{digest(found)}", '
            f'stateKeyIDHash="{digest(before.key_id) if before else ""}", '
            f"expirationTimestamp={_rfc3339(self._until)}"
        )


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
