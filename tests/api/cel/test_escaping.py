"""Names of properties as identifiers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.cel import escape, unescape


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("name", "name"),
        ("a_b", "a_b"),
        ("a__b", "a__underscores__b"),
        ("a.b-c/d", "a__dot__b__dash__c__slash__d"),
        ("namespace", "__namespace__"),
        ("in", "__in__"),
        ("_", "_"),
        ("", None),
        ("1a", None),
        ("$ref", None),
        ("é", None),
    ],
)
def test_escape(name: str, identifier: str | None) -> None:
    assert escape(name) == identifier


def test_what_is_no_escaped_name() -> None:
    assert unescape("__nope__") is None
    assert unescape("a__in__") is None


@given(st.text("ab_.-/1", min_size=1, max_size=8))
def test_there_and_back(name: str) -> None:
    identifier = escape(name)
    if identifier is None:
        assert name[0] == "1"
        return
    assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", identifier)
    assert unescape(identifier) == name
