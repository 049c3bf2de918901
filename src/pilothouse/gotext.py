"""Formats text and JSON data as Go's package fmt does, for messages."""

import math
from typing import Any

TYPES: dict[type, str] = {
    bool: "bool",
    int: "int64",
    float: "float64",
    str: "string",
    list: "[]interface {}",
    dict: "map[string]interface {}",
    type(None): "<nil>",
}
"""Python type -> Go type name for %T; bool is first because it is a subclass of int."""


def value(data: Any) -> str:
    """Format a value as Go's %v does."""
    if isinstance(data, dict):
        return f"map[{' '.join(f'{name}:{value(data[name])}' for name in sorted(data))}]"
    if isinstance(data, list):
        return f"[{' '.join(map(value, data))}]"
    if data is None:
        return "<nil>"
    if isinstance(data, float):
        return double(data)
    return str(data).lower() if isinstance(data, bool) else str(data)


def label_selector(selector: Any) -> str:
    """A LabelSelector as Go prints its struct; None: the pointer is nil."""
    if selector is None:
        return "nil"
    labels = "".join(f"{k}: {v}," for k, v in sorted((selector.get("matchLabels") or {}).items()))
    rules = "".join(
        f"LabelSelectorRequirement{{Key:{rule.get('key', '')},Operator:{rule.get('operator', '')},"
        f"Values:[{' '.join(rule.get('values') or ())}],}},"
        for rule in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{rules}}},}}"
    )


def type_name(data: Any) -> str:
    """Name a value's type as Go's %T does."""
    exact = TYPES.get(type(data))
    return next(name for kind, name in TYPES.items() if isinstance(data, kind)) if exact is None else exact


QUOTED, BEGINNING = 1024, 128
"""Characters that a message quotes of a text, and what is left of a longer one.
Upstream repeats the whole text."""
OBJECT = 128 * 1024
"""Characters that a message shows of an object. Go prints 900 for each node of a schema."""


def short(text: str, longest: int = QUOTED, kept: int = BEGINNING) -> str:
    """A text for a message; of one with more than `longest` characters the first `kept`."""
    return text if len(text) <= longest else f"{text[:kept]}{_left_out(len(text) - kept)}"


def short_object(text: str) -> str:
    """The text of an object for a message;
    one with more than OBJECT characters is cut, and closed by its own bracket."""
    if len(text) <= OBJECT:
        return text
    return f"{text[:BEGINNING]}{_left_out(len(text) - BEGINNING - 1)}{text[-1]}"


def quote(text: str) -> str:
    """Quote a text for a message as Go's strconv.Quote does;
    of one with more than QUOTED characters the BEGINNING."""
    if len(text) <= QUOTED:
        return literal(text)
    return literal(text[:BEGINNING]) + _left_out(len(text) - BEGINNING)


def _left_out(count: int) -> str:
    return f"... ({count} characters left out)"


def literal(text: str) -> str:
    """The whole text as a literal of Go (strconv.Quote)."""
    if text.isprintable():
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f'"{text.translate(_ESCAPES)}"'


class _Escapes(dict[int, str]):
    """Maps character codes to their escaped form; printable characters map to themselves."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if char.isprintable():
            return char
        if code < 0x80:
            return f"\\x{code:02x}"
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_ESCAPES = _Escapes(
    {ord(char): f"\\{letter}" for char, letter in zip('\a\b\f\n\r\t\v"\\', 'abfnrtv"\\', strict=True)}
)


_EXPONENT_FROM = 6
"""The power of ten from which on %g writes an exponent when it writes as few digits as it can."""


def _digits(value: float) -> tuple[str, int]:
    """The shortest digits that give a number back, and the power of ten of the first one."""
    text = repr(abs(value))
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        return mantissa.replace(".", "").rstrip("0") or "0", int(exponent)
    whole, _, rest = text.partition(".")
    if whole != "0":
        return (whole + rest).rstrip("0") or "0", len(whole) - 1
    stripped = rest.lstrip("0")
    return stripped.rstrip("0") or "0", -(len(rest) - len(stripped)) - 1 if stripped else 0


def _special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return None


def double(value: float) -> str:
    """A double as Go's %g writes it."""
    if (special := _special(value)) is not None:
        return special
    sign = "-" if math.copysign(1, value) < 0 else ""
    digits, exponent = _digits(value)
    if exponent < -4 or exponent >= _EXPONENT_FROM:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return sign + _plain(digits, exponent)


def _plain(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return digits + "0" * (exponent + 1 - len(digits))
    return f"{digits[: exponent + 1]}.{digits[exponent + 1 :]}"


def plain(value: float) -> str:
    """A double without an exponent, in as few digits as tell it."""
    if (special := _special(value)) is not None:
        return special
    digits, exponent = _digits(value)
    return ("-" if math.copysign(1, value) < 0 else "") + _plain(digits, exponent)


def sanitized(text: str) -> str:
    """A text that no browser takes for HTML (responsewriters.sanitizer)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
