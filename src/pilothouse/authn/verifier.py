"""Verifies ID tokens of one provider (go-oidc's IDTokenVerifier):
algorithm, signature, issuer, audience, dates, in that order."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pilothouse.authn import keys
from pilothouse.authn.keys import BadSignature, CompactJWS
from pilothouse.authn.provider import OIDCProvider, registry_of
from pilothouse.gotext import quote

LEEWAY = 60.0
"""Seconds that `nbf` may lie ahead."""
_GOOGLE = "accounts.google.com"
_DATES = ("exp", "nbf", "iat")
_ZERO = "0001-01-01 00:00:00 +0000 UTC"


class InvalidToken(Exception):
    """A token that does not count; the text is go-oidc's."""


class Verifier:
    """Checks tokens of `provider` for one of `audiences`. `now` gives Unix seconds.

    The signature comes before the claims, which nobody has to parse for a stranger;
    go-oidc reads the claims first.
    """

    def __init__(
        self,
        provider: OIDCProvider,
        audiences: Sequence[str],
        algorithms: Sequence[str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.provider = provider
        self.audiences = tuple(audiences)
        self.algorithms = tuple(algorithms)
        self._now = now
        self._registry: Any = None

    async def verify(self, token: CompactJWS, header: dict[str, Any]) -> dict[str, Any]:
        """The claims of a token whose header is given; InvalidToken unless it is good now."""
        await self._check_signature(token, header)
        claims = token.claims()
        if claims is None:
            raise InvalidToken("oidc: failed to unmarshal claims: the payload is no object in JSON")
        issuer = issuer_of(claims)
        if issuer != self.provider.url:
            raise InvalidToken(
                f"oidc: id token issued by a different provider, expected {quote(self.provider.url)} "
                f"got {quote(issuer)}"
            )
        try:
            own = keys.texts(claims.get("aud"))
            dates = {name: keys.seconds(claims[name]) for name in _DATES if claims.get(name) is not None}
            _check_sources(claims)
        except ValueError as error:
            raise InvalidToken(f"oidc: failed to unmarshal claims: {error}") from None
        self._check_audience(own)
        _check_times(dates, self._now())
        return claims

    async def _check_signature(self, token: CompactJWS, header: dict[str, Any]) -> None:
        algorithm = header.get("alg") or ""
        if algorithm not in self.algorithms:
            raise InvalidToken(
                f"oidc: id token signed with unsupported algorithm, expected {_listed(self.algorithms)} "
                f"got {quote(algorithm)}"
            )
        if self._registry is None:
            self._registry = registry_of(self.algorithms)
        try:
            await self.provider.verify(token.text, header, self._registry)
        except BadSignature as error:
            raise InvalidToken(f"failed to verify signature: {error}") from None

    def _check_audience(self, own: Sequence[str]) -> None:
        if set(own) & set(self.audiences):
            return
        if len(self.audiences) == 1:
            raise InvalidToken(f"oidc: expected audience {quote(self.audiences[0])} got {_listed(own)}")
        raise InvalidToken(f"oidc: expected audience in {_listed(sorted(self.audiences))} got {_listed(own)}")


def issuer_of(claims: dict[str, Any]) -> str:
    """The issuer that claims name, "" for none."""
    issuer = claims.get("iss")
    return canonical(issuer) if isinstance(issuer, str) else ""


def canonical(issuer: str) -> str:
    """An issuer as it is configured: Google's is the same with and without its scheme."""
    return f"https://{_GOOGLE}" if issuer == _GOOGLE else issuer


def _check_sources(claims: dict[str, Any]) -> None:
    """Every distributed claim must have a source (OpenID Connect Core 1.0, section 5.6.2)."""
    names, sources = claims.get("_claim_names") or {}, claims.get("_claim_sources") or {}
    if not isinstance(names, dict) or not isinstance(sources, dict):
        raise ValueError("json: cannot unmarshal claim names or claim sources into Go value of type map")
    for source in names.values():
        if not source:
            raise InvalidToken("oidc: failed to obtain source from claim name")
        if not isinstance(source, str) or source not in sources:
            raise InvalidToken("oidc: source does not exist")


def _check_times(dates: dict[str, int], now: float) -> None:
    """Expiry to the second; nbf with some grace. A token that never expires has expired."""
    if dates.get("exp", 0) < now:
        raise InvalidToken(f"oidc: token is expired (Token Expiry: {_shown(dates.get('exp'))})")
    if "nbf" in dates and now + LEEWAY < dates["nbf"]:
        raise InvalidToken(
            f"oidc: current time {_shown(now)} before the nbf (not before) time: {_shown(dates['nbf'])}"
        )


def _shown(moment: float | None) -> str:
    if moment is None:
        return _ZERO
    try:
        when = datetime.fromtimestamp(0, UTC) + timedelta(seconds=int(moment))
    except OverflowError:
        return str(int(moment))
    return f"{when:%Y-%m-%d %H:%M:%S} +0000 UTC"


def _listed(texts: Sequence[str]) -> str:
    return f"[{' '.join(quote(text) for text in texts)}]"
