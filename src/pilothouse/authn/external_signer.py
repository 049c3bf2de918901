"""Service account tokens signed by another process (--service-account-signing-endpoint, KEP-740):
gRPC on a unix socket.

The API is k8s.io/externaljwt v1. Needs grpcio (extra `kms`).
"""

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from pilothouse import errors
from pilothouse.authn import keys
from pilothouse.authn.keys import VerifyKey
from pilothouse.authn.metrics import SignerMetrics
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.wire import message, parse

log = Logger(__name__)

SIGN, FETCH_KEYS, METADATA = (f"/v1.ExternalJWTSigner/{name}" for name in ("Sign", "FetchKeys", "Metadata"))
SECONDS = 60.0
"""Time for one call; a signer that is starting is waited for."""
RETRY = 10.0
"""Seconds until keys that could not be fetched are fetched again."""
PAUSE = 1.0
"""Seconds between two fetches because of tokens with unknown keys."""
MIN_LIFETIME = 600
MAX_KEY_ID = 1024
ALGORITHMS = ("RS256", "ES256", "ES384", "ES512")


class SignerError(Exception):
    """The signer cannot be reached, or has answered what cannot be used. `code` is gRPC's, by Go's name."""

    def __init__(self, text: str, code: str = "unknown-non-grpc") -> None:
        super().__init__(text)
        self.code = code


