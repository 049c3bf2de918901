import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse import gotext
from pilothouse.gotext import quote


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1"),
        (7000000, "7000000"),
        (1.0, "1"),
        (0.5, "0.5"),
        (100000.0, "100000"),
        (1e6, "1e+06"),
        (123456789.25, "1.2345678925e+08"),
        (9223372036854775808.0, "9.223372036854776e+18"),
        (0.0001, "0.0001"),
        (0.00000123, "1.23e-06"),
        (-0.0, "-0"),
        (float("inf"), "+Inf"),
    ],
)
def test_numbers_are_written_as_by_percent_v(number: float, text: str) -> None:
    assert gotext.value(number) == text


@pytest.mark.parametrize(
    ("data", "text", "kind"),
    [
        ({"b": [True, None], "a": 1e30}, "map[a:1e+30 b:[true <nil>]]", "map[string]interface {}"),
        (1.5, "1.5", "float64"),
        (True, "true", "bool"),
        ("a", "a", "string"),
    ],
)
def test_values_and_their_types(data: Any, text: str, kind: str) -> None:
    assert (gotext.value(data), gotext.type_name(data)) == (text, kind)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("\a\b\f\n\r\t\v", '"\\a\\b\\f\\n\\r\\t\\v"'),
        ("\x00\x1f\x7f", '"\\x00\\x1f\\x7f"'),
        ("\x80", '"\\u0080"'),
        ("\u200b", '"\\u200b"'),
        ("\U000e0001", '"\\U000e0001"'),
        ("ä€😀", '"ä€😀"'),
        ("\u2028", '"\\u2028"'),
    ],
)
def test_quotes_of_go(text: str, quoted: str) -> None:
    assert quote(text) == quoted


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_printable_ascii_is_quoted_as_in_json(text: Any) -> None:
    assert json.loads(quote(text)) == text


@given(st.text())
def test_quoting_is_go_s(text: Any) -> None:
    out = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif char in "\a\b\f\n\r\t\v":
            out.append(
                repr(char)[1:-1] if char in "\n\r\t" else {7: "\\a", 8: "\\b", 12: "\\f", 11: "\\v"}[code]
            )
        elif code < 0x20 or code == 0x7F:
            out.append(f"\\x{code:02x}")
        elif char.isprintable():
            out.append(char)
        else:
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    assert quote(text) == '"' + "".join(out) + '"'


@pytest.mark.parametrize("text", ["x" * 1024, "\n" * 1024])
def test_a_text_of_1024_characters_is_quoted_whole(text: str) -> None:
    assert quote(text) == gotext.literal(text) and gotext.short(text) == text


@given(st.text(min_size=1025, max_size=1100))
def test_of_a_longer_text_the_beginning_is_quoted(text: str) -> None:
    rest = f"... ({len(text) - 128} characters left out)"
    assert quote(text) == gotext.literal(text[:128]) + rest
    assert gotext.short(text) == text[:128] + rest


def test_selectors_are_printed_as_their_structs() -> None:
    rule = {"key": "a", "operator": "In", "values": ["x", "y"]}
    assert gotext.label_selector({"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": [rule]}) == (
        "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},"
        "MatchExpressions:[]LabelSelectorRequirement{"
        "LabelSelectorRequirement{Key:a,Operator:In,Values:[x y],},},}"
    )
    assert gotext.label_selector(None) == "nil"


def test_a_long_object_stays_one() -> None:
    assert gotext.short_object("{}") == "{}"
    whole = "{" + "x" * 131_070 + "}"
    assert gotext.short_object(whole) == whole
    for text, end in (("{" + "x" * 131_071 + "}", "}"), ("map[" + "x" * 140_000 + "]", "]")):
        found = gotext.short_object(text)
        assert found.startswith(text[:128]) and found.endswith(f" characters left out){end}")
        assert quote(found) == gotext.literal(found)
