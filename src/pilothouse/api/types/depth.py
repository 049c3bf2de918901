"""Limits how deeply objects may be nested: one limit for JSON, YAML and protobuf, checked on input.

The limit is below those of all later steps. orjson writes 254 levels; lists, tables and watch events add up
to four levels around an object; recursive functions use up to three of Python's 1,000 frames per level. Real
objects have fewer than 100 levels: the deepest are the schemas of custom resource definitions.
"""

from functools import cache
from typing import Any

import orjson

from pilothouse import errors
from pilothouse.api import _json
from pilothouse.api._schema import MAX_DEPTH, is_deeper
from pilothouse.api.types.schema import Type
from pilothouse.api.values.fields import Object

__all__ = ["MAX_DEPTH", "TOO_DEEP", "is_too_deep", "may_be_deep", "outlined", "readable", "refuse_too_deep"]

TOO_DEEP = "exceeded max depth"
"""The message of Go's decoder for JSON that is nested more deeply than its own limit."""


def is_too_deep(value: Any, around: int = 0) -> bool:
    """Whether a decoded value, within `around` outer levels,
    has more levels of objects and arrays than allowed."""
    return is_deeper(value, MAX_DEPTH - around)


@cache
def may_be_deep(type: Type) -> bool:
    """Whether values of a built-in type can be nested without limit: free-form or recursive types.

    Types of custom resources are always treated as possibly deep, because definitions change and may have
    100,000 members. Managed fields do not count: they are as deep as the object that they describe.
    """
    return _endless(type, ())


def _endless(type: Type, within: tuple[Type, ...]) -> bool:
    if type in within or type.preserve_unknown or type.kind in ("any", "schemaor"):
        return True
    below = [field.type for name, field in type.fields.items() if name != "managedFields"]
    if type.items is not None:
        below.append(type.items)
    return any(_endless(one, (*within, type)) for one in below)


def refuse_too_deep(value: Any, around: int = 0) -> None:
    """Raise BadRequest if a value that a request produces (rather than its body) is too deep."""
    if is_too_deep(value, around):
        raise errors.BadRequest(f"the object would be nested too deeply: {TOO_DEEP}")


# Stored objects may be deeper than the limit, if another or an older server wrote them.

_WRAPPING_LEVELS = 20
"""Levels beyond the limit that can still be encoded within lists and tables."""

_TEXTS = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def readable(value: bytes) -> Object:
    """Decode a stored object; one that is too deep to be decoded is reduced to its type and metadata."""
    try:
        obj: Object = orjson.loads(value)
    except orjson.JSONDecodeError:
        return _outline(value)
    return obj


def outlined(value: bytes) -> Object:
    """Decode a stored object for a table or its metadata;
    reduces it to its type and metadata if it is too deep."""
    obj = readable(value)
    return _outline(value) if is_deeper(obj, MAX_DEPTH + _WRAPPING_LEVELS) else obj


def _outline(value: bytes) -> Object:
    """Type and identifying metadata of an object, read without decoding the rest."""
    metadata: Object = {}
    for member in _TEXTS:
        text = _json.text(value, ("metadata", member))
        if text is not None:
            metadata[member] = text
    labels = _json.labels(value, _json.head_of(value))
    if labels:
        metadata["labels"] = labels
    return {
        "kind": _json.text(value, ("kind",)),
        "apiVersion": _json.text(value, ("apiVersion",)),
        "metadata": metadata,
    }
