"""Verifies ID tokens of OpenID Connect providers (--oidc-*, and the jwt part of AuthenticationConfiguration)."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilothouse import errors
from pilothouse.api.fields import quote
from pilothouse.api.identity import User
from pilothouse.authn import keys
from pilothouse.authn.authenticator import TokenIdentity
from pilothouse.authn.tokens import intersect
from pilothouse.authn.x509 import CREDENTIAL_ID

Fetch = Callable[[str], Awaitable[bytes]]
"""The body that an https URL answers with; raises errors.StatusError or OSError when it cannot be had."""

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"})
_WELL_KNOWN = "/.well-known/openid-configuration"
_GOOGLE = "accounts.google.com"
_RETRY = 10.0
"""Seconds between two looks at a provider's keys."""


@dataclass(slots=True, frozen=True, kw_only=True)
class OIDCIssuer:
    """A provider and how its claims become a user. `required` maps claims to the text they must have."""

    url: str
    audiences: tuple[str, ...]
    discovery_url: str = ""
    username_claim: str = "sub"
    username_prefix: str = ""
    groups_claim: str = ""
    groups_prefix: str = ""
    uid_claim: str = ""
    required: dict[str, str] = field(default_factory=dict)
    algorithms: tuple[str, ...] = ("RS256",)

    def __post_init__(self) -> None:
        unknown = [a for a in self.algorithms if a not in ALGORITHMS]
        if unknown:
            raise ValueError(f"oidc: unsupported signing alg: {quote(unknown[0])}")
        if not self.url.startswith("https://"):
            raise ValueError(f"oidc: issuer URL {quote(self.url)} must use the https scheme")


def username_prefix(claim: str, flag: str, issuer: str) -> str:
    """What --oidc-username-prefix means: "-" is none; when unset, only e-mails go without the issuer."""
    if flag == "-":
        return ""
    return flag or ("" if claim == "email" else issuer + "#")


