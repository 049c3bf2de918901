"""`text.format(list)` (cel-go ext/formatting.go),
and the check of its clauses when an expression is compiled."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from pilothouse.api.cel._cel import (
    Duration,
    EvaluationError,
    Timestamp,
    UInt,
    entries_of,
    items_of,
    type_name,
)
from pilothouse.api.cel.functions import bounded
from pilothouse.api.cel.host import literal
from pilothouse.api.cel.libraries.conversions import to_string

_PRECISION = 6
_MAX_PRECISION = 1000
_CLAUSES = frozenset("sdfebxXo")
_TEXTS = "strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
WRONG = {
    "s": f"string clause can only be used on {_TEXTS}, was given ",
    "d": "decimal clause can only be used on integers, was given ",
    "f": "fixed-point clause can only be used on doubles, was given ",
    "e": "scientific clause can only be used on doubles, was given ",
    "b": "only integers and bools can be formatted as binary, was given ",
    "x": "only integers, byte buffers, and strings can be formatted as hex, was given ",
    "X": "only integers, byte buffers, and strings can be formatted as hex, was given ",
    "o": "octal clause can only be used on integers, was given ",
}
"""The message about a value that a clause does not take, before the name of its type."""
Clause = Callable[[int, str, int], str]
"""Given the number of an argument, the letter and the precision (-1 for none): the text to put in."""


def walk(text: str, count: int, clause: Clause) -> tuple[str, int]:
    """Go through a format with `count` arguments: the text, and how many arguments it used.

    EvaluationError with cel-go's words for a format that is none.
    """
    out: list[str] = []
    at = used = size = 0
    while at < len(text):
        where = text.find("%", at)
        if where < 0:
            out.append(text[at:])
            break
        out.append(text[at:where])
        at = where + 1
        if text[at : at + 1] == "%":
            out.append("%")
            at += 1
            continue
        if used >= count:
            raise EvaluationError(f"index {used} out of range")
        if at >= len(text):
            raise EvaluationError("unexpected end of string")
        precision, at = _precision(text, at)
        letter = text[at]
        if letter not in _CLAUSES:
            words = "could not parse formatting clause: unrecognized formatting clause "
            raise EvaluationError(f'{words}"{letter}"')
        out.append(clause(used, letter, precision))
        size += len(out[-1])
        bounded(size)
        used += 1
        at += 1
    return "".join(out), used


def _precision(text: str, at: int) -> tuple[int, int]:
    """The precision that a clause begins with, -1 for none, and where it ends."""
    if text[at] != ".":
        return -1, at
    end = at + 1
    while end < len(text) and text[end].isascii() and text[end].isdigit():
        end += 1
    words = "could not parse formatting clause: error while parsing precision: "
    if end >= len(text):
        raise EvaluationError(words + "could not find end of precision specifier")
    digits = text[at + 1 : end]
    if not digits:
        raise EvaluationError(
            f'{words}error while converting precision to integer: strconv.Atoi: parsing "": invalid syntax'
        )
    precision = int(digits[:9])
    if precision > _MAX_PRECISION:
        raise EvaluationError(words + "precision is too large")
    return precision, end


def format_string(text: str, args: Any) -> str:
    """A format with its arguments put in."""
    items = items_of(args)

    def clause(index: int, letter: str, precision: int) -> str:
        return _FORMATS[letter](items[index], letter, precision)

    return walk(text, len(items), clause)[0]


def _fail(letter: str, value: Any) -> EvaluationError:
    return EvaluationError(f"error during formatting: {WRONG[letter]}{type_name(value)}")


def _text(value: Any, letter: str, precision: int) -> str:
    kind = type_name(value)
    if kind == "list":
        return _list(items_of(value))
    if kind == "map":
        return _map(entries_of(value))
    if kind == "null_type":
        return "null"
    if kind in _PLAIN:
        return to_string(value)
    raise _fail(letter, value)


_PLAIN = frozenset(
    (
        "bool", "int", "uint", "double", "string", "bytes", "type", "google.protobuf.Timestamp",
        "google.protobuf.Duration",
    )
)  # fmt: skip


def _inner(value: Any) -> str:
    """A value inside a list or a map, as a literal of the language."""
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, bytes):
        return "b" + literal(value.decode("utf-8", "replace"))
    if isinstance(value, float):
        return f"{value:.6f}" if math.isfinite(value) else f'"{_special(value)}"'
    if isinstance(value, Timestamp):
        return f'timestamp("{to_string(value)}")'
    if isinstance(value, Duration):
        return f'duration("{to_string(value)}")'
    kind = type_name(value)
    if kind in ("list", "map", "null_type") or kind in _PLAIN:
        return _text(value, "s", -1)
    raise EvaluationError(f"error during formatting: no formatting function for {kind}")


def _special(value: float) -> str:
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _list(items: Sequence[Any]) -> str:
    return "[" + ", ".join(map(_inner, items)) + "]"


def _map(entries: Sequence[tuple[Any, Any]]) -> str:
    pairs = sorted(((_inner(key), _inner(value)) for key, value in entries), key=lambda pair: pair[0])
    return "{" + ", ".join(f"{key}:{value}" for key, value in pairs) + "}"


def _decimal(value: Any, letter: str, precision: int) -> str:
    if type(value) is int or isinstance(value, UInt):
        return str(int(value))
    raise _fail(letter, value)


def _fixed(value: Any, letter: str, precision: int) -> str:
    number = _float(value, letter)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "∞" if number > 0 else "-∞"
    digits = precision if precision >= 0 else _PRECISION
    if letter == "f":
        return f"{number:,.{digits}f}"
    mantissa, _, exponent = f"{number:.{digits}e}".partition("e")
    power = exponent.removeprefix("+").translate(_SUPERSCRIPTS)
    return f"{mantissa}×10{power}"  # Kubernetes names no language: no spaces around ×


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _float(value: Any, letter: str) -> float:
    if isinstance(value, float):
        return value
    if value in ("NaN", "Infinity", "-Infinity") and isinstance(value, str):
        return float(value)
    raise _fail(letter, value)


def _radix(value: Any, letter: str, precision: int) -> str:
    if isinstance(value, bool):
        if letter == "b":
            return "1" if value else "0"
    elif isinstance(value, int):
        return format(int(value), letter)
    elif isinstance(value, str | bytes) and letter in "xX":
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        return data.hex().upper() if letter == "X" else data.hex()
    raise _fail(letter, value)


_FORMATS: dict[str, Callable[[Any, str, int], str]] = {
    "s": _text, "d": _decimal, "f": _fixed, "e": _fixed, "b": _radix, "x": _radix, "X": _radix, "o": _radix,
}  # fmt: skip
