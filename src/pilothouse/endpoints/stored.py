"""Stored objects as they are shown in other forms than the stored bytes.

What is stored may be deeper than what is taken today: another server wrote it, or an older one. It is served by its
bytes as ever; where it has to be read, it is shown without what is too deep, or refused alone.
"""

from typing import Any

import orjson

from pilothouse import _json, errors
from pilothouse._schema import indented, is_deeper
from pilothouse.api.depth import MAX_DEPTH
from pilothouse.api.fields import Object

_ROOM = 20
"""Levels beyond the limit that still can be written inside of lists and tables."""

_TEXTS = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")

INDENTED_SHARE, INDENTED_FREE = 8, 1 << 20
"""Spaces that indentation may take: so many for a byte of the text, and so many at any rate."""


def whole(value: bytes) -> Object:
    """A stored object; InternalError for one that is too deep to be read."""
    try:
        obj: Object = orjson.loads(value)
    except orjson.JSONDecodeError:
        name = _json.text(value, ("metadata", "name"))
        raise errors.InternalError(
            f"Internal error occurred: object {name} is nested too deeply to be shown in this form"
        ) from None
    return obj


def outlined(value: bytes) -> Object:
    """A stored object for a table or for its metadata; one that is too deep is reduced to its outline."""
    try:
        obj: Object = orjson.loads(value)
    except orjson.JSONDecodeError:
        return _outline(value)
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
    kind, version = _json.text(value, ("kind",)), _json.text(value, ("apiVersion",))
    return {"kind": kind, "apiVersion": version, "metadata": metadata}


def bears_indentation(value: Any, size: int) -> bool:
    """Whether indentation leaves an answer in proportion to its `size` bytes without."""
    return bool(indented(value) <= INDENTED_SHARE * size + INDENTED_FREE)
