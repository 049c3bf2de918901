"""Stored objects as they are shown in other forms than the stored bytes.

What is stored may be deeper than what is taken today: another server wrote it, or an older one. It is served by its
bytes as ever; where it has to be read, it is shown without what is too deep, or refused alone.
"""

from typing import Any

import orjson

from pilothouse import _json, errors
from pilothouse._schema import indented
from pilothouse.api.fields import Object

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


def bears_indentation(value: Any, size: int) -> bool:
    """Whether indentation leaves an answer in proportion to its `size` bytes without."""
    return bool(indented(value) <= INDENTED_SHARE * size + INDENTED_FREE)
