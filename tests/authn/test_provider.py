"""Discovery and keys of providers: retries, rotation, outage."""

import asyncio
import json
from typing import Any

import pytest
from clocks import Clock
from joserfc import jws
from joserfc.jwk import ECKey, OctKey
from providers import OTHER, OTHER_PEM, PEM, SIGNING, URL, Documents, signed
from virtual_time import VirtualLoop

from pilothouse.authn import keys
from pilothouse.authn.configuration import ALGORITHMS
from pilothouse.authn.keys import BadSignature
from pilothouse.authn.metrics import JWTMetrics
from pilothouse.authn.provider import MAX_KEYS, RETRY, OIDCProvider, registry_of
from pilothouse.metrics.instruments import digest

REGISTRY = registry_of(ALGORITHMS)
DISCOVERY, KEYS = f"{URL}/.well-known/openid-configuration", f"{URL}/keys"


class Case:
    def __init__(self, documents: Documents | None = None, **more: Any) -> None:
        self.documents = documents or Documents()
        self.clock = Clock()
        self.metrics = JWTMetrics()
        self.provider = OIDCProvider(URL, self.documents, metrics=self.metrics, clock=self.clock, **more)

    async def verify(self, token: str) -> str:
        parts = keys.read(token)
        assert parts is not None
        try:
            await self.provider.verify(token, parts[0], REGISTRY)
        except BadSignature as err:
            return str(err)
        return ""

    def fetches(self, result: str) -> int:
        return sum(1 for labels in self.metrics.last_fetch.values if labels[2] == result)


async def test_discovery_and_keys(runner: asyncio.Runner) -> None:
    case = Case()
    assert case.provider.fault == f'oidc: authenticator for issuer "{URL}" is not initialized'
    assert await case.provider.discover()
    assert case.provider.fault == "" and case.documents.fetched == [DISCOVERY, KEYS]
    assert await case.verify(signed()) == ""
    assert case.fetches("success") == 1
    assert list(case.metrics.key_sets.source()) == [
        ("", digest(json.dumps(case.documents.documents[KEYS])), digest(URL))
    ]


async def test_the_discovery_document_may_be_elsewhere(runner: asyncio.Runner) -> None:
    documents = Documents()
    documents.documents["https://inside/d"] = documents.documents.pop(DISCOVERY)
    case = Case(documents, discovery_url="https://inside/d")
    assert await case.provider.discover() and documents.fetched == ["https://inside/d", KEYS]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (OSError("no route"), "no route"),
        ("{", "oidc: failed to decode provider discovery object: "),
        ("[" * 100_000, "oidc: failed to decode provider discovery object: "),
        ([], "oidc: failed to decode provider discovery object: it is no object"),
        (
            {"jwks_uri": KEYS},
            f'oidc: issuer did not match the issuer returned by provider, expected "{URL}" got ""',
        ),
        ({"issuer": URL}, "provider did not return JWKS URL"),
    ],
)
async def test_a_provider_that_is_none(runner: asyncio.Runner, document: Any, why: str) -> None:
    case = Case()
    case.documents.documents[DISCOVERY] = document
    assert not await case.provider.discover()
    assert case.provider.fault.startswith(why)


def test_discovery_is_tried_until_it_succeeds() -> None:
    async def run(loop: VirtualLoop) -> None:
        case = Case()
        document = case.documents.documents.pop(DISCOVERY)
        case.provider.start()
        await loop.advance(RETRY * 2.5)
        assert case.documents.fetched == [DISCOVERY] * 3
        case.documents.documents[DISCOVERY] = document
        await case.provider.found()
        assert case.provider.fault == "" and loop.time() % RETRY < 0.1
        await case.provider.close()

    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run(loop))


async def test_unknown_keys_are_fetched_but_not_at_once(runner: asyncio.Runner) -> None:
    case = Case()
    await case.provider.discover()
    case.documents.rotate(OTHER_PEM)
    case.clock.now += RETRY - 0.1
    assert await case.verify(signed(OTHER)) == "failed to verify id token signature"
    case.clock.now += 0.1
    answers = await asyncio.gather(*[case.verify(signed(OTHER)) for _ in range(5)])
    assert answers == [""] * 5 and case.documents.fetched == [DISCOVERY, KEYS, KEYS]
    assert await case.verify(signed()) == "failed to verify id token signature"  # the old key is gone


async def test_an_outage_leaves_the_known_keys(runner: asyncio.Runner) -> None:
    case = Case()
    await case.provider.discover()
    case.documents.documents.clear()
    case.clock.now += RETRY
    assert await case.verify(signed(OTHER)) == "fetching keys no route"
    assert await case.verify(signed()) == ""
    assert (case.fetches("success"), case.fetches("failure")) == (1, 1)


