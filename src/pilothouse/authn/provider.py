"""An OpenID provider as token verification needs it:
found by discovery, its keys fetched and kept (go-oidc's Provider)."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from pilothouse import errors
from pilothouse.authn import keys
from pilothouse.authn.keys import MAX_HEADER, BadSignature
from pilothouse.authn.metrics import JWTMetrics
from pilothouse.gotext import quote
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.waiting import in_task

log = Logger(__name__)

RETRY = 10.0
"""Seconds between two attempts at discovery, and between two fetches of the keys."""
FIRST = 3.0
"""Seconds for which tokens wait for the first attempt at discovery."""
MAX_KEYS = 100
"""Keys of one provider. Without a key ID in a token each of them is tried."""
MAX_MODULUS, MAX_EXPONENT = 1366, 6
"""Digits in base64 of an RSA key: 8,192 bits, and 32 (31 in Go).
Signatures by longer ones take milliseconds to verify."""
MAX_TOKEN_PAYLOAD, MAX_SIGNATURE = 1 << 20, 4 << 10
"""Characters of a token's parts; --max-token-bytes limits those of clients."""
_WELL_KNOWN = "/.well-known/openid-configuration"


class Fetch(Protocol):
    """Reads https URLs."""

    def __call__(self, url: str, token: str = "") -> Awaitable[bytes]:
        """The body that a GET is answered with; `token` is sent as bearer token.
        Raises OSError without a success."""


