"""Field paths, and the causes of an Invalid Status (apimachinery util/validation/field).

A path is plain text: `f"{path}.containers[{i}]"`; `key(path, name)` for a map member. Validators append to an
`Errors` list in the order in which upstream checks, because clients see the causes in this order.
"""

import json
from collections.abc import Iterable
from typing import Any

from pilothouse import errors
from pilothouse.gotext import OBJECT, QUOTED, double, literal, quote, short, short_object

Object = dict[str, Any]
"""A decoded API object: JSON types only; absent members have their zero value."""


class _Omit:
    """Marks a cause whose message contains no value."""


OMIT = _Omit()


def key(path: str, name: str) -> str:
    """The path of a map's member: `metadata.labels[name]`."""
    return f"{path}[{name}]"


def show(value: Any) -> str:
    """Format a value as upstream does in a cause: quoted text, plain numbers, JSON for the rest.

    Of a long text, or of JSON with more than STRUCTURED characters, the beginning is shown.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = float(value)  # as Go reads it
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return double(value)
    if isinstance(value, str):
        return quote(value)
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return (
        short(text, STRUCTURED, QUOTED)
        .replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
    )


STRUCTURED = OBJECT
"""Characters of an object or list that a cause shows, else the first QUOTED."""
MOST, MOST_CHARACTERS = 1000, OBJECT
"""Limits of the causes that are kept: their number, and the characters of all together. Without them an
answer could be much larger than the request that causes it. Upstream has no such limit."""
LONGEST = STRUCTURED + 4 * 1024
"""Longest message of one cause, in characters; of a longer one the first QUOTED are kept."""


class Errors:
    """The causes found so far, each `{reason, message, field}`,
    and the number of further ones that were omitted."""

    __slots__ = ("_characters", "causes", "omitted")

    def __init__(self) -> None:
        self.causes: list[dict[str, str]] = []
        self.omitted = 0
        """Number of causes that were not kept because there were MOST already."""
        self._characters = 0

    def __bool__(self) -> bool:
        return bool(self.causes)

    def __len__(self) -> int:
        return len(self.causes) + self.omitted

    def add(self, reason: str, path: str, message: str) -> None:
        """Add a cause with its final message; the other methods format the usual messages."""
        if self._full():
            return
        message, path = short(message, LONGEST, QUOTED), short(path)
        self._characters += len(path) + len(message)
        self.causes.append({"reason": reason, "message": message, "field": path})

    def extend(self, other: "Errors") -> None:
        for cause in other.causes:
            self.add(cause["reason"], cause["field"], cause["message"])
        self.omitted += other.omitted

    def clear(self) -> None:
        """Remove all causes."""
        self.causes.clear()
        self.omitted = self._characters = 0

    def _full(self) -> bool:
        """Whether the limits are reached; if so, counts the cause as omitted."""
        if len(self.causes) < MOST and self._characters < MOST_CHARACTERS:
            return False
        self.omitted += 1
        return True

    def required(self, path: str, why: str = "") -> None:
        self.add("FieldValueRequired", path, f"Required value: {why}" if why else "Required value")

    def invalid(self, path: str, value: Any, why: str) -> None:
        if self._characters >= MOST_CHARACTERS and self._full():  # before the value is formatted
            return
        text = "Invalid value" if value is OMIT else f"Invalid value: {show(value)}"
        self.add("FieldValueInvalid", path, f"{text}: {why}" if why else text)

    def invalid_object(self, path: str, text: str, why: str) -> None:
        """Like invalid(), for the text of an object, as JSON or as Go prints it."""
        self.add("FieldValueInvalid", path, f"Invalid value: {literal(short_object(text))}: {why}")

    def type_invalid(self, path: str, value: Any, why: str) -> None:
        if self._characters >= MOST_CHARACTERS and self._full():
            return
        self.add("FieldValueTypeInvalid", path, f"Invalid value: {show(value)}: {why}")

    def not_supported(self, path: str, value: Any, valid: Iterable[str]) -> None:
        """`valid` is listed in the given order; upstream sorts sets before this call."""
        if self._characters >= MOST_CHARACTERS and self._full():
            return
        listed = ", ".join(quote(v) for v in valid)
        text = f"Unsupported value: {show(value)}"
        self.add("FieldValueNotSupported", path, f"{text}: supported values: {listed}" if listed else text)

    def duplicate(self, path: str, value: Any) -> None:
        text = "Duplicate value" if value is OMIT else f"Duplicate value: {show(value)}"
        self.add("FieldValueDuplicate", path, text)

    def forbidden(self, path: str, why: str) -> None:
        self.add("FieldValueForbidden", path, f"Forbidden: {why}" if why else "Forbidden")

    def not_found(self, path: str, value: Any) -> None:
        self.add("FieldValueNotFound", path, f"Not found: {show(value)}")

    def too_long(self, path: str, limit: int) -> None:
        """Add a TooLong cause; `limit` is in bytes, and the value is not shown (field.TooLong)."""
        unit = "byte" if limit == 1 else "bytes"
        self.add("FieldValueTooLong", path, f"Too long: may not be more than {limit} {unit}")

    def too_many(self, path: str, count: int, limit: int) -> None:
        unit = "item" if limit == 1 else "items"
        self.add("FieldValueTooMany", path, f"Too many: {count}: must have at most {limit} {unit}")

    def internal(self, path: str, why: str) -> None:
        self.add("InternalError", path, f"Internal error: {why}")

    def raise_if_any(self, group: str, kind: str, name: str) -> None:
        """Raise Invalid for the object `kind` `name` if there are causes."""
        if self.causes:
            raise errors.invalid(group, kind, name, self.listed())

    def listed(self) -> list[dict[str, str]]:
        """The causes for the answer; the last one counts the omitted ones."""
        if not self.omitted:
            return self.causes
        more = f"Too many: {len(self)}: only the first {len(self.causes)} causes are listed"
        return [*self.causes, {"reason": "FieldValueTooMany", "message": more, "field": "causes"}]
