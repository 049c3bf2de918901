"""URLs as Go parses them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.urls import parsed


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://h/\r\n", 'parse "https://h/\\r\\n": net/url: invalid control character in URL'),
        ("https://h\x7f", 'parse "https://h\\x7f": net/url: invalid control character in URL'),
        (":x", 'parse ":x": missing protocol scheme'),
        ("https://[::1", "parse \"https://[::1\": missing ']' in host"),
        ("https://h/%", 'parse "https://h/%": invalid URL escape "%"'),
        ("https://h/%2", 'parse "https://h/%2": invalid URL escape "%2"'),
        ("https://a b/", 'parse "https://a b/": invalid character " " in host name'),
        ("https://h:1x/", 'parse "https://h:1x/": invalid port ":1x" after host'),
    ],
)
def test_what_go_does_not_parse(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        parsed(url)


@pytest.mark.parametrize("url", ["https://h", "https://u:p@[::1]:8443/a%20b?%zz#f", "https://h:/", "a", ""])
def test_what_go_parses(url: str) -> None:
    assert parsed(url).geturl() == url


@given(st.text(max_size=20).map("https://h/{}".format))
def test_nothing_that_is_parsed_has_control_characters(url: str) -> None:
    try:
        parts = parsed(url)
    except ValueError as error:
        assert str(error).startswith("parse ")
    else:
        assert not any(ord(char) < 0x20 for part in parts for char in part)
