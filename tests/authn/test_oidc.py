"""The tokens of configured issuers."""

import asyncio
import contextlib
import gc
import sys
from typing import Any

import pytest
from clocks import Clock
from providers import NOW, OTHER, OTHER_PEM, SIGNING, URL, Documents, signed

from pilothouse import errors
from pilothouse.authn import keys
from pilothouse.authn.configuration import (
    ALGORITHMS,
    AuthenticationConfiguration,
    ClaimMappings,
    Issuer,
    JWTAuthenticator,
    Mapping,
    ValidationRule,
    check_algorithms,
)
from pilothouse.authn.metrics import JWTMetrics
from pilothouse.authn.oidc import IssuerTokens, JWTTokens, TokenChecks
from pilothouse.authn.validation import validated
from pilothouse.metrics.instruments import digest

ELSE = "https://else"


class Case:
    def __init__(self, *urls: str, **mappings: Any) -> None:
        self.documents = Documents()
        self.documents.add(ELSE, OTHER_PEM)
        self.metrics = JWTMetrics()
        self.issuers = [self.issuer(url, **mappings) for url in urls or (URL,)]
        self.tokens = JWTTokens(self.issuers, ["api"], self.metrics)

    def issuer(self, url: str, prefix: str = "", **mappings: Any) -> IssuerTokens:
        mappings.setdefault("username", Mapping(claim="sub", prefix=prefix))
        one = JWTAuthenticator(
            issuer=Issuer(url=url, audiences=("me",)),
            claim_mappings=ClaimMappings(**mappings),
            claim_validation_rules=(ValidationRule(claim="hd", required_value="x"),)
            if "hd" in prefix
            else (),
        )
        (compiled,) = validated(AuthenticationConfiguration((one,)), ())
        checks = TokenChecks(metrics=self.metrics, clock=Clock(), now=Clock(NOW))
        return IssuerTokens(one, compiled, self.documents, checks)

    async def found(self) -> "Case":
        self.tokens.start()
        for one in self.tokens.issuers:
            await one.provider.found()
        return self

    async def ask(self, token: str, *audiences: str) -> Any:
        return await self.tokens.authenticate_token(token, audiences)

    def counts(self) -> dict[Any, float]:
        return self.metrics.seconds.counts()


async def test_tokens_of_several_issuers(runner: asyncio.Runner) -> None:
    case = await Case(URL, ELSE, prefix="p:", groups=Mapping(claim="roles", prefix="g:")).found()
    found = await case.ask(signed(roles=["a"], jti="j"), "api", "other")
    assert (found.user.name, found.user.groups, found.audiences) == ("p:jane", ("g:a",), ("api",))
    assert (await case.ask(signed(OTHER, iss=ELSE, sub="joe"))).user.name == "p:joe"
    with pytest.raises(errors.Unauthorized, match="oidc: verify token: failed to verify signature"):
        await case.ask(signed(OTHER))
    assert case.counts() == {
        (digest(URL), "success"): 1,
        (digest(URL), "failure"): 1,
        (digest(ELSE), "success"): 1,
    }
    await case.tokens.close()


@pytest.mark.parametrize("text", ["", "a.b.c", SIGNING.sign({"iss": "https://x"}), SIGNING.sign({"iss": 1})])
async def test_tokens_of_others_are_left_to_others(runner: asyncio.Runner, text: str) -> None:
    case = await Case().found()
    assert await case.ask(text) is None and case.counts() == {}
    assert await case.ask(signed(), "elsewhere") is None


async def test_the_signature_is_verified_before_the_claims_are_parsed(runner: asyncio.Runner) -> None:
    case = await Case().found()
    with pytest.raises(errors.Unauthorized, match="oidc: failed to unmarshal claims: "):
        await case.ask(signed(exp=float("nan")))
    with pytest.raises(errors.Unauthorized, match="failed to verify signature"):
        await case.ask(signed(OTHER, exp=float("nan")))
    assert await case.ask(signed(x="y" * keys.MAX_HEADER)) is not None
    await case.tokens.close()


