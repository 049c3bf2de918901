"""Resolves plain YAML scalars as go-yaml does: null, a boolean, a number or text."""

import math
from typing import Any

from pilothouse.process.patterns import pattern

INT = pattern(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z")
FLOAT = pattern(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"))
FALSE = frozenset(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"))
NULL = frozenset(("", "~", "null", "Null", "NULL"))

LONGEST_NUMBER = 400
"""Longest number in characters; longer scalars are text, so that regular expressions never scan megabytes."""

_WORDS: dict[str, Any] = dict.fromkeys(NULL) | dict.fromkeys(TRUE, True) | dict.fromkeys(FALSE, False)
_NUMERIC = frozenset("0123456789+-.")


class YAMLError(ValueError):
    """The text is not YAML, or has values that JSON does not have; the message is upstream's."""


def resolve(text: str) -> Any:
    """The JSON value of a plain scalar; raises YAMLError for a number that JSON does not have."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC or len(text) > LONGEST_NUMBER:
        return text
    if INT.match(text):
        return _integer(text)
    if FLOAT.match(text):
        return _whole(text, text)
    if text.lower().lstrip("+-") in (".inf", ".nan"):
        raise YAMLError(f"json: unsupported value: {_special(text)}")
    return text


def key_text(value: Any) -> str:
    """A scalar as the key of a JSON object; numbers and booleans become text."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _special(text: str) -> str:
    if "nan" in text.lower():
        return "NaN"
    return "-Inf" if text.startswith("-") else "+Inf"


def _integer(text: str) -> Any:
    plain = text.replace("_", "").lstrip("+")
    sign, digits = (-1, plain[1:]) if plain.startswith("-") else (1, plain)
    based = digits[:2] in ("0b", "0x", "0o")
    try:
        if based:
            value = sign * int(digits, 0)
        else:
            value = sign * int(digits, 8 if len(digits) > 1 and digits.startswith("0") else 10)
    except ValueError:  # a prefix followed only by underscores
        return text
    if -(1 << 63) <= value < 1 << 64:
        return value
    return text if based else _whole(plain, text)


def _whole(number: str, text: str) -> Any:
    """A whole float as an integer, since Go writes it without a point;
    a text that exceeds floats stays text."""
    value = float(number)
    if math.isinf(value):
        return text
    return int(value) if value.is_integer() and abs(value) < 1e21 else value
