"""How deeply objects may be nested: one limit for JSON, YAML and protobuf, held when something comes in.

The limit lies below what everything bears that an object meets later. orjson writes 254 levels, lists, tables and
watch events put up to four around an object, and walks in Python take up to three calls for a level of the 1,000
that Python allows. Real objects stay below 100: the deepest are schemas of custom resource definitions.
"""

from functools import cache
from typing import Any

import orjson

from pilothouse import _json, errors
from pilothouse._schema import MAX_DEPTH, is_deeper
from pilothouse.api.fields import Object
from pilothouse.api.schema import Type

__all__ = ["MAX_DEPTH", "TOO_DEEP", "is_too_deep", "may_be_deep", "outlined", "readable", "refuse_too_deep"]

TOO_DEEP = "exceeded max depth"
"""What Go's decoder says of JSON beyond its own limit."""


def is_too_deep(value: Any, around: int = 0) -> bool:
    """Whether a decoded value, within `around` levels, has more levels of objects and arrays than anything may have."""
    return is_deeper(value, MAX_DEPTH - around)


@cache
def may_be_deep(type: Type) -> bool:
    """Whether values of a built-in type can be nested without end: in a free form, or as the type contains itself.

    Those of custom resources are not asked about: they come and go, and a definition may have 100,000 members. Managed fields do not count: they are as deep as what they tell of.
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
    """BadRequest when a value is too deep: what a request makes of an object, rather than its body."""
    if is_too_deep(value, around):
        raise errors.BadRequest(f"the object would be nested too deeply: {TOO_DEEP}")


# What is stored already may be deeper: another server wrote it, or an older one.

_ROOM = 20
"""Levels beyond the limit that can still be written within lists and tables."""

_TEXTS = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def readable(value: bytes) -> Object:
    """A stored object; one that is too deep to be read is reduced to its outline."""
    try:
        obj: Object = orjson.loads(value)
    except orjson.JSONDecodeError:
        return _outline(value)
    return obj


def outlined(value: bytes) -> Object:
    """A stored object for a table or for its metadata; one that is too deep to be written is reduced to its outline."""
    obj = readable(value)
    return _outline(value) if is_deeper(obj, MAX_DEPTH + _ROOM) else obj


def _outline(value: bytes) -> Object:
    """Who an object is, read without decoding the rest."""
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
