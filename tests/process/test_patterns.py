import re

import pytest

from pilothouse.process.patterns import pattern


def test_it_is_a_compiled_expression() -> None:
    letters = pattern("[a-z]+", re.IGNORECASE)
    assert letters.fullmatch("Ab") and not letters.fullmatch("1")
    assert letters.sub("-", "1a2b") == "1-2-" and letters.pattern == "[a-z]+"
    assert pattern(rb"\d").search(b"a1")


def test_it_is_compiled_once_and_not_before_it_is_used() -> None:
    broken = pattern("(")
    with pytest.raises(re.error):
        broken.match("a")
    digits = pattern("[0-9]")
    assert digits.match is digits.match
