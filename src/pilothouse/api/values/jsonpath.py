"""kubectl's dialect of JSONPath, for printer columns of custom resources (client-go util/jsonpath).

A path is written as between the braces of a kubectl template: `.spec.names[0]`, `..name`, `.a['b.c']`,
`.items[?(@.type=="Ready")].status`, `[0:2]`, `[*]`, `[0,2]`. Missing members yield no values.
"""

import operator
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from pilothouse.process.patterns import pattern

Find = Callable[[Any], list[Any]]
Left = list[int]
"""Number of values that may still be visited; all steps of a path decrement the same number."""
Step = Callable[[list[Any], Left], list[Any]]

MOST_VALUES = 10_000
"""Values that a path may visit in one object. Successive unions, filters and recursive descents multiply
their results; a table cell shows only the first, so no useful path needs more."""
MOST_CHARACTERS = 4096
"""Longest path, in characters; its compiled steps are kept as long as its definition is served."""

_KEY = pattern(r"'([^']*)'")
_SLICE = pattern(r"(-?[0-9]*)(:-?[0-9]*)?(:-?[0-9]*)?")
_FILTER = pattern(r"([^!<>=]+)([!<>=]+)(.+?)", re.DOTALL)
_NUMBER = pattern(r"[+-]?[0-9.]*")
_TERMINATORS = frozenset(" \t\r\n.,[]$@{}")
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip


class JSONPathError(ValueError):
    """A path is invalid, or does not fit the value that it is applied to; the message is upstream's."""


def compile(path: str) -> Find:
    """Compile a path to a function that returns the values it finds; both raise JSONPathError."""
    if len(path) > MOST_CHARACTERS:
        raise JSONPathError(f"a path of more than {MOST_CHARACTERS} characters")
    steps = _Parser(f"{{{path}}}").parse()

    def find(value: Any) -> list[Any]:
        return _run(steps, [value], [MOST_VALUES])

    return find


def _run(steps: list[Step], values: list[Any], left: Left) -> list[Any]:
    for step in steps:
        _count(left, len(values))
        values = step(values, left)
    return values


def _count(left: Left, values: int) -> None:
    """Count values before they are collected, at least one; raises JSONPathError beyond MOST_VALUES."""
    left[0] -= values or 1
    if left[0] < 0:
        raise JSONPathError(f"more than {MOST_VALUES} values to look at")


