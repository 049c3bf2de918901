"""Encryption at rest: values as kube-apiserver writes them, in the form `k8s:enc:aesgcm:v1:KEY:...`
(apiserver storage/value/encrypt). Reads are told apart by that prefix, writes use the first provider.
"""

import asyncio
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pilothouse.logs import Logger
from pilothouse.storage.encryption.errors import DecryptionError
from pilothouse.storage.encryption.metrics import FROM_STORAGE, TO_STORAGE, EncryptionMetrics
from pilothouse.storage.interface import (
    Behind,
    KeyValue,
    Op,
    Page,
    Storage,
    StorageError,
    StorageEvent,
    Subscription,
    Unavailable,
)
from pilothouse.storage.keys import PREFIX

log = Logger(__name__)

ENCRYPTED = b"k8s:enc:"
NONCE = 12

SETTLE_SECONDS = 3.0
"""Seconds that a read waits for events whose keys are being fetched."""

READY_SECONDS = 10.0
"""The least time for the providers of a new configuration to become usable;
longer when their time-outs are long."""


class EncryptionProvider(ABC):
    """A way to encrypt values. Values begin with the `prefix` of the provider that wrote them."""

    prefix: bytes

    @abstractmethod
    def encrypt(self, data: bytes, context: bytes) -> bytes:
        """`context` is the key under which the value is stored, so that values can not be exchanged."""

    @abstractmethod
    def decrypt(self, data: bytes, context: bytes) -> bytes:
        """Decrypt a value. Raises ValueError for a value that another provider wrote."""

    def stale(self, data: bytes) -> bool:
        """Whether this provider would write the value with another key now."""
        return False


class Remote(EncryptionProvider):
    """A provider whose keys come from a plugin: a value can be decrypted once its key was fetched.

    encrypt() raises EncryptionError while there is no key to write with.
    """

    timeout: float
    """Seconds, for one call."""

    problem: str
    """Why the provider is not healthy, "" when it is."""

    @abstractmethod
    async def open(self, within: float = 0.0) -> None:
        """Try for this many seconds, at least once, to become usable;
        later attempts run in the background."""

    @abstractmethod
    async def close(self) -> None:
        """Stop; pending calls fail."""

    @abstractmethod
    def unknown(self, data: bytes) -> bytes | None:
        """The key that must be fetched before a value can be decrypted; None when no key is missing."""

    @abstractmethod
    async def fetch(self, source: bytes) -> None:
        """Fetch one key. Callers that want the same key share one request. A failure shows in decrypt()."""


class PlainText(EncryptionProvider):
    """A provider that does not encrypt."""

    prefix = b""

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        return data

    def decrypt(self, data: bytes, context: bytes) -> bytes:
        if data.startswith(ENCRYPTED):
            raise ValueError("identity transformer tried to read encrypted data")
        return data


def seal(cipher: AESGCM, data: bytes, context: bytes) -> bytes:
    """Encrypt with a random nonce, which precedes the ciphertext."""
    nonce = os.urandom(NONCE)
    return nonce + cipher.encrypt(nonce, data, context)


def unseal(cipher: AESGCM, data: bytes, context: bytes) -> bytes:
    """Decrypt what `seal` wrote. Raises ValueError, in Go's words, for anything else."""
    if len(data) < NONCE:
        raise ValueError("the stored data was shorter than the required size")
    try:
        return cipher.decrypt(data[:NONCE], data[NONCE:], context)
    except InvalidTag:
        raise ValueError("cipher: message authentication failed") from None


class AesGcm(EncryptionProvider):
    """AES in Galois counter mode with a random nonce; a key should be replaced after 200,000 writes."""

    def __init__(self, name: str, key: bytes) -> None:
        self.prefix = b"k8s:enc:aesgcm:v1:" + name.encode() + b":"
        self._cipher = AESGCM(key)

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        return seal(self._cipher, data, context)

    def decrypt(self, data: bytes, context: bytes) -> bytes:
        return unseal(self._cipher, data, context)


