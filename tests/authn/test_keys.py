"""Signing keys and key sets."""

import base64
import json
from typing import Any

import pytest
from coroutines import at_once
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from rsa_pem import rsa_pem

from pilothouse.authn import keys

RSA = rsa_pem()


def pem(key: Any) -> bytes:
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


@pytest.mark.parametrize(
    ("private", "alg", "members"),
    [
        (RSA, "RS256", {"n", "e"}),
        (pem(ec.generate_private_key(ec.SECP256R1())), "ES256", {"crv", "x", "y"}),
        (pem(ec.generate_private_key(ec.SECP384R1())), "ES384", {"crv", "x", "y"}),
        (pem(ec.generate_private_key(ec.SECP521R1())), "ES512", {"crv", "x", "y"}),
    ],
)
def test_what_a_key_signs_its_public_half_verifies(private: Any, alg: str, members: set[str]) -> None:
    signing, public = keys.load_private(private), keys.load_public(private)
    token = signing.sign({"sub": "x"})
    header, claims = keys.read(token)
    assert header == {"alg": alg, "kid": public[0].kid} and claims == {"sub": "x"}
    keys.verify(token, header, public)
    (jwk,) = keys.jwks([*public, *public])["keys"]
    assert set(jwk) == {"kty", "use", "alg", "kid"} | members
    assert keys.algorithms(public) == [alg]


def test_a_key_that_the_server_has_made_signs_and_verifies() -> None:
    pem = keys.new_private()
    public, sign = keys.OwnKeys(pem), keys.signing_by(pem)
    [key] = at_once(public.find(""))
    assert [key.kid] == [one.kid for one in keys.load_public(pem)]
    assert at_once(public.find(key.kid)) == [key] and at_once(public.find("other")) == []
    assert public.published() == (key,)

    async def signed(number: int) -> str:
        return await sign({"number": number})

    for number in range(2):
        token = at_once(signed(number))
        header, claims = keys.read(token)
        assert header["kid"] == key.kid and claims == {"number": number}
        keys.verify(token, header, [key])


def test_a_file_may_hold_several_keys_and_certificates(authority: Any) -> None:
    text = RSA + authority.pem
    loaded = keys.load_public(text)
    assert [k.alg for k in loaded] == ["RS256", "ES256"]


@pytest.mark.parametrize("text", [b"", b"junk", pem(ed25519.Ed25519PrivateKey.generate())])
def test_other_keys_are_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="key"):
        keys.load_public(text)


def test_a_token_of_another_key_or_algorithm_is_refused() -> None:
    signing = keys.load_private(RSA)
    token = signing.sign({})
    header, _ = keys.read(token)
    other = keys.load_public(rsa_pem("other"))
    with pytest.raises(keys.BadSignature, match="no keys found"):
        keys.verify(token, header, other)
    with pytest.raises(keys.BadSignature, match="primitive"):
        keys.verify(token, {}, other)


@settings(max_examples=25 * SCALE)
@given(st.text(alphabet="ab.{}[]eyJ-_=", max_size=30))
def test_any_text_is_read_without_a_crash(text: Any) -> None:
    keys.read(text)


def parts(header: Any, claims: str = "{}") -> str:
    return ".".join(base64.urlsafe_b64encode(t.encode()).rstrip(b"=").decode() for t in (header, claims, "s"))


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ('{"alg":"RS256","alg":"RS256"}', "{}"),
        ("{}", '{"iss":"a","iss":"b"}'),
        ("{}", '{"exp":NaN}'),
        ("{}", '{"exp":-Infinity}'),
        ('{"kid":5}', "{}"),
        ('{"alg":["RS256"]}', "{}"),
        ("[]", "{}"),
        ("{}", "[" * 100_000),
        ("{}", '{"n":' + "1" * 5000 + "}"),
    ],
)
def test_what_go_jose_does_not_read_is_no_token(header: str, claims: str) -> None:
    assert keys.read(parts(header, claims)) is None
    assert keys.read(parts("{}")) == ({}, {})


ISSUERS = [
    ('{"iss":"https://a"}', ["https://a"]),
    ('{"sub":"x", "iss" : "https:\\/\\/a"}', ["https://a"]),
    ('{"act":{"iss":"https://b"},"iss":"https://a","x":{"iss":"https://b"}}', ["https://b", "https://a"]),
    ('{"iss":"\\u00e4"}', ["ä"]),
    ('{"iss":"ä"}', ["ä"]),
    ('{"iss":1}', []),
    ('{"\\u0069ss":"a"}', []),
    ('{"iss":""}', []),
    ('{"iss":"a', []),
    ("[" * 9000, []),
    ('{"iss":"a"},' * 3000, ["a"]),
    (",".join(f'"iss":"{n}"' for n in range(3000)), [str(n) for n in range(8)]),
]


@pytest.mark.parametrize(("claims", "wanted"), ISSUERS)
def test_the_issuer_is_found_without_parsing(claims: str, wanted: list[str]) -> None:
    token = keys.compact(parts("{}", claims))
    assert token is not None and token.issuers() == wanted


@settings(max_examples=50 * SCALE)
@given(
    issuer=st.text(min_size=1, max_size=30),
    more=st.dictionaries(st.text(max_size=9), st.text(max_size=9) | st.integers() | st.none(), max_size=4),
    ascii_only=st.booleans(),
)
def test_the_issuer_of_any_claims_is_among_those_found(
    issuer: str, more: dict[str, Any], ascii_only: bool
) -> None:
    claims = json.dumps({**more, "iss": issuer}, ensure_ascii=ascii_only)
    token = keys.compact(parts("{}", claims))
    assert token is not None and issuer in token.issuers()


@settings(max_examples=25 * SCALE)
@given(st.binary(max_size=60).map(lambda data: b'{"iss":"' + data))
def test_any_payload_is_scanned_without_a_crash(payload: bytes) -> None:
    token = keys.compact(f"e30.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.cw")
    assert token is not None and all(isinstance(issuer, str) for issuer in token.issuers())


@pytest.mark.parametrize("name", ["\ud800", "a\udfff", "\udc00\ud800"])
def test_half_a_surrogate_pair_is_no_text(name: str) -> None:
    """Nobody could write such a name: answers with it failed with 500."""
    for claims in ({"sub": name}, {name: 1}, {"groups": [[name]]}):
        token = keys.compact(parts("{}", json.dumps(claims)))
        assert token is not None and token.claims() is None
    token = keys.compact(parts(json.dumps({"kid": name}), json.dumps({"sub": "\U0001f600"})))
    assert token is not None and token.header() is None and token.claims() == {"sub": "\U0001f600"}


def test_long_claims_of_many_parts_are_not_parsed() -> None:
    empty: list[dict[str, int]] = [{}] * keys.MAX_PARTS
    for many in (empty, {str(i): i for i in range(keys.MAX_PARTS)}):
        token = keys.compact(parts("{}", json.dumps({"x": many})))
        assert token is not None and token.claims() is None
    groups = ["some:group"] * 50_000
    token = keys.compact(parts("{}", json.dumps({"groups": groups})))
    assert token is not None and token.claims() == {"groups": groups}


def test_a_long_header_is_not_parsed() -> None:
    token = keys.compact(parts(json.dumps({"alg": "RS256", "x": "y" * keys.MAX_HEADER})))
    assert token is not None and token.header() is None


def test_padding_and_other_encodings_make_no_token() -> None:
    assert keys.read("e30=.e30.c2ln") is None
    utf16 = base64.urlsafe_b64encode("{}".encode("utf-16")).rstrip(b"=").decode()
    assert keys.read(f"{utf16}.e30.c2ln") is None
