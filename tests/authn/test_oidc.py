"""ID tokens of OpenID Connect providers."""

import asyncio
import json
from typing import Any

import pytest
from clocks import Clock

from pilothouse import errors
from pilothouse.authn import keys
from pilothouse.authn.oidc import OIDCIssuer, OIDCTokens, username_prefix

URL = "https://issuer.example"
NOW = 1_767_225_600
PEM = keys.generate()
SIGNING = keys.load_private(PEM)


class Provider:
    """A provider's documents by URL."""

    def __init__(self, public: Any = PEM, issuer: Any = URL) -> None:
        self.fetched: list[Any] = []
        self.documents = {
            f"{URL}/.well-known/openid-configuration": {"issuer": issuer, "jwks_uri": f"{URL}/keys"},
            f"{URL}/keys": keys.jwks(keys.load_public(public)),
        }

    async def __call__(self, url: str) -> bytes:
        self.fetched.append(url)
        await asyncio.sleep(0)
        if url not in self.documents:
            raise OSError("no route")
        return json.dumps(self.documents[url]).encode()


def token(**claims: Any) -> Any:
    base = {"iss": URL, "aud": "me", "sub": "jane", "exp": NOW + 60}
    return SIGNING.sign({k: v for k, v in {**base, **claims}.items() if v is not None})


def tokens(provider: Any = None, **more: Any) -> OIDCTokens:
    issuer = OIDCIssuer(url=URL, audiences=("me",), **more)
    return OIDCTokens(issuer, provider or Provider(), ["api"], now=Clock(NOW))


def ask(authenticator: Any, text: str, *audiences: Any) -> Any:
    return asyncio.run(authenticator.authenticate_token(text, audiences))


def test_claims_make_a_user_and_keys_are_fetched_once() -> None:
    provider = Provider()
    authenticator = tokens(
        provider, username_prefix="oidc:", groups_claim="roles", groups_prefix="g:", uid_claim="id"
    )
    for _ in range(2):
        found = ask(authenticator, token(roles=["a", "b"], id="7", jti="j"), "api")
        assert (found.user.name, found.user.uid, found.user.groups) == ("oidc:jane", "7", ("g:a", "g:b"))
        assert found.user.extra == {"authentication.kubernetes.io/credential-id": ["JTI=j"]}
        assert found.audiences == ("api",)
    assert len(provider.fetched) == 2
    assert ask(authenticator, token(roles="one", id="7"), "api").user.groups == ("g:one",)
    assert ask(authenticator, token(id="7"), "other") is None


def test_requests_that_come_together_wait_for_one_fetch() -> None:
    provider = Provider()
    authenticator = tokens(provider)

    async def both() -> Any:
        return await asyncio.gather(*[authenticator.authenticate_token(token(), ()) for _ in range(3)])

    assert [i.user.name for i in asyncio.run(both())] == ["jane"] * 3
    assert len(provider.fetched) == 2


@pytest.mark.parametrize(
    "text", ["", "a.b.c", SIGNING.sign({"iss": "https://else"}), SIGNING.sign({"iss": 1})]
)
def test_tokens_of_others_are_left_to_others(text: Any) -> None:
    assert ask(tokens(), text) is None


@pytest.mark.parametrize(
    ("claims", "more", "why"),
    [
        ({"exp": NOW - 1}, {}, "token is expired"),
        ({"exp": None}, {}, "token is expired"),
        ({"nbf": NOW + 301}, {}, "not before"),
        ({"aud": ["you"]}, {}, r'expected audience in \["me"\] got \["you"\]'),
        ({"sub": None}, {}, 'parse username claims "sub": claim not present'),
        ({"email": "j@x", "email_verified": False}, {"username_claim": "email"}, "email not verified"),
        ({"roles": [1]}, {"groups_claim": "roles"}, 'parse groups claim "roles"'),
        ({}, {"required": {"hd": "x"}}, "required claim hd not present in ID token"),
        ({"hd": "y"}, {"required": {"hd": "x"}}, "Got = y, want = x"),
        ({}, {"algorithms": ("ES256",)}, "failed to verify signature"),
    ],
)
def test_why_a_token_is_void(claims: dict[str, Any], more: dict[str, Any], why: str) -> None:
    with pytest.raises(errors.Unauthorized, match=why):
        ask(tokens(**more), token(**claims))


def test_a_provider_must_be_the_issuer_and_be_there() -> None:
    with pytest.raises(errors.Unauthorized, match="not initialized: oidc: issuer did not match"):
        ask(tokens(Provider(issuer="https://else")), token())
    absent = Provider()
    absent.documents.clear()
    authenticator = tokens(absent)
    with pytest.raises(errors.Unauthorized, match="no route"):
        ask(authenticator, token())
    with pytest.raises(errors.Unauthorized, match="no key found"):
        ask(authenticator, token())
    with pytest.raises(errors.Unauthorized, match="no key found"):
        ask(tokens(Provider(keys.generate())), token())


def test_the_prefix_flag_has_its_own_language() -> None:
    assert username_prefix("sub", "", URL) == URL + "#"
    assert username_prefix("email", "", URL) == ""
    assert username_prefix("sub", "-", URL) == ""
    assert username_prefix("email", "x:", URL) == "x:"


@pytest.mark.parametrize("more", [{"url": "http://x"}, {"url": URL, "algorithms": ("HS256",)}])
def test_an_issuer_must_be_safe(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="oidc"):
        OIDCIssuer(audiences=("me",), **more)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": None}, "token is expired"),
        ({"exp": True}, "failed to unmarshal claims"),
        ({"exp": 10**300}, "token is expired"),
        ({"nbf": "later"}, "failed to unmarshal claims"),
        ({"iat": []}, "failed to unmarshal claims"),
        ({"aud": 7}, "failed to unmarshal claims"),
        ({"aud": ["me", 7]}, "failed to unmarshal claims"),
    ],
)
def test_claims_of_wrong_types_are_refused(claims: dict[str, Any], why: str) -> None:
    with pytest.raises(errors.Unauthorized, match=why):
        ask(tokens(), token(**claims), "api")


def test_a_token_that_never_expires_is_none() -> None:
    assert ask(tokens(), token(exp=float("nan")), "api") is None
    assert ask(tokens(), token(exp=float("inf")), "api") is None


def test_a_provider_is_asked_again_for_keys_that_are_unknown_but_not_at_once() -> None:
    clock, provider = Clock(), Provider(keys.generate())
    issuer = OIDCIssuer(url=URL, audiences=("me",))
    authenticator = OIDCTokens(issuer, provider, ["api"], clock, Clock(NOW))
    with pytest.raises(errors.Unauthorized, match="no key found"):
        ask(authenticator, token())
    provider.documents[f"{URL}/keys"] = keys.jwks(keys.load_public(PEM))
    clock.now += 9.9
    with pytest.raises(errors.Unauthorized, match="no key found"):
        ask(authenticator, token())
    clock.now += 0.1
    assert ask(authenticator, token()).user.name == "jane"
