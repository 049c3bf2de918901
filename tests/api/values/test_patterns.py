"""Short texts, which `re` matches, and long ones, which RE2 matches, give the same result."""

import re
from typing import Any

import pytest

from pilothouse.api.values import names
from pilothouse.api.values.patterns import LONG, Pattern


@pytest.mark.parametrize(
    "pattern", [names._SUBDOMAIN, names._LABEL_VALUE, f"(?i:{names._SUBDOMAIN})", "[ -<>-~]*"]
)
@pytest.mark.parametrize("part", ["a", "a.", ".", "a-", "-", "_", "A", "\n", "\u00e9", "=", "\ud800"])
@pytest.mark.parametrize("end", ["", "a", "!", "\n", "\u212a"])
def test_long_texts_are_matched_as_short_ones(pattern: Any, part: str, end: str) -> None:
    text = part * LONG * 2 + end
    found = Pattern(pattern).fullmatch(text)
    assert found == Pattern(pattern).fullmatch(part * 4 + end)
    assert found == (re.fullmatch(pattern, text) is not None)
