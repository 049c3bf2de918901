"""The checks of an expression once its types are known (cel-go cel/validator.go, ext/formatting.go)."""

from collections.abc import Callable
from typing import Any

from pilothouse.api.cel._cel import EvaluationError
from pilothouse.api.cel.ast import CallExpr, Comprehension, Expr, ListExpr, LiteralExpr, MapExpr, parts_of
from pilothouse.api.cel.errors import Issues
from pilothouse.api.cel.libraries.conversions import to_duration, to_timestamp
from pilothouse.api.cel.libraries.format_string import WRONG, walk
from pilothouse.api.cel.libraries.regex import compiled
from pilothouse.api.cel.types import CelType, same, unwrap

_TEXTUAL = frozenset(
    (
        "list", "map", "int", "uint", "double", "bool", "string", "timestamp", "bytes", "duration", "type",
        "null",
    )
)  # fmt: skip
_TAKEN = {
    "d": ("int", "uint"),
    "f": ("double", "string"),
    "e": ("double", "string"),
    "b": ("int", "uint", "bool"),
    "x": ("int", "uint", "string", "bytes"),
    "X": ("int", "uint", "string", "bytes"),
    "o": ("int", "uint"),
}
_READ: dict[str, tuple[tuple[type, ...], Callable[[Any], Any]]] = {
    "duration": ((str, int), to_duration),
    "timestamp": ((str, int), to_timestamp),
    "matches": ((str,), compiled),
}
"""The functions that read a literal: the types that they take, and what reads it."""


def validate(expr: Expr, issues: Issues) -> None:
    """Report literals that have no meaning: durations, times, patterns, formats, lists of mixed types."""
    calls = [one for one in parts_of(expr) if isinstance(one, CallExpr)]
    for name, (kinds, read) in _READ.items():
        for one in calls:
            literal = one.args[0] if one.function == name and one.args else None
            if isinstance(literal, LiteralExpr) and isinstance(literal.value, kinds):
                try:
                    read(literal.value)
                except EvaluationError:
                    issues.add(literal.at, f"invalid {name} argument")
    _homogeneous(expr, issues, exempt=False)
    for one in calls:
        target = one.target.value if isinstance(one.target, LiteralExpr) else None
        if one.function != "format" or not isinstance(target, str) or len(one.args) != 1:
            continue
        if isinstance(one.args[0], ListExpr):
            _format(one, target, one.args[0].items, issues)


def _homogeneous(expr: Expr, issues: Issues, exempt: bool) -> None:
    """Report the literals whose items have different types, but for those that are put into a format."""
    if isinstance(expr, CallExpr) and expr.function == "format":
        exempt = True
    if not exempt and isinstance(expr, ListExpr):
        common: CelType | None = None
        for i, one in enumerate(expr.items):
            before = len(issues.found)
            common = _joined(one, common, i in expr.optional, issues)
            if len(issues.found) > before:
                break
    elif not exempt and isinstance(expr, MapExpr):
        keys: CelType | None = None
        values: CelType | None = None
        for entry in expr.entries:
            keys = _joined(entry.key, keys, False, issues)
            values = _joined(entry.value, values, entry.optional, issues)
    below = expr.children()
    if isinstance(expr, Comprehension):
        below = [expr.over, *(one for one in (expr.test, expr.value) if one is not None)]
        below += [expr.init, expr.result] if expr.macro == "bind" else []
    for one in below:
        _homogeneous(one, issues, exempt)


def _joined(expr: Expr, common: CelType | None, is_optional: bool, issues: Issues) -> CelType:
    found = unwrap(expr.type)[0] if is_optional else expr.type
    if common is not None and not same(common, found):
        issues.add(expr.at, f"expected type '{common}' but found '{found}'")
    return found if common is None else common


def _format(call: CallExpr, text: str, items: list[Expr], issues: Issues) -> None:
    where = call.at

    def clause(index: int, letter: str, precision: int) -> str:
        nonlocal where
        item = items[index]
        wrong = _unprintable(item) if letter == "s" else None
        if letter != "s" and not item.type.is_dynamic and item.type.kind not in _TAKEN[letter]:
            wrong = item
        if wrong is not None:
            where = wrong.at
            raise EvaluationError(f"error during formatting: {WRONG[letter]}{wrong.type.runtime_name}")
        return ""

    try:
        _, used = walk(text, len(items), clause)
    except EvaluationError as err:
        issues.add(where, str(err))
        return
    if len(items) > used:
        words = f"too many arguments supplied to string.format (expected {used}, got {len(items)})"
        issues.add(call.at, words)


def _unprintable(expr: Expr) -> Expr | None:
    """The part of a value that cannot be written as text, None if all can."""
    if not expr.type.is_dynamic and expr.type.kind not in _TEXTUAL:
        return expr
    for one in expr.children() if isinstance(expr, ListExpr | MapExpr) else ():
        if (found := _unprintable(one)) is not None:
            return found
    return None