class OIDCProvider(BackgroundTask):
    """One provider. `start` begins discovery, which is tried until it succeeds.

    Keys are fetched after discovery, and whenever none that is known verifies a token; two fetches are at
    least RETRY seconds of `clock` apart. What cannot be fetched leaves the known keys as they are. `metrics`
    are told of fetches, except for those of providers that only distributed claims need.
    """

    def __init__(
        self,
        url: str,
        fetch: Fetch,
        *,
        discovery_url: str = "",
        metrics: JWTMetrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self.fault = f"oidc: authenticator for issuer {quote(url)} is not initialized"
        """Why no token can be verified; "" once the provider was found."""
        self._fetch = fetch
        self._discovery_url = discovery_url or url.removesuffix("/") + _WELL_KNOWN
        self._metrics = metrics
        self._clock = clock
        self._keys_url = ""
        self._keys: list[Any] = []
        self._fetched = -RETRY
        self._fetching: asyncio.Task[None] | None = None
        self._trying = asyncio.Lock()
        self._tried = asyncio.Event()

    async def _run(self) -> None:
        while True:
            try:
                if await self.discover():
                    return
            finally:
                self._tried.set()
            await asyncio.sleep(RETRY)

    async def tried(self, seconds: float = FIRST) -> None:
        """Wait until the first attempt at discovery has ended, if it was started, for so long at most.

        A logical cluster is woken by a request, which may have a token of the provider.
        """
        if self._task is None or self._tried.is_set():
            return
        await in_task()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._tried.wait()

    async def found(self) -> None:
        """Wait until discovery, which was started, has succeeded."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def discover(self) -> bool:
        """One attempt at discovery, with the keys; whether it was a success. `fault` tells why it was not."""
        try:
            document = _object(await self._fetch(self._discovery_url))
            issuer, keys_url = document.get("issuer"), document.get("jwks_uri")
            if issuer != self.url:
                got = issuer if isinstance(issuer, str) else ""
                raise ValueError(
                    "oidc: issuer did not match the issuer returned by provider, expected "
                    f"{quote(self.url)} got {quote(got)}"
                )
            if not isinstance(keys_url, str) or not keys_url:
                raise ValueError("provider did not return JWKS URL")
        except (errors.StatusError, OSError, ValueError, RecursionError) as error:
            self.fault = str(error)
            log.error("oidc authenticator: initializing plugin", issuer=self.url, err=error)
            return False
        self._keys_url, self.fault = keys_url, ""
        await self.refresh()
        return True

    async def refresh(self) -> str:
        """Fetch the keys, or wait for those who do; "" or why they could not be fetched."""
        if self._fetching is None:
            self._fetched = self._clock()
            self._fetching = asyncio.get_running_loop().create_task(self._load_keys())
            self._fetching.add_done_callback(self._loaded)
        try:
            await asyncio.shield(self._fetching)
        except (errors.StatusError, OSError, ValueError, RecursionError) as error:
            return str(error) or type(error).__name__
        return ""

    async def verify(self, token: str, header: dict[str, Any], registry: Any) -> None:
        """BadSignature unless one of the provider's keys signed the token;
        `registry` names the algorithms."""
        if not keys.plain(header):
            raise BadSignature("the header asks for an extension")
        if await self._signed(token, header, registry):
            return
        if self._fetching is not None or self._clock() - self._fetched >= RETRY:
            if why := await self.refresh():
                raise BadSignature(f"fetching keys {why}")
            if await self._signed(token, header, registry):
                return
        raise BadSignature("failed to verify id token signature")

    async def _signed(self, token: str, header: dict[str, Any], registry: Any) -> bool:
        """Whether a key signed the token. Where several may have,
        they are tried in turns of the loop, for one token at a time."""
        from joserfc import jws
        from joserfc.errors import JoseError

        kid = header.get("kid")
        try:
            signature = jws.extract_compact(token.encode(), registry=registry)
        except (JoseError, ValueError, TypeError):
            return False

        def by(key: Any) -> bool:
            with contextlib.suppress(JoseError, ValueError, TypeError):
                return bool(jws.validate_compact(signature, key, registry=registry))
            return False

        first, *others = [key for key in self._keys if not kid or key.kid == kid] or [None]
        if first is None or by(first):
            return first is not None
        if others:
            await in_task()
            async with self._trying:
                for key in others:
                    await asyncio.sleep(0)
                    if by(key):
                        return True
        return False

    async def _load_keys(self) -> None:
        try:
            data = await self._fetch(self._keys_url)
            self._keys = await asyncio.to_thread(_verifying_keys, data)
        except (errors.StatusError, OSError, ValueError, RecursionError) as error:
            log.error("The keys of an issuer could not be fetched", issuer=self.url, err=error)
            if self._metrics is not None:
                self._metrics.fetch_failed(self.url)
            raise
        if self._metrics is not None:
            self._metrics.fetched(self.url, data)

    def _loaded(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()  # those who wait are told; nobody may be


def registry_of(algorithms: tuple[str, ...]) -> Any:
    """The algorithms that joserfc may verify: these, whatever other members a header has."""
    from joserfc.jws import JWSRegistry

    registry = JWSRegistry(algorithms=algorithms, strict_check_header=False)
    registry.max_header_length = 2 * MAX_HEADER
    registry.max_payload_length = MAX_TOKEN_PAYLOAD
    registry.max_signature_length = MAX_SIGNATURE
    return registry


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"oidc: failed to decode provider discovery object: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("oidc: failed to decode provider discovery object: it is no object")
    return found


def _verifying_keys(data: bytes) -> list[Any]:
    """The public RSA and EC keys of a set that may verify signatures;
    others, secrets among them, are left out."""
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, RSAKey

    try:
        listed = json.loads(data)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("oidc: failed to decode keys: it is no JSON Web Key Set") from None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ValueError(f"oidc: failed to decode keys: there must be a list of at most {MAX_KEYS} keys")
    kinds: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey}
    found = []
    for one in listed:
        kind = kinds.get(str(one.get("kty"))) if isinstance(one, dict) else None
        if kind is None or one.get("use", "sig") != "sig":
            continue
        try:
            if len(str(one.get("n"))) > MAX_MODULUS or len(str(one.get("e"))) > MAX_EXPONENT:
                raise ValueError("it is too large")
            found.append(kind.import_key({name: one[name] for name in one if name in _MEMBERS}))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            log.warning("A key of an issuer cannot be used", kid=str(one.get("kid", "")), err=error)
    return found


_MEMBERS = frozenset(("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e"))
"""Members of public keys: a provider that publishes its private key does not make us keep it."""
