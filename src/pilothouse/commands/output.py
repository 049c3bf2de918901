"""The output of commands: documents in JSON or YAML, tables, and colours where a terminal shows them."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Self, TextIO

from pilothouse.api.values.fields import Object
from pilothouse.configuration.flags import Flag, FlagError

TABLE, WIDE = "table", "wide"
FORMATS = ("json", "table", "wide", "yaml")
DOCUMENTS = ("json", "yaml")
FLAG = Flag("output", "string", TABLE, "command",
            "json or yaml: all that is known; table; wide: with more columns.", short="o")  # fmt: skip
FILE_FLAG = Flag(
    "output", "string", "yaml", "command", "yaml or json: the form of the kubeconfig.", short="o"
)
"""Of commands that print a file."""

RED, GREEN, YELLOW, CYAN, DIM, BOLD = "31", "32", "33", "36", "2", "1"


def chosen(form: str, allowed: Sequence[str] = FORMATS) -> str:
    """A format of --output; FlagError as kubectl words it."""
    if form not in allowed:
        raise FlagError(
            f'unable to match a printer suitable for the output format "{form}", '
            f"allowed formats are: {','.join(allowed)}"
        )
    return form


def document(found: Object, form: str) -> str:
    """An object as a document, without the line end."""
    if form == "yaml":
        import yaml

        return yaml.safe_dump(found, sort_keys=False, allow_unicode=True).rstrip("\n")
    return json.dumps(found, indent=2)


def tell(found: Object, form: str, lines: Iterable[str]) -> None:
    """Print an object as a document, or the lines that say the same."""
    print(document(found, form) if form in DOCUMENTS else "\n".join(lines))


class Results:
    """Tells what was done with each of several objects: by a line at once, or by one document at the end,
    also when the command fails on its way."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._items: list[Object] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._form in DOCUMENTS:
            print(document({"items": self._items}, self._form))

    def add(self, line: str, **members: object) -> None:
        """Tell of one object."""
        self._items.append(members)
        if self._form not in DOCUMENTS:
            print(line)


def items(rows: Sequence[Sequence[object]]) -> Object:
    """The rows of a table below its head as a document: {"items": [{"dbSize": "1 MiB"}]}."""
    names = [_member(str(name)) for name in rows[0]]
    plain = (str, int, float, bool, type(None))
    texts = [[cell if isinstance(cell, plain) else str(cell) for cell in row] for row in rows[1:]]
    return {"items": [dict(zip(names, row, strict=True)) for row in texts]}


def _member(head: str) -> str:
    first, *others = head.lower().split()
    return first + "".join(word.capitalize() for word in others)


def coloured(out: TextIO | None = None) -> bool:
    """Whether colours are wanted: on a terminal that has them, unless NO_COLOR is set (no-color.org)."""
    shown = sys.stdout if out is None else out
    return shown.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, colour: str, on: bool) -> str:
    """A text in a colour, where colours are on."""
    return f"\x1b[{colour}m{text}\x1b[0m" if on and colour else text


def colour_of(code: int) -> str:
    """The colour of an HTTP status."""
    return RED if code >= 500 else YELLOW if code >= 400 else ""


def printable(text: str) -> str:
    """A text whose control characters are written as escapes: a client may have put them into a path, and
    a terminal would obey them."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def columns(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Rows in columns that are as wide as their longest cell."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return [
        gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown
    ]
