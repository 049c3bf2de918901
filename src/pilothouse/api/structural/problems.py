"""Validation problems in a compact form; messages are formatted only for the causes of an error."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from pilothouse.api import json
from pilothouse.api.structural.paths import Path, show
from pilothouse.api.values.fields import Errors
from pilothouse.gotext import quote

MOST_PROBLEMS = 2000
"""Problems that are kept per value: more than an error lists. Each takes about 500 bytes."""
MOST_TEXT = 512 << 10
"""Characters of causes that are formatted per value; the first cause is always included."""


class SchemaProblem(NamedTuple):
    """One validation problem.

    path: of the value; words: a format string with {path}, {quoted} (the path in quotes), {value} and the
    `args`; problems with equal path, words and args are the same. what: the reason; value and valid: shown by
    the cause; name: the cause's path if it differs from `path`.
    """

    path: Path
    words: str
    args: tuple[str, ...] = ()
    what: str = "plain"
    value: Any = None
    valid: Any = None
    name: Path = None

    def text(self) -> str:
        """The formatted message."""
        path = show(self.path)
        quoted = quote(path) if "{quoted}" in self.words else ""
        value = quote(self.value) if "{value}" in self.words else ""
        return self.words.format(*self.args, path=path, quoted=quoted, value=value)


class SchemaResult:
    """Distinct problems, and the number of checks that the value passed,
    which selects the best alternative."""

    __slots__ = ("count", "problems")

    def __init__(self) -> None:
        self.problems: dict[tuple[Path, str, tuple[str, ...]], SchemaProblem] = {}
        self.count = 0

    def add(self, problem: SchemaProblem) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.setdefault(problem[:3], problem)

    def merge(self, other: "SchemaResult") -> None:
        """Take the problems of another result, which must not be used afterwards."""
        self.count += other.count
        if not other.problems:
            return
        if not self.problems:
            self.problems = other.problems
            return
        for problem in other.problems.values():
            self.add(problem)


def report(problems: Iterable[SchemaProblem], prefix: str, errs: Errors) -> None:
    """Add problems as causes; `prefix` is prepended to their paths, "" for a whole resource."""
    reported: set[str] = set()
    length = 0
    for problem in problems:
        text = problem.text()
        if text in reported:
            continue
        reported.add(text)
        _add(problem, text, prefix, errs)
        length += len(text) + len(errs.causes[-1]["message"]) + len(errs.causes[-1]["field"])
        if length > MOST_TEXT:
            return


def _add(problem: SchemaProblem, text: str, prefix: str, errs: Errors) -> None:
    if problem.what == "plain":
        errs.invalid(prefix or "<nil>", "", text)
        return
    name = show(problem.name or problem.path).removeprefix(".")
    path = f"{prefix}.{name}" if prefix and name else prefix or name or "<nil>"
    value = "" if problem.value is None else problem.value
    if problem.what == "required":
        errs.required(path)
    elif problem.what == "enum":
        errs.not_supported(path, problem.value, [_allowed(one) for one in problem.valid])
    elif problem.what == "too long":
        errs.too_long(path, problem.valid)
    elif problem.what == "too many":
        errs.too_many(path, problem.value, problem.valid)
    elif problem.what == "type":
        errs.type_invalid(path, value, text)
    else:
        errs.invalid(path, value, text)


def _allowed(value: Any) -> str:
    return value if isinstance(value, str) else json.dump(value).decode()
