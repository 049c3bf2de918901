"""Authenticates the tokens of OpenID Connect issuers
(--authentication-config, --oidc-*; token/oidc upstream)."""

import time
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from pilothouse import errors
from pilothouse.authn import keys
from pilothouse.authn.authenticator import TokenIdentity, Undecided
from pilothouse.authn.claims import ClaimExpressions, ClaimMapper
from pilothouse.authn.configuration import ALGORITHMS, JWTAuthenticator
from pilothouse.authn.distributed import ClaimError, DistributedClaims
from pilothouse.authn.keys import CompactJWS
from pilothouse.authn.metrics import JWTMetrics
from pilothouse.authn.provider import Fetch, OIDCProvider
from pilothouse.authn.tokens import intersect
from pilothouse.authn.verifier import InvalidToken, Verifier, canonical
from pilothouse.gotext import quote
from pilothouse.lifecycle import Background
from pilothouse.process.frozen import frozen


@frozen(kw_only=True)
class TokenChecks:
    """The settings that the authenticators of all issuers share.
    `clock` is monotonic, `now` gives Unix seconds."""

    algorithms: tuple[str, ...] = ALGORITHMS
    metrics: JWTMetrics
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time


class IssuerTokens:
    """The tokens of one issuer. `start` begins to look for its provider."""

    def __init__(
        self,
        authenticator: JWTAuthenticator,
        expressions: ClaimExpressions,
        fetch: Fetch,
        checks: TokenChecks,
    ) -> None:
        issuer = authenticator.issuer
        self.url = issuer.url
        self.provider = OIDCProvider(
            issuer.url,
            fetch,
            discovery_url=issuer.discovery_url,
            metrics=checks.metrics,
            clock=checks.clock,
        )
        self._verifier = Verifier(self.provider, issuer.audiences, checks.algorithms, checks.now)
        self._mapper = ClaimMapper(authenticator, expressions)
        groups = authenticator.claim_mappings.groups.claim
        self._distributed = groups and DistributedClaims(
            groups, fetch, issuer.audiences, checks.algorithms, checks.clock, checks.now
        )

    def start(self) -> None:
        """Look for the provider, in the background, until it is found."""
        self.provider.start()

    async def close(self) -> None:
        """Stop looking."""
        await self.provider.close()
        if self._distributed:
            await self._distributed.close()

    def fault(self) -> str:
        """Why tokens cannot be verified; "" when they can."""
        why = self.provider.fault
        return f"oidc: authenticator for issuer {quote(self.url)} is not healthy: {why}" if why else ""

    async def identify(self, token: CompactJWS, header: dict[str, Any]) -> TokenIdentity:
        """The identity of a token's owner; errors.Unauthorized with the reason when the token does not count,
        Undecided before there are keys, or when distributed claims cannot be had."""
        if self.provider.fault:
            await self.provider.tried()
        if self.provider.fault:
            raise Undecided("oidc: authenticator not initialized")
        try:
            claims = await self._verifier.verify(token, header)
        except InvalidToken as error:
            raise errors.Unauthorized(f"oidc: verify token: {error}") from None
        if self._distributed:
            try:
                claims = await self._distributed.expand(claims)
            except ClaimError as error:
                raise Undecided(f"oidc: could not expand distributed claims: {error}") from None
        return TokenIdentity(self._mapper.user(claims))


class JWTTokens(Background):
    """The tokens of all configured issuers. The configuration may be replaced while requests come in."""

    name = "JWT of a configured issuer"

    def __init__(
        self, issuers: Sequence[IssuerTokens], audiences: Sequence[str], metrics: JWTMetrics
    ) -> None:
        self._issuers = {one.url: one for one in issuers}
        self._audiences = tuple(audiences)
        self._metrics = metrics

    @property
    def issuers(self) -> list[IssuerTokens]:
        """The issuers in force."""
        return list(self._issuers.values())

    def start(self) -> None:
        """Look for all providers."""
        for one in self.issuers:
            one.start()

    async def close(self) -> None:
        """Stop looking for those that have not been found."""
        for one in self.issuers:
            await one.close()

    async def replace(self, issuers: Sequence[IssuerTokens], forget: Callable[[], None]) -> None:
        """Put other issuers, which have been started, in force;
        `forget` empties the cache of tokens at once."""
        old, self._issuers = self.issuers, {one.url: one for one in issuers}
        forget()
        for one in old:
            await one.close()
            if one.url not in self._issuers:
                self._metrics.forget(one.url)

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenIdentity | None:
        """The identity; None for a token of another issuer, or one that is wanted for other audiences."""
        both = intersect(self._audiences, audiences)
        parts = keys.compact(token) if both is not None and self._issuers else None
        if parts is None or both is None:
            return None
        known = [self._issuers[url] for url in map(canonical, parts.issuers()) if url in self._issuers]
        header = parts.header() if known else None
        if header is None:
            return None
        refusals: list[errors.Unauthorized] = []
        try:
            for issuer in known:
                try:
                    return TokenIdentity((await self._judge(issuer, parts, header)).user, both)
                except errors.Unauthorized as error:
                    refusals.append(error)
            raise refusals[0]
        finally:
            # An error that its own frame holds would keep the token until the next collection.
            refusals.clear()

    async def _judge(self, issuer: IssuerTokens, token: CompactJWS, header: dict[str, Any]) -> TokenIdentity:
        started, result = perf_counter(), "failure"
        try:
            identity = await issuer.identify(token, header)
            result = "success"
        finally:
            self._metrics.judged(issuer.url, result, perf_counter() - started)
        return identity
