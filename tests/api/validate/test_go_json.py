"""The messages of Go's encoding/json for invalid JSON."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rules import gives

from pilothouse.api.validate.go_json import syntax_error

test_syntax_errors = gives(syntax_error, [
    (b"", "unexpected end of JSON input"),
    (b"{", "unexpected end of JSON input"),
    (b"not json", "invalid character 'o' in literal null (expecting 'u')"),
    (b"{a", "invalid character 'a' looking for beginning of object key string"),
    (b"{} x", "invalid character 'x' after top-level value"),
    (b'{"a" 1}', "invalid character '1' after object key"),
    (b'{"a": 1 2}', "invalid character '2' after object key:value pair"),
    (b"{1: 2}", "invalid character '1' looking for beginning of object key string"),
    (b'{"a": 1,}', "invalid character '}' looking for beginning of object key string"),
    (b"[1 2]", "invalid character '2' after array element"),
    (b"[1,", "unexpected end of JSON input"),
    (b"[]]", "invalid character ']' after top-level value"),
    (b"nul", "unexpected end of JSON input"),
    (b"nulk", "invalid character 'k' in literal null (expecting 'l')"),
    (b'"a', "unexpected end of JSON input"),
    (b'"a\nb"', "invalid character '\\n' in string literal"),
    (b'"\\x"', "invalid character 'x' in string escape code"),
    (b'"\\u00g0"', "invalid character 'g' in \\u hexadecimal character escape"),
    (b"-", "unexpected end of JSON input"),
    (b"-x", "invalid character 'x' in numeric literal"),
    (b"01", "invalid character '1' after top-level value"),
    (b"1.", "unexpected end of JSON input"),
    (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
    (b"1e", "unexpected end of JSON input"),
    (b"1e+x", "invalid character 'x' in exponent of numeric literal"),
    (b"?", "invalid character '?' looking for beginning of value"),
    (b"{}", ""),
    (b' {"a": [1, -0.5e+3, true, false, null, "\\u00e9\\n"], "b": {}, "c": []} ', ""),
])  # fmt: skip

_JSON = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text()), lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)), max_leaves=8)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(_JSON)
def test_good_json_has_no_fault(value: object) -> None:
    assert syntax_error(json.dumps(value).encode()) == ""


@given(st.binary(max_size=12))
def test_bad_json_is_told_as_python_does(data: bytes) -> None:
    try:
        json.loads(data.decode("utf-8"), parse_constant=lambda text: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return
    if data.isascii() and b"\x00" not in data:
        assert syntax_error(data) == ""
