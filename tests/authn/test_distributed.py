"""Claims that a token leaves to another endpoint."""

import asyncio
from typing import Any

import pytest
from clocks import Clock
from providers import NOW, OTHER, OTHER_PEM, Documents, signed

from pilothouse.authn.distributed import MAX_ISSUERS, ClaimError, DistributedClaims
from pilothouse.authn.keys import MAX_PARTS

ELSE = "https://else"
ENDPOINT = f"{ELSE}/groups"
SOURCES = {
    "_claim_names": {"groups": "src"},
    "_claim_sources": {"src": {"endpoint": ENDPOINT, "access_token": "canary"}},
}


class Case:
    def __init__(self) -> None:
        self.documents = Documents()
        self.documents.add(ELSE, OTHER_PEM)
        self.documents.documents[ENDPOINT] = signed(OTHER, iss=ELSE, groups=["a", "b"])
        self.claims = DistributedClaims("groups", self.documents, ("me",), ("RS256",), Clock(), Clock(NOW))

    async def expand(self, **claims: Any) -> Any:
        return await self.claims.expand({**SOURCES, **claims})

    async def fault(self, **claims: Any) -> str:
        with pytest.raises(ClaimError) as caught:
            await self.expand(**claims)
        return str(caught.value)

    async def ready(self) -> "Case":
        """The issuer of the claim is looked for when it is met first."""
        assert await self.fault() == (
            f'verifying untrusted issuer {ELSE} failed: verifier not initialized for issuer: "{ELSE}"'
        )
        for _ in range(10):
            await asyncio.sleep(0)
        return self


async def test_a_claim_is_fetched(runner: asyncio.Runner) -> None:
    case = await Case().ready()
    assert (await case.expand(sub="jane")) == {**SOURCES, "sub": "jane", "groups": ["a", "b"]}
    assert case.documents.tokens[-1] == "canary"
    await case.claims.close()


async def test_what_needs_no_fetch(runner: asyncio.Runner) -> None:
    case = Case()
    assert (await case.expand(groups=["own"]))["groups"] == ["own"]
    for more in (
        {"_claim_names": {"other": "src"}},
        {"_claim_sources": {"src": {"JWT": "aggregated"}}},
    ):
        assert "groups" not in await case.expand(**more)
    assert await case.claims.expand({"sub": "jane"}) == {"sub": "jane"}
    assert case.documents.fetched == []


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"_claim_names": {"groups": 1}}, "oidc: error parsing distributed claim names: "),
        ({"_claim_sources": []}, "oidc: could not parse claim sources: "),
        ({"_claim_sources": {"src": {"endpoint": 1}}}, "oidc: could not parse claim sources: "),
        (
            {"_claim_names": {"groups": "x"}},
            "id token _claim_names contained a source x missing in _claims_sources",
        ),
        (
            {"_claim_sources": {"src": {"endpoint": f"{ELSE}/nowhere"}}},
            'while getting distributed claim "groups": no route',
        ),
    ],
)
async def test_sources_that_are_none(runner: asyncio.Runner, claims: dict[str, Any], why: str) -> None:
    assert (await Case().fault(**claims)).startswith(why)


async def test_no_sources(runner: asyncio.Runner) -> None:
    with pytest.raises(ClaimError, match="oidc: no claim sources"):
        await Case().claims.expand({"_claim_names": {"groups": "src"}})


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            "nonsense",
            f'getting untrusted issuer from endpoint {ENDPOINT} failed for claim "groups": malformed token',
        ),
        (
            signed(OTHER, iss=ELSE, groups=[{}] * MAX_PARTS),
            f'getting untrusted issuer from endpoint {ENDPOINT} failed for claim "groups": malformed token',
        ),
        (
            signed(OTHER, iss=ELSE),
            f'jwt returned by distributed claim endpoint "{ENDPOINT}" did not contain claim: groups',
        ),
        (
            signed(OTHER, iss=ELSE, exp=NOW - 1),
            (
                "verify distributed claim token: oidc: token is expired (Token Expiry: 2025-12-31 23:59:59"
                " +0000 UTC)"
            ),
        ),
        (
            signed(OTHER, iss=ELSE, aud="you"),
            'verify distributed claim token: oidc: expected audience "me" got ["you"]',
        ),
        (signed(iss=ELSE), "verify distributed claim token: failed to verify signature: "),
    ],
)
async def test_answers_that_are_no_claim(runner: asyncio.Runner, answer: str, why: str) -> None:
    case = await Case().ready()
    case.documents.documents[ENDPOINT] = answer
    assert (await case.fault()).startswith(why)


async def test_issuers_are_few(runner: asyncio.Runner) -> None:
    case = Case()
    for at in range(MAX_ISSUERS):
        case.documents.documents[ENDPOINT] = signed(OTHER, iss=f"https://{at}")
        assert "not initialized" in await case.fault()
    case.documents.documents[ENDPOINT] = signed(OTHER, iss="https://last")
    assert (await case.fault()).endswith("too many issuers")
    await case.claims.close()
