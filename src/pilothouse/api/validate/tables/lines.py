"""Reads the text of tables of rules (rules.py): lines, and the lines that are indented below them."""

from typing import NamedTuple

from pilothouse.process.patterns import pattern

MEMBER = pattern(r"([^\[\]?!*+~-][^\[\]?!*+~]*?|(?=\[))(\[=?\])?(-\?|[!*+~-])?")
"""The subject of a line about a member: its path, whether it is a list, its mark."""
RANGE = pattern(r"(-?\d+)\.\.(\d+)")
COMPARED = pattern(r"(>=|<=|>|<)(-?\d+|[./]\w+)")
_OPTIONS = frozenset(("as", "as-root", "by", "show", "at", "most", "unique", "unique-first", "second"))


class TableError(ValueError):
    """A table that cannot be compiled. located: whether the text says in which line."""

    def __init__(self, text: str, located: bool = False) -> None:
        super().__init__(text)
        self.located = located


class Line(NamedTuple):
    """A line of a table, its number, and the lines that are indented below it."""

    number: int
    subject: str
    words: list[str]
    message: str
    below: "list[Line]"

    def __str__(self) -> str:
        return f"line {self.number}, `{' '.join((self.subject, *self.words))}`"

    def options(self) -> dict[str, str]:
        parts = (word.partition(":") for word in self.words)
        return {name: value for name, colon, value in parts if colon and name in _OPTIONS}

    def rules(self) -> list[str]:
        return [word for word in self.words if ":" not in word or word.partition(":")[0] not in _OPTIONS]


def parse(text: str) -> list[Line]:
    """The lines of a table as a tree, by their indentation."""
    out: list[Line] = []
    outer: list[tuple[int, list[Line]]] = [(-1, out)]
    for number, raw in enumerate(text.strip("\n").splitlines(), 1):
        words, _, message = raw.partition(" : ")
        if not words.strip():
            continue
        depth = len(raw) - len(raw.lstrip())
        while outer[-1][0] >= depth:
            outer.pop()
        subjects, *rest = words.split()
        below: list[Line] = []
        outer[-1][1].extend(
            Line(number, subject, rest, message.strip(), below) for subject in subjects.split(",")
        )
        outer.append((depth, below))
    return out
