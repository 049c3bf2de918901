import base64

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.storage.keys import (
    decode_continue,
    encode_continue,
)

P = "/registry/pods/"


def token(text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else text.encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def test_token_is_upstreams() -> None:
    made = encode_continue(P + "ns/a", P, 7)
    assert base64.urlsafe_b64decode(made + "==") == b'{"v":"meta.k8s.io/v1","rv":7,"start":"ns/a\\u0000"}'
    assert decode_continue(made, P) == (P + "ns/a\0", 7, "")
    assert decode_continue(encode_continue(P + "ns/a", P, 7, "some"), P) == (P + "ns/a\0", 7, "some")


def test_foreign_prefix() -> None:
    with pytest.raises(ValueError, match="do not match"):
        encode_continue("/registry/secrets/a", P, 7)


@settings(max_examples=25 * SCALE)
@given(st.text(st.characters(codec="utf-8", exclude_characters="/."), min_size=1), st.integers(1, 1 << 62))
def test_round_trip(name: str, revision: int) -> None:
    key = f"{P}ns/{name}"
    assert decode_continue(encode_continue(key, P, revision), P) == (key + "\0", revision, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"v":"meta.k8s.io/v2"}', ": server does not recognize this encoded version meta.k8s.io/v2"),
        ('{"v":"meta.k8s.io/v1"}', ": incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        ('{"v":"meta.k8s.io/v1","rv":1}', ": encoded start key empty (version meta.k8s.io/v1)"),
        ('{"v":"meta.k8s.io/v1","rv":1,"start":"../../a"}', ": ../../a"),
        ('{"v":"meta.k8s.io/v1","rv":1,"start":"a//b"}', ": a//b"),
        ("", ": unexpected end of JSON input"),
        ('{"v":', ": unexpected end of JSON input"),
        ('{"v":"a', ": unexpected end of JSON input"),
        (b"\x81", ": invalid character '\\u0081' looking for beginning of value"),
        ("x", ": invalid character 'x' looking for beginning of value"),
        ("{} x", ": invalid character 'x' after top-level value"),
        ('{"v" 1}', ": invalid character '1' after object key"),
        ('{"v":1 1}', ": invalid character '1' after object key:value pair"),
        ("[1 1]", ": invalid character '1' after array element"),
        ("{1}", ": invalid character '1' looking for beginning of object key string"),
        ("[]", ": json: cannot unmarshal array into Go value of type storage.continueToken"),
        ('{"v":1}', ": json: cannot unmarshal number into Go struct field continueToken.v of type string"),
        (
            '{"rv":1.5}',
            ": json: cannot unmarshal number 1.5 into Go struct field continueToken.rv of type int64",
        ),
        ('{"rv":"1"}', ": json: cannot unmarshal string into Go struct field continueToken.rv of type int64"),
        ("null", ": server does not recognize this encoded version "),
    ],
)
def test_bad_tokens(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r"^continue key is not valid") as caught:
        decode_continue(token(text), P)
    assert str(caught.value) == "continue key is not valid" + message


@pytest.mark.parametrize(("text", "at"), [("?", 0), ("ab=", 2), ("abcde", 4), ("é", 0)])
def test_bad_base64(text: str, at: int) -> None:
    with pytest.raises(ValueError, match=f"illegal base64 data at input byte {at}$"):
        decode_continue(text, P)


@settings(max_examples=50 * SCALE)
@given(st.one_of(st.text(), st.binary().map(token)))
def test_garbage(text: str) -> None:
    with pytest.raises(ValueError, match=r"^continue key is not valid"):
        decode_continue(text, P)
