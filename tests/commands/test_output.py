"""Documents, colours and columns."""

import io
import json

import pytest
import yaml

from pilothouse.commands import output
from pilothouse.configuration.flags import FlagError

FOUND = {"b": [1, {"c": "d: e"}], "a": None, "text": "ü\nx"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_documents(form: str, read: object) -> None:
    text = output.document(FOUND, output.chosen(form))
    assert callable(read) and read(text) == FOUND
    assert list(read(text)) == list(FOUND) and not text.endswith("\n")


def test_unknown_formats_are_refused_as_kubectl_does() -> None:
    with pytest.raises(FlagError, match='output format "xml", allowed formats are: json,table,wide,yaml'):
        output.chosen("xml")


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.coloured(Terminal()) and not output.coloured(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not output.coloured(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.coloured(Terminal())
    assert output.painted("x", output.RED, on=True) == "\x1b[31mx\x1b[0m"
    assert output.painted("x", output.RED, on=False) == output.painted("x", "", on=True) == "x"
    assert [output.colour_of(code) for code in (200, 404, 500)] == ["", output.YELLOW, output.RED]


def test_columns_are_as_wide_as_their_longest_cell() -> None:
    assert output.columns([("A", "B"), ("long", "b"), ("", "")]) == ["A     B", "long  b", ""]
    assert output.columns([("A", "B"), ("\x1b[2J", "b")], " ") == ["A       B", "\\x1b[2J b"]


def test_control_characters_are_written_as_escapes() -> None:
    assert output.printable("/a b/ü[/x]") == "/a b/ü[/x]"
    assert output.printable("\x1b]0;x\x07\n\u202e\x9b") == "\\x1b]0;x\\x07\\n\\u202e\\x9b"