class AesCbc(EncryptionProvider):
    """AES in cipher block chaining mode, padded as PKCS #7 says."""

    BLOCK = 16

    def __init__(self, name: str, key: bytes) -> None:
        self.prefix = b"k8s:enc:aescbc:v1:" + name.encode() + b":"
        self._key = algorithms.AES(key)

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        start = os.urandom(self.BLOCK)
        size = self.BLOCK - len(data) % self.BLOCK
        encryptor = Cipher(self._key, modes.CBC(start)).encryptor()
        return start + encryptor.update(data + bytes((size,)) * size) + encryptor.finalize()

    def decrypt(self, data: bytes, context: bytes) -> bytes:
        if len(data) < 2 * self.BLOCK or len(data) % self.BLOCK:
            raise ValueError("the stored data is not a multiple of the block size")
        decryptor = Cipher(self._key, modes.CBC(data[: self.BLOCK])).decryptor()
        padded = decryptor.update(data[self.BLOCK :]) + decryptor.finalize()
        size = padded[-1]
        if not 0 < size <= self.BLOCK or padded[-size:] != bytes((size,)) * size:
            raise ValueError("invalid padding on input")
        return padded[:-size]


class SecretBox(EncryptionProvider):
    """XSalsa20 and Poly1305, from the package pynacl."""

    def __init__(self, name: str, key: bytes) -> None:
        from nacl.secret import SecretBox as Box

        self.prefix = b"k8s:enc:secretbox:v1:" + name.encode() + b":"
        self._box = Box(key)

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        return bytes(self._box.encrypt(data))

    def decrypt(self, data: bytes, context: bytes) -> bytes:
        from nacl.exceptions import CryptoError

        try:
            return bytes(self._box.decrypt(data))
        except CryptoError:
            raise ValueError("output array of incorrect size or message authentication failed") from None


Rule = tuple[tuple[str, ...], Sequence[EncryptionProvider]]
"""Resources (`secrets`, `deployments.apps`, `*.apps`, `*.`, `*.*`) and their providers; first fit counts."""

PLAIN: Sequence[EncryptionProvider] = (PlainText(),)


