"""Distributed claims: those that a token leaves to another endpoint
(OpenID Connect Core 1.0, section 5.6.2)."""

from collections.abc import Callable, Sequence
from typing import Any

from pilothouse import errors
from pilothouse.authn import keys
from pilothouse.authn.provider import Fetch, OIDCProvider
from pilothouse.authn.verifier import InvalidToken, Verifier, issuer_of
from pilothouse.gotext import quote

MAX_ISSUERS = 16
"""Issuers of distributed claims that one authenticator gets to know: tokens of its issuer name them."""
_NAMES, _SOURCES = "_claim_names", "_claim_sources"


class ClaimError(Exception):
    """A distributed claim that cannot be had; the text is upstream's."""


class DistributedClaims:
    """Resolves one claim. What is fetched must be a token of whatever issuer, for the same audiences."""

    def __init__(
        self,
        claim: str,
        fetch: Fetch,
        audiences: Sequence[str],
        algorithms: Sequence[str],
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._claim = claim
        self._fetch = fetch
        self._audiences = tuple(audiences)
        self._algorithms = tuple(algorithms)
        self._clock = clock
        self._now = now
        self._verifiers: dict[str, Verifier] = {}

    async def expand(self, claims: dict[str, Any]) -> dict[str, Any]:
        """The claims with the distributed one, if there is one; ClaimError when it cannot be had."""
        if self._claim in claims or _NAMES not in claims:
            return claims
        names = claims[_NAMES]
        if not isinstance(names, dict) or not all(isinstance(one, str) for one in names.values()):
            raise ClaimError("oidc: error parsing distributed claim names: they are no map of strings")
        if _SOURCES not in claims:
            raise ClaimError("oidc: no claim sources")
        sources = claims[_SOURCES]
        if not isinstance(sources, dict) or not all(isinstance(one, dict) for one in sources.values()):
            raise ClaimError("oidc: could not parse claim sources: they are no map of objects")
        source = names.get(self._claim)
        if source is None:
            return claims
        if source not in sources:
            raise ClaimError(f"id token _claim_names contained a source {source} missing in _claims_sources")
        url, token = (sources[source].get(member) or "" for member in ("endpoint", "access_token"))
        if not isinstance(url, str) or not isinstance(token, str):
            raise ClaimError("oidc: could not parse claim sources: endpoint and access_token must be strings")
        if not url:
            return claims  # an aggregated claim, which is not resolved
        return {**claims, self._claim: await self._resolve(url, token)}

    async def close(self) -> None:
        """Stop looking for issuers that have not been found yet."""
        for verifier in self._verifiers.values():
            await verifier.provider.close()

    async def _resolve(self, url: str, access_token: str) -> Any:
        claim = self._claim
        try:
            token = (await self._fetch(url, access_token)).decode()
        except (errors.StatusError, OSError, ValueError) as error:
            raise ClaimError(f"while getting distributed claim {quote(claim)}: {error}") from None
        parts = keys.compact(token)
        header, unverified = (parts.header(), parts.claims()) if parts is not None else (None, None)
        if parts is None or header is None or unverified is None:
            raise ClaimError(
                f"getting untrusted issuer from endpoint {url} failed for claim {quote(claim)}: malformed"
                " token"
            )
        issuer = issuer_of(unverified)
        try:
            claims = await self._verifier(issuer).verify(parts, header)
        except InvalidToken as error:
            raise ClaimError(f"verify distributed claim token: {error}") from None
        if claim not in claims:
            raise ClaimError(
                f"jwt returned by distributed claim endpoint {quote(url)} did not contain claim: {claim}"
            )
        return claims[claim]

    def _verifier(self, issuer: str) -> Verifier:
        known = self._verifiers.get(issuer)
        if known is None:
            if len(self._verifiers) >= MAX_ISSUERS:
                raise ClaimError(f"verifying untrusted issuer {issuer} failed: too many issuers")
            provider = OIDCProvider(issuer, self._fetch, clock=self._clock)
            known = self._verifiers[issuer] = Verifier(provider, self._audiences, self._algorithms, self._now)
            provider.start()
        if known.provider.fault:
            why = f"verifier not initialized for issuer: {quote(issuer)}"
            raise ClaimError(f"verifying untrusted issuer {issuer} failed: {why}")
        return known
