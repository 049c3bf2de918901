"""ID tokens: audience, dates, algorithm and signature, with go-oidc's words."""

import asyncio
from typing import Any

import pytest
from clocks import Clock
from providers import NOW, OTHER, SIGNING, URL, Documents, signed

from pilothouse.authn import keys
from pilothouse.authn.provider import RETRY, OIDCProvider
from pilothouse.authn.verifier import LEEWAY, InvalidToken, Verifier, issuer_of


async def judge(token: str, audiences: Any = ("me",), algorithms: Any = ("RS256",)) -> tuple[str, Documents]:
    documents = Documents()
    provider = OIDCProvider(URL, documents, clock=Clock())
    await provider.discover()
    compact = keys.compact(token)
    header = compact.header() if compact is not None else None
    assert compact is not None and header is not None
    try:
        await Verifier(provider, audiences, algorithms, Clock(NOW)).verify(compact, header)
    except InvalidToken as err:
        return str(err), documents
    return "", documents


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({}, ""),
        ({"aud": ["you", "me"]}, ""),
        ({"exp": NOW}, ""),
        ({"exp": NOW - 1}, "oidc: token is expired (Token Expiry: 2025-12-31 23:59:59 +0000 UTC)"),
        ({"exp": None}, "oidc: token is expired (Token Expiry: 0001-01-01 00:00:00 +0000 UTC)"),
        ({"exp": 10**300}, "oidc: token is expired (Token Expiry: -9223372036854775808)"),
        ({"exp": True}, "oidc: failed to unmarshal claims: "),
        ({"nbf": NOW + LEEWAY}, ""),
        (
            {"nbf": NOW + LEEWAY + 1},
            "oidc: current time 2026-01-01 00:00:00 +0000 UTC before the nbf (not before) time: 2026-01-01 "
            "00:01:01 +0000 UTC",
        ),
        ({"nbf": "later"}, "oidc: failed to unmarshal claims: "),
        ({"iat": []}, "oidc: failed to unmarshal claims: "),
        ({"aud": ["you"]}, 'oidc: expected audience "me" got ["you"]'),
        ({"aud": None}, 'oidc: expected audience "me" got []'),
        ({"aud": 7}, "oidc: failed to unmarshal claims: "),
        ({"aud": ["me", 7]}, "oidc: failed to unmarshal claims: "),
        ({"iss": "https://else"},
         f'oidc: id token issued by a different provider, expected "{URL}" got "https://else"'),
        ({"_claim_names": {"g": "s"}}, "oidc: source does not exist"),
        ({"_claim_names": {"g": ""}}, "oidc: failed to obtain source from claim name"),
        ({"_claim_names": []}, ""),
        ({"_claim_names": [1]}, "oidc: failed to unmarshal claims: "),
    ],
)  # fmt: skip
async def test_claims(runner: asyncio.Runner, claims: dict[str, Any], why: str) -> None:
    found, _ = await judge(signed(**claims))
    assert found == why or (why.endswith(": ") and found.startswith(why))


async def test_several_audiences(runner: asyncio.Runner) -> None:
    assert (await judge(signed(aud="b"), ("a", "b")))[0] == ""
    assert (await judge(signed(), ("b", "a")))[0] == 'oidc: expected audience in ["a" "b"] got ["me"]'


async def test_algorithms_and_signatures(runner: asyncio.Runner) -> None:
    assert (await judge(signed(), algorithms=("ES256", "RS384")))[0] == (
        'oidc: id token signed with unsupported algorithm, expected ["ES256" "RS384"] got "RS256"'
    )
    wanted = "failed to verify signature: failed to verify id token signature"
    assert (await judge(signed(OTHER)))[0] == wanted


async def test_a_token_that_cannot_be_signed_makes_nobody_fetch_keys(runner: asyncio.Runner) -> None:
    documents, clock = Documents(), Clock()
    provider = OIDCProvider(URL, documents, clock=clock)
    await provider.discover()
    clock.now += RETRY
    compact = keys.compact(signed(OTHER))
    assert compact is not None
    for algorithms, fetches in ((("ES256",), 2), (("RS256",), 3), (("RS256",), 3)):
        with pytest.raises(InvalidToken):
            await Verifier(provider, ("me",), algorithms, Clock(NOW)).verify(compact, {"alg": "RS256"})
        assert len(documents.fetched) == fetches


def test_an_issuer() -> None:
    assert issuer_of({"iss": "accounts.google.com"}) == "https://accounts.google.com"
    assert issuer_of({"iss": 1}) == issuer_of({}) == ""
    assert issuer_of({"iss": URL}) == URL and SIGNING.alg == "RS256"