class OIDCTokens:
    """Checks the tokens of one issuer; its keys are fetched whenever an unknown one signs a token.

    Two fetches are at least _RETRY seconds of `clock` apart; `now` gives the Unix seconds that a token's dates are
    compared with.
    """

    def __init__(
        self,
        issuer: OIDCIssuer,
        fetch: Fetch,
        audiences: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.issuer = issuer
        self.fetch = fetch
        self.audiences = tuple(audiences)
        self._keys: dict[str, Any] = {}
        self._clock = clock
        self._now = now
        self._fetched = -_RETRY
        self._fetching: asyncio.Task[None] | None = None

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenIdentity | None:
        parts = keys.read(token)
        if parts is None or _issuer_of(parts[1]) != self.issuer.url:
            return None
        header, claims = parts
        due = self._fetching is not None or self._clock() - self._fetched >= _RETRY
        if self._key(header) is None and due:
            return await self._after_fetch(token, header, claims, audiences)
        return self._identity(token, header, claims, audiences)

    async def _after_fetch(
        self, token: str, header: dict[str, Any], claims: dict[str, Any], audiences: Sequence[str]
    ) -> TokenIdentity | None:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._load_keys())
            self._fetching.add_done_callback(self._loaded)
        try:
            await asyncio.shield(self._fetching)
        except (errors.StatusError, OSError, ValueError, KeyError) as error:
            raise errors.Unauthorized(f"oidc: authenticator not initialized: {error}") from None
        return self._identity(token, header, claims, audiences)

    def _loaded(self, _: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _load_keys(self) -> None:
        from joserfc.jwk import KeySet

        self._fetched = self._clock()
        url = self.issuer.discovery_url or self.issuer.url.rstrip("/") + _WELL_KNOWN
        document = json.loads(await self.fetch(url))
        if document.get("issuer") != self.issuer.url:
            raise ValueError(
                "oidc: issuer did not match the issuer returned by provider, expected "
                f"{quote(self.issuer.url)} got {quote(str(document.get('issuer', '')))}"
            )
        loaded = KeySet.import_key_set(json.loads(await self.fetch(document["jwks_uri"])))
        self._keys = {
            key.kid or "": key for key in loaded.keys if (key.as_dict().get("use") or "sig") == "sig"
        }

    def _key(self, header: dict[str, Any]) -> Any:
        kid = header.get("kid")
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(str(kid))

    def _identity(
        self, token: str, header: dict[str, Any], claims: dict[str, Any], audiences: Sequence[str]
    ) -> TokenIdentity | None:
        self._verify(token, header, claims)
        user = self._user(claims)
        for claim, wanted in self.issuer.required.items():
            if claim not in claims:
                raise errors.Unauthorized(f"oidc: required claim {claim} not present in ID token")
            if claims[claim] != wanted:
                raise errors.Unauthorized(
                    f"oidc: required claim {claim} value does not match. "
                    f"Got = {claims[claim]}, want = {wanted}"
                )
        both = intersect(self.audiences, audiences)
        return None if both is None else TokenIdentity(user, both)

    def _verify(self, token: str, header: dict[str, Any], claims: dict[str, Any]) -> None:
        from joserfc import jws
        from joserfc.errors import JoseError

        key = self._key(header)
        try:
            if key is None:
                raise ValueError("no key found for the token")
            if not keys.plain(header):
                raise ValueError("the header asks for an extension")
            jws.deserialize_compact(token, key, algorithms=list(self.issuer.algorithms))
        except (JoseError, ValueError, TypeError) as error:
            raise errors.Unauthorized(f"oidc: verify token: failed to verify signature: {error}") from None
        try:
            own = keys.texts(claims.get("aud"))
            dates = {name: keys.seconds(claims[name]) for name in _DATES if claims.get(name) is not None}
        except ValueError as error:
            why = f"oidc: verify token: oidc: failed to unmarshal claims: {error}"
            raise errors.Unauthorized(why) from None
        if not set(own) & set(self.issuer.audiences):
            wanted = " ".join(quote(a) for a in sorted(self.issuer.audiences))
            got = " ".join(quote(a) for a in own)
            raise errors.Unauthorized(
                f"oidc: verify token: oidc: expected audience in [{wanted}] got [{got}]"
            )
        _check_times(dates, self._now())

    def _user(self, claims: dict[str, Any]) -> User:
        issuer = self.issuer
        name = _text(claims, issuer.username_claim, "username claims")
        if issuer.username_claim == "email" and claims.get("email_verified", True) is not True:
            raise errors.Unauthorized("oidc: email not verified")
        groups: list[str] = []
        if issuer.groups_claim and issuer.groups_claim in claims:
            value = claims[issuer.groups_claim]
            groups = [value] if isinstance(value, str) else value
            if not isinstance(groups, list) or not all(isinstance(g, str) for g in groups):
                raise errors.Unauthorized(f"oidc: parse groups claim {quote(issuer.groups_claim)}")
        uid = _text(claims, issuer.uid_claim, "uid claim") if issuer.uid_claim else ""
        jti = claims.get("jti")
        extra = {CREDENTIAL_ID: [f"JTI={jti}"]} if isinstance(jti, str) and jti else {}
        prefixed = tuple(issuer.groups_prefix + g for g in groups)
        return User(issuer.username_prefix + name, uid, prefixed, extra)


def _issuer_of(claims: dict[str, Any]) -> str:
    issuer = claims.get("iss")
    return f"https://{_GOOGLE}" if issuer == _GOOGLE else str(issuer)


def _text(claims: dict[str, Any], claim: str, what: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str):
        why = "claim not present" if claim not in claims else "not a string"
        raise errors.Unauthorized(f"oidc: parse {what} {quote(claim)}: {why}")
    return value


_DATES = ("exp", "nbf", "iat")


def _check_times(dates: dict[str, int], now: float) -> None:
    """Expiry to the second; nbf with five minutes of grace (go-oidc). A token that never expires has expired."""
    if dates.get("exp", 0) < now:
        raise errors.Unauthorized("oidc: verify token: oidc: token is expired")
    if "nbf" in dates and now + 300 < dates["nbf"]:
        raise errors.Unauthorized("oidc: verify token: oidc: current time before the nbf (not before) time")