async def test_an_issuer_within_another_claim_changes_nothing(runner: asyncio.Runner) -> None:
    case = await Case(URL, ELSE, prefix="p:").found()
    for more in ({"act": {"iss": ELSE}}, {"x": [{"iss": ELSE}]}):
        assert (await case.ask(signed(**more))).user.name == "p:jane"
    for forged in (signed(OTHER, act={"iss": ELSE}), signed(iss="https://third", act={"iss": URL})):
        with pytest.raises(errors.Unauthorized, match="issued by a different provider"):
            await case.ask(forged)
    await case.tokens.close()


async def test_before_a_provider_is_found(runner: asyncio.Runner) -> None:
    case = Case()
    assert (
        case.issuers[0].fault()
        == f'oidc: authenticator for issuer "{URL}" is not healthy: oidc: authenticator for issuer "{URL}" is'
        " not initialized"
    )
    with pytest.raises(errors.Unauthorized, match="oidc: authenticator not initialized"):
        await case.ask(signed())
    assert (await case.found()).issuers[0].fault() == ""


async def test_tokens_wait_for_the_first_attempt_at_discovery(runner: asyncio.Runner) -> None:
    case = Case()
    case.tokens.start()
    assert (await case.ask(signed())).user.name == "jane"
    await case.tokens.close()

    case = Case()
    document = f"{URL}/.well-known/openid-configuration"
    found, case.documents.documents[document] = case.documents.documents[document], OSError("no route")
    case.tokens.start()
    for _ in range(2):
        with pytest.raises(errors.Unauthorized, match="oidc: authenticator not initialized"):
            await case.ask(signed())
    assert case.documents.fetched == [document]
    case.documents.documents[document] = found
    await case.tokens.close()


async def test_rules_and_distributed_claims_refuse(runner: asyncio.Runner) -> None:
    case = await Case(prefix="hd", groups=Mapping(claim="groups", prefix="")).found()
    with pytest.raises(errors.Unauthorized, match="required claim hd not present"):
        await case.ask(signed())
    names = {"_claim_names": {"groups": "s"}, "_claim_sources": {"s": {"endpoint": f"{ELSE}/groups"}}}
    with pytest.raises(errors.Unauthorized, match="oidc: could not expand distributed claims: while getting"):
        await case.ask(signed(**names))
    await case.tokens.close()


async def test_issuers_are_replaced(runner: asyncio.Runner) -> None:
    case = await Case().found()
    new = case.issuer(ELSE)
    new.start()
    await new.provider.found()
    assert len(case.metrics.last_fetch.values) == 2
    old, open_then = case.issuers[0].provider, []
    await case.tokens.replace([new], lambda: open_then.append(old._task is not None))
    assert open_then == [True] and old._task is None  # what it has verified is forgotten before it is closed
    assert await case.ask(signed()) is None
    assert (await case.ask(signed(OTHER, iss=ELSE))).user.name == "jane"
    assert [labels[1] for labels in case.metrics.last_fetch.values] == [digest(ELSE)]
    assert [labels[2] for labels in case.metrics.key_sets.source()] == [digest(ELSE)]


async def test_a_token_that_was_refused_is_freed_at_once(runner: asyncio.Runner) -> None:
    case = await Case().found()
    token = signed(exp=NOW - 5)
    before = sys.getrefcount(token)
    gc.disable()
    try:
        with contextlib.suppress(errors.Unauthorized):
            await case.ask(token)
        assert sys.getrefcount(token) == before
    finally:
        gc.enable()


def test_algorithms() -> None:
    check_algorithms(ALGORITHMS)
    for one in ("HS256", "none", "EdDSA"):
        with pytest.raises(ValueError, match=f'oidc: unsupported signing alg: "{one}"'):
            check_algorithms(["RS256", one])