class _Parser:
    """Parses a template; only its first action counts, because a column shows only that."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def parse(self) -> list[Step]:
        first: list[Step] | None = None
        while (start := self.text.find("{", self.at)) >= 0:
            self.at = start + 1
            steps = self.action()
            first = steps if first is None else first
        return first or []

    def action(self) -> list[Step]:
        """The steps up to the closing brace."""
        steps: list[Step] = []
        recursive = False
        while not self.text.startswith("}", self.at):
            was, recursive = recursive, self.text.startswith("..", self.at)
            if recursive and was:
                raise JSONPathError("invalid multiple recursive descent")
            self.step(steps)
        self.at += 1
        return steps

    def step(self, steps: list[Step]) -> None:
        text, at = self.text, self.at
        char = text[at : at + 1]
        if text.startswith("[?(", at):
            steps.append(self.filter())
        elif text.startswith("..", at):
            self.at += 2
            steps.append(_recursive)
            if _word(text[self.at : self.at + 1]):
                steps.append(self.field())
        elif char in {"", "\r", "\n"}:
            raise JSONPathError("unclosed action")
        elif char in " @$":
            self.at += 1
        elif char == "[":
            self.array(steps)
        elif char in "\"'":
            steps.append(_constant(self.quoted(char)))
        elif char == ".":
            self.at += 1
            steps.append(self.field())
        elif char in "+-" or char.isdecimal():
            steps.append(self.number())
        elif _word(char):
            steps.append(self.identifier())
        else:
            shown = f" '{char}'" if char.isprintable() else ""
            raise JSONPathError(f"unrecognized character in action: U+{ord(char):04X}{shown}")

    def field(self) -> Step:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in _TERMINATORS:
            self.at += 2 if self.text[self.at] == "\\" else 1
        name = self.text[start : self.at]
        return _wildcard if name == "*" else _member(name.replace("\\", ""))

    def identifier(self) -> Step:
        start = self.at
        while self.text[self.at : self.at + 1] not in _TERMINATORS and self.at < len(self.text):
            self.at += 1
        name = self.text[start : self.at]
        if name in {"true", "false"}:
            raise JSONPathError(f"unexpected Node NodeBool: {name}")
        if name == "range":
            return lambda values, left: values
        return _failure(
            "not in range, nothing to end" if name == "end" else f"unrecognized identifier {name}"
        )

    def number(self) -> Step:
        found = _NUMBER.match(self.text, self.at)
        text = found.group() if found else ""
        self.at += len(text)
        try:
            return _number(float(text) if "." in text else int(text))
        except ValueError:
            raise JSONPathError(f"cannot parse number {text}") from None

    def quoted(self, quote: str) -> str:
        start = self.at + 1
        end = start
        while (end := self.text.find(quote, end)) >= 0:
            if self.text[end - 1] != "\\" or end == start:
                break
            end += 1
        if end < 0 or "\n" in self.text[start:end]:
            raise JSONPathError("unterminated quoted string")
        self.at = end + 1
        return _unquote(self.text[start:end])

    def array(self, steps: list[Step]) -> None:
        end = self.text.find("]", self.at)
        if end < 0 or "\n" in self.text[self.at : end]:
            raise JSONPathError("unterminated array")
        text = self.text[self.at + 1 : end]
        self.at = end + 1
        parts = text.split(",")
        if len(parts) > 1:
            steps.append(_union([_Parser(f"{{[{part.strip(' ')}]}}").parse() for part in parts]))
            return
        key = _KEY.fullmatch(text)
        if key:
            steps.extend(_Parser(f"{{.{key[1]}}}").parse())
            return
        found = _SLICE.fullmatch(":" if text == "*" else text)
        if not found:
            raise JSONPathError(f"invalid array index {text}")
        steps.append(_slice(*_bounds(found)))

    def filter(self) -> Step:
        start = self.at + 3
        quote = ""
        closed = True
        at = start
        while True:
            char = self.text[at : at + 1]
            if char in {"", "\n"}:
                raise JSONPathError("unterminated filter")
            if char in "\"'" and not quote:
                quote, closed = char, False
            elif char == quote and self.text[at - 1] != "\\":
                closed = True
            elif char == ")" and closed:
                break
            at += 1
        if self.text[at + 1 : at + 2] != "]":
            raise JSONPathError("unclosed array expect ]")
        text = self.text[start:at]
        self.at = at + 2
        found = _FILTER.fullmatch(text)
        if not found:
            return _exists(_Parser(f"{{{text}}}").parse())
        left, sign, right = found.groups()
        return _comparison(_Parser(f"{{{left}}}").parse(), sign, _Parser(f"{{{right}}}").parse())


def _word(char: str) -> bool:
    return char == "_" or char.isalpha() or char.isdecimal()


def _bounds(found: re.Match[str]) -> tuple[int, int | None, int | None, bool]:
    """Start, end and capacity (None if absent), and whether the end is derived from the start."""
    first, end, limit = found.groups()
    try:
        low = int(first) if first else 0
        high = None if end == ":" else int(end[1:]) if end else low + 1
        return low, high, int(limit[1:]) if limit and limit != ":" else None, not end
    except ValueError:
        raise JSONPathError(f"array index {first or end} is not a number") from None


def _unquote(text: str) -> str:
    if "\\" not in text:
        return text

    def escape(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] in "xuU" and len(code) > 1:
            return chr(int(code[1:], 16))
        if code not in _ESCAPES:
            raise JSONPathError(f"unquote string {text} error invalid syntax")
        return _ESCAPES[code]

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", escape, text, flags=re.DOTALL)


# Steps: each computes the values for the next step from the values found so far.


def _member(name: str) -> Step:
    return lambda values, left: [v[name] for v in values if isinstance(v, dict) and name in v]


def _constant(text: str) -> Step:
    return lambda values, left: [text]


def _number(value: float) -> Step:
    return lambda values, left: [value] * len(values)


def _failure(why: str) -> Step:
    def fail(values: list[Any], left: Left) -> list[Any]:
        raise JSONPathError(why)

    return fail


def _children(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _wildcard(values: list[Any], left: Left) -> list[Any]:
    out: list[Any] = []
    for value in values:
        children = _children(value)
        _count(left, len(children))
        out += children
    return out


def _recursive(values: list[Any], left: Left) -> list[Any]:
    """All values below, including the given ones, each before the values inside it."""
    out: list[Any] = []
    waiting = values[::-1]
    while waiting:
        value = waiting.pop()
        if children := _children(value):
            _count(left, len(children))
            out.append(value)
            waiting += reversed(list(children))
    return out


def _union(paths: list[list[Step]]) -> Step:
    return lambda values, left: [found for steps in paths for found in _run(steps, values, left)]


def _slice(low: int, high: int | None, limit: int | None, derived: bool) -> Step:
    def step(values: list[Any], left: Left) -> list[Any]:
        out: list[Any] = []
        for value in values:
            if value is None:
                continue
            if not isinstance(value, list):
                raise JSONPathError(f"{_type(value)} is not array or slice")
            size = len(value)
            first = low + size if low < 0 else low
            end = size if high is None else high
            if end < 0 or (end == 0 and derived):
                end += size
            if end != first and first >= size:
                raise JSONPathError(f"array index out of bounds: index {first}, length {size}")
            if end != first and end > size:
                raise JSONPathError(f"array index out of bounds: index {end - 1}, length {size}")
            if not 0 <= first <= end <= (size if limit is None else limit) <= size:
                raise JSONPathError("slice index out of bounds")
            _count(left, end - first)
            out += value[first:end]
        return out

    return step


def _items(values: list[Any], left: Left) -> Iterator[Any]:
    for value in values:
        if not isinstance(value, list):
            raise JSONPathError(f"{_type(value)} is not array or slice and cannot be filtered")
        _count(left, len(value))
        yield from value


def _exists(steps: list[Step]) -> Step:
    return lambda values, left: [item for item in _items(values, left) if _run(steps, [item], left)]


_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
}


def _comparison(left: list[Step], sign: str, right: list[Step]) -> Step:
    def holds(item: Any, count: Left) -> bool:
        a, b = _run(left, [item], count), _run(right, [item], count)
        if len(a) != 1 or len(b) != 1:
            raise JSONPathError("can only compare one element at a time")
        compare = _SIGNS.get(sign)
        if compare is None:
            raise JSONPathError(f"unrecognized filter operator {sign}")
        if not _comparable(a[0]) or not _comparable(b[0]):
            raise JSONPathError("invalid type for comparison")
        if type(a[0]) is not type(b[0]):
            raise JSONPathError("incompatible types for comparison")
        if isinstance(a[0], bool) and sign not in {"==", "!="}:
            raise JSONPathError("invalid type for comparison")
        return compare(a[0], b[0])

    return lambda values, left: [item for item in _items(values, left) if holds(item, left)]


def _comparable(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    names = ((int, "int64"), (float, "float64"), (str, "string"))
    return next((name for kind, name in names if isinstance(value, kind)), "map[string]interface {}")
