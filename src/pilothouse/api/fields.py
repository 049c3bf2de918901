"""Field paths and the causes of an Invalid Status (apimachinery util/validation/field).

A path is plain text: `f"{path}.containers[{i}]"`; `key(path, name)` for a map member. A validator takes an
`Errors` list and adds to it in the order in which upstream checks, for that order is what a client sees.
"""

import json
from collections.abc import Iterable
from typing import Any

from pilothouse import errors

Object = dict[str, Any]
"""A decoded API object: JSON types only, absent members mean their zero value."""


class _Omit:
    """Marks a cause whose message shows no value."""


OMIT = _Omit()


def key(path: str, name: str) -> str:
    """The path of a map member: `metadata.labels[name]`."""
    return f"{path}[{name}]"


def quote(text: str) -> str:
    """Go's strconv.Quote for the text of a message."""
    out = ['"']
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif code < 0x20 or code == 0x7F:
            out.append(f"\\x{code:02x}")
        elif char.isprintable():
            out.append(char)
        else:
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    out.append('"')
    return "".join(out)


_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def show(value: Any) -> str:
    """A value as upstream prints it inside a cause: quoted text, bare numbers, JSON for the rest."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


class Errors:
    """The causes found so far, each `{reason, message, field}`."""

    __slots__ = ("causes",)

    def __init__(self) -> None:
        self.causes: list[dict[str, str]] = []

    def __bool__(self) -> bool:
        return bool(self.causes)

    def __len__(self) -> int:
        return len(self.causes)

    def add(self, reason: str, path: str, message: str) -> None:
        """A cause in its final wording; the methods below are the usual ways to it."""
        self.causes.append({"reason": reason, "message": message, "field": path})

    def extend(self, other: "Errors") -> None:
        self.causes.extend(other.causes)

    def required(self, path: str, why: str = "") -> None:
        self.add("FieldValueRequired", path, f"Required value: {why}" if why else "Required value")

    def invalid(self, path: str, value: Any, why: str) -> None:
        text = "Invalid value" if value is OMIT else f"Invalid value: {show(value)}"
        self.add("FieldValueInvalid", path, f"{text}: {why}" if why else text)

    def type_invalid(self, path: str, value: Any, why: str) -> None:
        self.add("FieldValueTypeInvalid", path, f"Invalid value: {show(value)}: {why}")

    def not_supported(self, path: str, value: Any, valid: Iterable[str]) -> None:
        """`valid` is listed in the order given; upstream sorts sets before it gets here."""
        listed = ", ".join(quote(v) for v in valid)
        text = f"Unsupported value: {show(value)}"
        self.add("FieldValueNotSupported", path, f"{text}: supported values: {listed}" if listed else text)

    def duplicate(self, path: str, value: Any) -> None:
        self.add("FieldValueDuplicate", path, f"Duplicate value: {show(value)}")

    def forbidden(self, path: str, why: str) -> None:
        self.add("FieldValueForbidden", path, f"Forbidden: {why}" if why else "Forbidden")

    def not_found(self, path: str, value: Any) -> None:
        self.add("FieldValueNotFound", path, f"Not found: {show(value)}")

    def too_long(self, path: str, limit: int) -> None:
        """Limit in bytes; the value is not shown (field.TooLong)."""
        unit = "byte" if limit == 1 else "bytes"
        self.add("FieldValueTooLong", path, f"Too long: may not be more than {limit} {unit}")

    def too_many(self, path: str, count: int, limit: int) -> None:
        unit = "item" if limit == 1 else "items"
        self.add("FieldValueTooMany", path, f"Too many: {count}: must have at most {limit} {unit}")

    def internal(self, path: str, why: str) -> None:
        self.add("InternalError", path, f"Internal error: {why}")

    def raise_if_any(self, group: str, kind: str, name: str) -> None:
        """Raise the 422 of `kind` `name` when there is a cause."""
        if self.causes:
            raise errors.invalid(group, kind, name, self.causes)