class Encryption:
    """The providers of every resource. `resource_of` tells from a key which resource is stored there.

    The providers of new rules have `ready` seconds to become usable, at least.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        resource_of: Callable[[str], str],
        prefix: str = PREFIX,
        *,
        ready: float = READY_SECONDS,
        metrics: EncryptionMetrics | None = None,
    ) -> None:
        self._metrics = metrics or EncryptionMetrics()
        self._ready = ready
        self._resource_of = resource_of
        self._prefix = prefix
        self.use(rules)

    def use(self, rules: Sequence[Rule]) -> None:
        """Replace the rules by others, whose providers are open."""
        self._rules = rules
        self._known: dict[str, Sequence[EncryptionProvider]] = {}
        self.remotes = _remotes(rules)

    async def open(self) -> None:
        """Open the remote providers; one that is not usable yet may become so later."""
        await asyncio.gather(*(remote.open() for remote in self.remotes))

    async def close(self) -> None:
        """Close the remote providers."""
        await asyncio.gather(*(remote.close() for remote in self.remotes))

    async def replace(self, rules: Sequence[Rule]) -> None:
        """Replace the rules once the new providers are usable.
        Raises Unavailable, and keeps the rules, when they are not."""
        wanted = _remotes(rules)
        within = max(self._ready, 2 * sum(remote.timeout for remote in wanted))
        new = [remote for remote in wanted if remote not in self.remotes]
        try:
            await asyncio.gather(*(remote.open(within) for remote in new))
        except BaseException:
            await asyncio.gather(*(remote.close() for remote in new))
            raise
        problems = [remote.problem for remote in new if remote.problem]
        if not problems:
            unused = [remote for remote in self.remotes if remote not in wanted]
            self.use(rules)
        await asyncio.gather(*(remote.close() for remote in (new if problems else unused)))
        if problems:
            raise Unavailable("; ".join(problems))

    def encrypt(self, key: str, value: bytes) -> bytes:
        """Encrypt a value for its key."""
        provider = self._providers(key)[0]
        if not provider.prefix:
            return value
        began, failed = perf_counter(), True
        try:
            encrypted = provider.prefix + provider.encrypt(value, self._context(key))
            failed = False
        finally:
            self._count(TO_STORAGE, key, provider, began, failed)
        return encrypted

    def _count(self, way: str, key: str, provider: EncryptionProvider, began: float, failed: bool) -> None:
        resource, prefix = self._resource_of(key), provider.prefix.decode(errors="replace")
        self._metrics.transformed(way, resource, prefix, perf_counter() - began, failed)

    def decrypt(self, key: str, data: bytes) -> bytes:
        """Decrypt a stored value. Raises DecryptionError when no provider can read it."""
        problems: list[str] = []
        providers = self._providers(key)
        for provider in providers:
            if not data.startswith(provider.prefix):
                continue
            began, failed = perf_counter(), True
            try:
                value = provider.decrypt(data[len(provider.prefix) :], self._context(key))
                failed = False
                return value
            except ValueError as error:
                if provider.prefix or providers is PLAIN:
                    problems.append(str(error))
            finally:
                if provider.prefix:
                    self._count(FROM_STORAGE, key, provider, began, failed)
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise DecryptionError(text if problems else "no matching prefix found")

    def stale(self, key: str, data: bytes) -> bool:
        """Whether the value would be stored in another way now."""
        provider = self._providers(key)[0]
        if not data.startswith(provider.prefix):
            return True
        return provider.stale(data[len(provider.prefix) :]) if provider.prefix else data.startswith(ENCRYPTED)

    def unknown(self, items: Iterable[KeyValue]) -> dict[bytes, Remote]:
        """The keys that must be fetched before these values can be decrypted, each with who has it."""
        found: dict[bytes, Remote] = {}
        for remote in self.remotes:
            prefix, size = remote.prefix, len(remote.prefix)
            for kv in items:
                if kv.value.startswith(prefix):
                    source = remote.unknown(kv.value[size:])
                    if source is not None:
                        found[source] = remote
        return found

    async def prepare(self, items: Sequence[KeyValue]) -> None:
        """Fetch the keys of these values, each once. Failures show in decrypt()."""
        if self.remotes and (unknown := self.unknown(items)):
            await asyncio.gather(*(remote.fetch(source) for source, remote in unknown.items()))

    def check(self) -> None:
        """Raise RuntimeError when a provider is not healthy: the health check `kms-providers`."""
        problems = [
            f"kms-provider-{at}: {remote.problem}" for at, remote in enumerate(self.remotes) if remote.problem
        ]
        if problems:
            raise RuntimeError(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")

    def _providers(self, key: str) -> Sequence[EncryptionProvider]:
        resource = self._resource_of(key)
        found = self._known.get(resource)
        if found is None:
            found = next((providers for names, providers in self._rules if _fits(resource, names)), PLAIN)
            self._known[resource] = found
        return found

    def _context(self, key: str) -> bytes:
        return (self._prefix + key.removeprefix(PREFIX)).encode()


def _remotes(rules: Sequence[Rule]) -> list[Remote]:
    """The remote providers, each once, in the order of the configuration."""
    found = {
        provider: None for _, providers in rules for provider in providers if isinstance(provider, Remote)
    }
    return list(found)


def _fits(resource: str, names: Sequence[str]) -> bool:
    plural, _, group = resource.partition(".")
    wanted = {resource, f"{plural}.{group}", f"*.{group}", "*.*"}
    return bool(resource) and not wanted.isdisjoint(names)


class EncryptedStorage:
    """A store that keeps values encrypted. What is written is given back as it came.

    get, range and watch give what is stored, once the keys that it needs were fetched: the reader decrypts
    each value by itself, so that one that is damaged does not hide the others.
    """

    def __init__(self, inner: Storage, encryption: Encryption) -> None:
        self.inner = inner
        self.encryption = encryption
        self._gates: set[_Gate] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def start(self) -> None:
        await self.inner.start()
        await self.encryption.open()

    async def close(self) -> None:
        try:
            await self.inner.close()
        finally:
            await self.encryption.close()

    async def current_revision(self) -> int:
        revision = await self.inner.current_revision()
        if not await self._settle():
            raise Behind("the keys of what was written elsewhere can not be had in time")
        return revision

    async def get(self, key: str, revision: int = 0) -> KeyValue | None:
        kv = await self.inner.get(key, revision)
        if kv is not None:
            await self.encryption.prepare((kv,))
        return kv

    async def range(
        self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, counted: bool = True
    ) -> Page:
        page = await self.inner.range(prefix, start=start, limit=limit, revision=revision, counted=counted)
        await self.encryption.prepare(page.items)
        return page

    async def create(self, key: str, value: bytes, ttl: int = 0, author: bytes = b"") -> KeyValue:
        kv = await self.inner.create(key, self.encryption.encrypt(key, value), ttl, author)
        await self._settle()
        return _with(kv, value)

    async def update(
        self, key: str, value: bytes, expect: int, ttl: int = 0, author: bytes = b""
    ) -> KeyValue:
        kv = await self.inner.update(key, self.encryption.encrypt(key, value), expect, ttl, author)
        await self._settle()
        return _with(kv, value)

    async def delete(self, key: str, expect: int, last: bytes | None = None, author: bytes = b"") -> KeyValue:
        sealed = None if last is None else self.encryption.encrypt(key, last)
        kv = await self.inner.delete(key, expect, sealed, author)
        await self._settle()
        await self.encryption.prepare((kv,))
        return _with(kv, self.encryption.decrypt(key, kv.value))

    async def txn(self, ops: list[Op]) -> int:
        sealed = []
        for op in ops:
            value = None if op.value is None else self.encryption.encrypt(op.key, op.value)
            sealed.append(Op(op.key, value, op.expect, op.ttl, op.author))
        revision = await self.inner.txn(sealed)
        await self._settle()
        return revision

    def watch(
        self,
        prefix: str,
        revision: int,
        on_events: Callable[[list[StorageEvent]], None],
        on_error: Callable[[StorageError], None],
        *,
        prev_kv: bool = True,
        on_progress: Callable[[int], None] | None = None,
    ) -> Subscription:
        def ended(error: StorageError) -> None:
            gate.close()
            self._gates.discard(gate)
            on_error(error)

        def failed(error: StorageError) -> None:
            subscription.close()
            ended(error)

        def close() -> None:
            subscription.close()
            gate.close()
            self._gates.discard(gate)

        gate = _Gate(self.encryption, on_events, failed, on_progress)
        subscription = self.inner.watch(
            prefix, revision, gate.events, ended, prev_kv=prev_kv, on_progress=gate.progress
        )
        self._gates.add(gate)
        return Subscription(close)

    async def stale(self, key: str) -> bool:
        """Whether a value should be written again because its encryption key was replaced."""
        kv = await self.inner.get(key)
        return kv is not None and self.encryption.stale(key, kv.value)

    async def _settle(self) -> bool:
        """Wait until every watcher has got the events that the store has sent so far;
        False when that takes too long."""
        waiting = [gate.task for gate in self._gates if gate.task is not None]
        if not waiting:
            return True
        _, late = await asyncio.wait(waiting, timeout=SETTLE_SECONDS)
        return not late


class _Gate:
    """Stands between a store and a watcher.
    Events wait here, in their order, while their keys are fetched."""

    def __init__(
        self,
        encryption: Encryption,
        on_events: Callable[[list[StorageEvent]], None],
        on_error: Callable[[StorageError], None],
        on_progress: Callable[[int], None] | None,
    ) -> None:
        self.task: asyncio.Task[None] | None = None
        self._encryption = encryption
        self._on_events = on_events
        self._on_error = on_error
        self._on_progress = on_progress
        self._waiting: deque[list[StorageEvent] | int] = deque()
        self._closed = False

    def events(self, events: list[StorageEvent]) -> None:
        if self._closed:
            return
        if self.task is None and not (
            self._encryption.remotes and self._encryption.unknown(_written(events))
        ):
            self._on_events(events)
        else:
            self._wait(events)

    def progress(self, revision: int) -> None:
        if self._on_progress is None or self._closed:
            return
        if self.task is None:
            self._on_progress(revision)
        else:
            self._wait(revision)

    def close(self) -> None:
        """Drop the events that wait: the watcher starts again from the store."""
        self._closed = True
        self._waiting.clear()
        if self.task is not None:
            self.task.cancel()

    def _wait(self, what: list[StorageEvent] | int) -> None:
        self._waiting.append(what)
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        try:
            while self._waiting:
                what = self._waiting[0]
                if not isinstance(what, int):
                    await self._encryption.prepare(_written(what))
                    self._on_events(what)
                elif self._on_progress is not None:
                    self._on_progress(what)
                self._waiting.popleft()
        except Exception as error:
            log.exception("A watcher of the store failed")
            self._on_error(Unavailable(f"watcher failed: {error}"))
        finally:
            self.task = None


def _written(events: list[StorageEvent]) -> list[KeyValue]:
    return [event.kv for event in events if not event.deleted]


def _with(kv: KeyValue, value: bytes) -> KeyValue:
    return KeyValue(kv.key, value, kv.mod, kv.create, kv.lease)
