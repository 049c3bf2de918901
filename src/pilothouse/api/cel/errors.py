"""The faults of an expression, in the words and the form of cel-go (common/errors.go)."""

from typing import NamedTuple

MOST_REPORTED = 100
"""Errors of one expression that are told."""
_MAX_SNIPPET = 16384
_WIDE_DOT, _WIDE_MARK = "\uff0e", "\uff3e"


class CompileError(Exception):
    """An expression cannot be used; its text is what upstream puts behind "compilation failed: "."""


class Issue(NamedTuple):
    """One error. Offset -1 stands for no place."""

    at: int
    message: str


class Issues:
    """The errors of one expression."""

    __slots__ = ("found", "omitted", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.found: list[Issue] = []
        self.omitted = 0

    def add(self, at: int, message: str) -> None:
        if len(self.found) < MOST_REPORTED:
            self.found.append(Issue(at, message))
        else:
            self.omitted += 1

    def raise_any(self) -> None:
        """CompileError if there are errors."""
        if self.found:
            raise CompileError(self.show())

    def show(self) -> str:
        """All errors, sorted by place, each with the line it is in and a mark below."""
        places = sorted(
            [(*self._place(issue.at), issue.message) for issue in self.found], key=lambda one: one[:2]
        )
        lines = self.text.split("\n")
        out = [_show(lines, line, column, message) for line, column, message in places]
        if self.omitted:
            out.append(f"{self.omitted} more errors were truncated")
        return "\n".join(out)

    def _place(self, at: int) -> tuple[int, int]:
        if at < 0:
            return -1, -1
        if not self.text:  # cel-go finds the end of nothing before its first column
            return 1, -1
        line = self.text.count("\n", 0, at) + 1
        return line, at - (self.text.rfind("\n", 0, at) + 1)


def _show(lines: list[str], line: int, column: int, message: str) -> str:
    head = f"ERROR: <input>:{line}:{column + 1}: {message}"
    if not 0 < line <= len(lines) or column < 0 or len(lines[line - 1]) > _MAX_SNIPPET:
        return head
    snippet = lines[line - 1].replace("\t", " ")
    dots = "".join(_WIDE_DOT if ord(char) > 127 else "." for char in snippet[:column])
    mark = _WIDE_MARK if column < len(snippet) and ord(snippet[column]) > 127 else "^"
    return f"{head}\n | {snippet}\n | {dots}{mark}"