class ExternalSigner(BackgroundTask):
    """Signs tokens, and knows the keys by which they are verified. `open` must come first, then `start`.

    Keys are fetched as often as the signer says, and when a token names an unknown one. What cannot be
    fetched leaves the known keys as they are.
    `max_lifetime` is the longest that a token may live, in seconds. `clock` is monotonic.
    """

    def __init__(
        self,
        path: str,
        metrics: SignerMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = SECONDS,
    ) -> None:
        self.max_lifetime = 0
        self._target = f"unix-abstract:{path[1:]}" if path.startswith("@") else f"unix:{path}"
        self._metrics = metrics
        self._clock = clock
        self._seconds = seconds
        self._channel: Any = None
        self._keys: list[VerifyKey] = []
        self._hidden: frozenset[str] = frozenset()
        self._refresh = RETRY
        self._fetched = -PAUSE
        self._fetching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Fetch the keys and what the signer can do; SignerError when it does not answer."""
        try:
            import grpc.aio
        except ImportError as error:
            why = "--service-account-signing-endpoint needs the package grpcio: pip install pilothouse[kms]"
            raise SignerError(f"{why} ({error})") from error

        from pilothouse.storage.encryption.kms.rpc import OPTIONS

        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is raised; stderr is the log's
        self._channel = grpc.aio.insecure_channel(self._target, options=OPTIONS)
        try:
            await self._fetch()
        except SignerError as err:
            raise SignerError(
                f"while initially filling key cache: while performing initial cache fill: {err}"
            ) from None
        try:
            self.max_lifetime = _number(dict(parse(await self._call(METADATA, b""))).get(1, 0))
        except ValueError as err:
            raise SignerError(f"while setting up external-jwt-signer: {err}") from None
        if self.max_lifetime < MIN_LIFETIME:
            raise SignerError(
                f"max token life supported by external-jwt-signer ({self.max_lifetime}s) is less than"
                f" acceptable (min {MIN_LIFETIME}s)"
            )

    async def close(self) -> None:
        """Stop fetching keys, and close the connection."""
        await super().close()
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def sign(self, claims: dict[str, Any]) -> str:
        """A token with these claims; errors.InternalError when the signer makes none."""
        try:
            token = await self._signed(claims)
        except SignerError as err:
            self._metrics.signed.inc(err.code)
            raise errors.InternalError(f"Internal error occurred: failed to generate token: {err}") from None
        self._metrics.signed.inc("OK")
        return token

    async def find(self, kid: str) -> Sequence[VerifyKey]:
        """The keys of an ID, all without one; they are fetched anew when it is unknown."""
        found = self._known(kid)
        if not found and (self._fetching is not None or self._clock() - self._fetched >= PAUSE):
            if self._fetching is None:
                self._fetching = asyncio.get_running_loop().create_task(self._fetch())
                self._fetching.add_done_callback(self._done)
            try:
                await asyncio.shield(self._fetching)
            except SignerError as err:
                log.error("The keys of the external signer could not be fetched", err=err)
            found = self._known(kid)
        return found

    def published(self) -> Sequence[VerifyKey]:
        """The keys that others are told of."""
        return [key for key in self._keys if key.kid not in self._hidden]

    def _known(self, kid: str) -> Sequence[VerifyKey]:
        return [key for key in self._keys if key.kid == kid] if kid else self._keys

    def _done(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._refresh)
            try:
                await self._fetch()
            except SignerError as err:
                self._refresh = RETRY
                log.error("The keys of the external signer could not be fetched", err=err)

    async def _fetch(self) -> None:
        self._fetched = self._clock()
        try:
            self._take(await self._call(FETCH_KEYS, b""))
        except SignerError as err:
            self._metrics.fetches.inc(err.code)
            raise SignerError(f"while fetching token verification keys: {err}", err.code) from None
        self._metrics.fetches.inc("OK")
        self._metrics.last_fetch.set(time.time())

    def _take(self, data: bytes) -> None:
        found: list[VerifyKey] = []
        hidden: set[str] = set()
        stamp, refresh = 0.0, 0
        try:
            for number, value in parse(data):
                if number == 1:
                    key, excluded = _key(value)
                    found.append(key)
                    if excluded:
                        hidden.add(key.kid)
                elif number == 2:
                    moment = dict(parse(value))
                    stamp = _number(moment.get(1, 0)) + _number(moment.get(2, 0)) / 1e9
                elif number == 3:
                    refresh = _number(value)
        except (ValueError, TypeError) as err:
            raise SignerError(str(err)) from None
        if refresh <= 0:
            raise SignerError(f"found invalid refresh hint ({refresh}s)")
        if not found:
            raise SignerError("found no keys")
        self._keys, self._hidden, self._refresh = found, frozenset(hidden), float(refresh)
        self._metrics.data_time.set(stamp)

    async def _signed(self, claims: dict[str, Any]) -> str:
        text = json.dumps(claims, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
        payload = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        try:
            data = await self._call(SIGN, message((1, payload.encode())))
        except SignerError as err:
            raise SignerError(f"while signing jwt: {err}", err.code) from None
        try:
            answer = dict(parse(data))
            header, signature = (bytes(answer.get(number, b"")).decode() for number in (1, 2))
            await self._check_header(header)
        except (SignerError, ValueError, TypeError) as err:
            raise SignerError(f"while validating header: {err}") from None
        if not signature:
            raise SignerError("empty signature returned")
        return f"{header}.{payload}.{signature}"

    async def _check_header(self, text: str) -> None:
        header = json.loads(keys.base64url(text))
        if not isinstance(header, dict) or not header.keys() <= {"alg", "kid", "typ"}:
            raise SignerError("while parsing header JSON: it has other members than alg, kid and typ")
        kid, algorithm = header.get("kid"), header.get("alg")
        if header.get("typ") != "JWT":
            raise SignerError("bad type")
        if not isinstance(kid, str) or not kid:
            raise SignerError("key id missing")
        if len(kid) > MAX_KEY_ID:
            raise SignerError("key id longer than 1 kb")
        if algorithm not in ALGORITHMS:
            raise SignerError(f'bad signing algorithm "{algorithm}"')
        await self.find(kid)
        if kid in self._hidden:
            raise SignerError(f"key used for signing JWT (kid: {kid}) is excluded from OIDC discovery docs")

    async def _call(self, method: str, request: bytes) -> bytes:
        import grpc

        from pilothouse.storage.encryption.kms.rpc import go_name

        if self._channel is None:
            raise SignerError("the connection to the signer is closed")
        started, code = time.perf_counter(), "Canceled"
        try:
            call = self._channel.unary_unary(method)
            answer: bytes = await call(request, timeout=self._seconds, wait_for_ready=True)
            code = "OK"
            return answer
        except grpc.aio.AioRpcError as err:
            code = go_name(err.code())
            raise SignerError(f"rpc error: code = {code} desc = {err.details()}", code) from None
        finally:
            self._metrics.seconds.observe(time.perf_counter() - started, code, method)


def _key(data: bytes) -> tuple[VerifyKey, bool]:
    """A key, and whether others are not told of it; ValueError."""
    members = dict(parse(data))
    kid = bytes(members.get(1, b"")).decode()
    if not 0 < len(kid) <= MAX_KEY_ID:
        raise ValueError(f'found invalid public key id "{kid[:MAX_KEY_ID]}"')
    der = bytes(members.get(2, b""))
    if not der:
        raise ValueError("found empty public key")
    return keys.of_der(kid, der), bool(members.get(3, 0))


def _number(value: Any) -> int:
    """A signed 64-bit number; ValueError when it is none."""
    if not isinstance(value, int):
        raise ValueError("a text where a number should be")
    return value - (1 << 64) if value >= 1 << 63 else value