async def test_keys_that_cannot_be_had_at_first_are_fetched_for_a_token(runner: asyncio.Runner) -> None:
    case = Case()
    document = case.documents.documents.pop(KEYS)
    assert await case.provider.discover()
    assert await case.verify(signed()) == "failed to verify id token signature"
    case.documents.documents[KEYS] = document
    case.clock.now += RETRY
    assert await case.verify(signed()) == ""


@pytest.mark.parametrize(
    "document", ["{", [], {}, {"keys": {}}, {"keys": [{}] * (MAX_KEYS + 1)}, "[" * 100_000]
)
async def test_what_is_no_key_set(runner: asyncio.Runner, document: Any) -> None:
    case = Case()
    case.documents.documents[KEYS] = document
    await case.provider.discover()
    case.clock.now += RETRY
    assert (await case.verify(signed())).startswith("fetching keys oidc: failed to decode keys: ")


async def test_keys_that_do_not_verify_are_left_out(runner: asyncio.Runner) -> None:
    good = keys.jwks(keys.load_public(PEM))["keys"][0]
    secret = OctKey.generate_key(256).as_dict()
    encrypts = {**good, "use": "enc", "kid": "e"}
    case = Case()
    case.documents.documents[KEYS] = {
        "keys": [secret, encrypts, {"kty": "OKP"}, {"kty": []}, {"kty": "RSA"}, 7, {**good, "x5c": ["x"]}]
    }
    await case.provider.discover()
    assert await case.verify(signed()) == ""
    header = {"alg": SIGNING.alg, "kid": "e"}
    forged = jws.serialize_compact(header, b"{}", SIGNING.key, algorithms=[SIGNING.alg])
    assert await case.verify(forged) == "failed to verify id token signature"


async def test_keys_that_take_long_to_verify_with_are_left_out(runner: asyncio.Runner) -> None:
    good = keys.jwks(keys.load_public(PEM))["keys"][0]
    case = Case()
    for large in ({"e": "B" * 512}, {"e": "AQAAAAAB"}, {"n": "B" * 1368}):
        case.documents.documents[KEYS] = {"keys": [{**good, **large}, good]}
        assert await case.provider.discover()
        assert len(case.provider._keys) == 1
        assert await case.verify(signed()) == ""


async def test_many_keys_are_tried_in_turns(runner: asyncio.Runner) -> None:
    """A token without a key ID may be of any of them; others are served between two."""
    others = [eck.as_dict(private=False) for eck in [ECKey.generate_key("P-256")] * (MAX_KEYS - 1)]
    case = Case()
    case.documents.documents[KEYS] = {"keys": [*others, ECKey.generate_key("P-256").as_dict(private=False)]}
    await case.provider.discover()
    tokens = [jws.serialize_compact({"alg": "ES256"}, b"{}", ECKey.generate_key("P-256"))] * 2
    turns = 0
    asked = asyncio.gather(*(case.provider._signed(token, {}, REGISTRY) for token in tokens))
    while not asked.done():
        await asyncio.sleep(0)
        turns += 1
    assert await asked == [False, False] and turns >= len(tokens) * (MAX_KEYS - 1)


async def test_a_header_may_have_members_that_nobody_knows_but_none_that_must_be_understood(
    runner: asyncio.Runner,
) -> None:
    case = Case()
    await case.provider.discover()
    registry = registry_of(ALGORITHMS)
    for more, wanted in (
        ({"nonce": "x", "x5c": ["y" * 2000]}, ""),
        ({"crit": ["b64"], "b64": False}, "the header asks for an extension"),
        ({"jwk": OTHER.key.as_dict(private=False)}, ""),
    ):
        header: dict[str, Any] = {"alg": SIGNING.alg, **more}
        token = jws.serialize_compact({"alg": SIGNING.alg}, b"{}", SIGNING.key, registry=registry)
        if "crit" not in more:
            token = jws.serialize_compact(header, b"{}", SIGNING.key, registry=registry)
            assert await case.verify(token) == wanted
        else:
            with pytest.raises(BadSignature, match=wanted):
                await case.provider.verify(token, header, registry)


async def test_nobody_waits_long_for_the_first_attempt(runner: asyncio.Runner) -> None:
    asked = asyncio.Event()

    async def silent(url: str, token: str = "") -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return b""

    provider = OIDCProvider(URL, silent)
    await provider.tried()  # none is under way
    provider.start()
    await asked.wait()
    await provider.tried(0.01)
    assert provider.fault
    await provider.close()
