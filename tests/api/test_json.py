"""JSON as Go reads it, compared with the standard library and orjson."""

import ctypes
import json as std
from typing import Any

import orjson
import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api import _schema, json

VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=30 * SCALE)
@given(VALUES, st.booleans())
def test_scan_agrees_with_the_standard_library(value: Any, ascii: bool) -> None:
    text = std.dumps(value, ensure_ascii=ascii, allow_nan=False)
    data = text.encode("utf-8", "surrogatepass")
    assert _schema.as_plain(_schema.scan(data)) == std.loads(text)


@settings(max_examples=30 * SCALE)
@given(VALUES)
def test_colons_are_members(value: Any) -> None:
    def members(part: Any) -> int:
        if isinstance(part, dict):
            return len(part) + sum(members(item) for item in part.values())
        return sum(members(item) for item in part) if isinstance(part, list) else 0

    assert _schema.count_colons(std.dumps(value).encode()) == members(value)


@settings(max_examples=75 * SCALE)
@given(st.text(alphabet='{}[]",:\\/ 01e-+.truefalsn\n\x00u', max_size=12))
def test_scan_refuses_what_the_standard_library_refuses(text: str) -> None:
    try:
        expected = std.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        with pytest.raises(_schema.ScanError):
            _schema.scan(text.encode())
    else:
        assert _schema.as_plain(_schema.scan(text.encode())) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "unexpected end of JSON input"),
        (b"{", "unexpected end of JSON input"),
        (b'"a', "unexpected end of JSON input"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b"{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":01}', "invalid character '1' after object key:value pair"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b"nul!", "invalid character '!' in literal null (expecting 'l')"),
        (b"-x", "invalid character 'x' in numeric literal"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"1ex", "invalid character 'x' in exponent of numeric literal"),
        (b'"\n"', "invalid character '\\n' in string literal"),
        (b'"\\q"', "invalid character 'q' in string escape code"),
        (b'"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
        (b"\xff", "invalid character 'ÿ' looking for beginning of value"),
        (b"[" * 10001, "invalid character '[' exceeded max depth"),
    ],
)
def test_syntax_errors_are_gos(data: bytes, message: str) -> None:
    with pytest.raises(_schema.ScanError) as caught:
        _schema.scan(data)
    assert str(caught.value) == message


def test_surrogates_that_stand_alone_are_repaired() -> None:
    assert json.parse(b'{"b":"\\ud800x","c":"\\ud83d\\ude00"}') == {"b": "\ufffdx", "c": "😀"}


@pytest.mark.parametrize(
    ("data", "at"),
    [(b'{"a":"b\xff"}', 7), (b'{"\xe2\x82":1}', 2), (b'"\xc0\xaf"', 1), (b'["\\n\xed\xa0\x80"]', 4)],
)
def test_what_is_not_utf8_ends_at_the_first_wrong_byte(data: bytes, at: int) -> None:
    for read in (json.parse, _schema.scan):
        with pytest.raises(_schema.ScanError, match=f"^invalid UTF-8 in string literal at byte {at}$"):
            read(data)


def test_too_deep() -> None:
    with pytest.raises(json.DecodeError, match="exceeded max depth"):
        json.parse(b"[" * 3000 + b"]" * 3000)


def test_dump_goes_deeper_than_orjson() -> None:
    value: Any = 1
    for _ in range(400):
        value = {"a": value}
    assert std.loads(json.dump(value)) == value
    assert json.dump({"n": 2**70}) == b'{"n":%d}' % 2**70


def test_what_orjson_refuses_is_written_alike_around() -> None:
    value = {"b": [2.22e-09, "é\n"], "a": "\ud800", "n": 2**64}
    assert json.dump(value) == '{"b":[2.22e-9,"é\\n"],"a":"?","n":18446744073709551616}'.encode()
    assert json.dump(value, sort=True).startswith(b'{"a":"?","b":')


def test_what_is_kept_takes_no_more_room_than_it_needs() -> None:
    """For bytes of this length, `malloc_usable_size` returns the size of the block that holds them:
    they begin with it."""
    usable = ctypes.CDLL(None).malloc_usable_size
    usable.argtypes, usable.restype = (ctypes.c_void_p,), ctypes.c_size_t
    written = orjson.dumps({"a": "x" * 1000})
    kept = json.compact(written)
    assert kept == written and kept is not written
    assert usable(id(kept)) < len(kept) + 100 < usable(id(written))


def test_pretty() -> None:
    assert json.pretty(b'{"a":[1]}') == orjson.dumps({"a": [1]}, option=orjson.OPT_INDENT_2)


NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(ANYTHING)
def test_parts_make_the_whole(value: Any) -> None:
    whole = json.dump(value)
    assert json.dump_parts(value, len(whole)) == whole
    assert json.dump_parts(value, len(whole) - 1) is None


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_long_values_in_parts(count: int) -> None:
    for value in (
        list(range(count)),
        {f"k{i}": {"a": [i]} for i in range(count)},
        {"spec": {"items": [{"a": {"b": [{}, [], "x"]}}] * count}},
    ):
        assert json.dump_parts(value, 1 << 30) == json.dump(value)


def test_documents_with_too_many_parts_are_refused() -> None:
    with pytest.raises(json.DecodeError, match="more than 200000 objects and arrays"):
        json.parse(b'{"a":[' + b"[]," * 250_000 + b"[]]}")
    with pytest.raises(json.DecodeError, match="more than 500000 values"):
        json.parse(b'{"a":[' + b"0," * 600_000 + b"0]}")
    text = b'{"a":"' + b"[" * 3_000_000 + b'"}'
    assert json.parse(text) == orjson.loads(text)  # in a string they are none


def test_documents_with_many_members_are_the_same() -> None:
    value = {f"k{i}": [i, "x"] for i in range(120_000)}
    data = orjson.dumps(value)
    assert json.takes_long(data) and json.parse(data) == value
