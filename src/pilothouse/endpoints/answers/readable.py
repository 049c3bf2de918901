"""Decodes stored objects for answers in other forms than the stored bytes.

A stored object may be nested deeper than what is accepted now, if an older or another server wrote it. Its
bytes are still served unchanged. Where it must be decoded, the part that is too deep is left out, or the
answer is an error.
"""

from typing import Any

import orjson

from pilothouse import errors
from pilothouse.api import _json
from pilothouse.api._schema import indented
from pilothouse.api.values.fields import Object

INDENTED_SHARE, INDENTED_FREE = 8, 1 << 20
"""Bytes that indentation may add: this many times the unindented size, plus a fixed number."""


def decode_stored(value: bytes) -> Object:
    """Decode a stored object; raises InternalError if it is nested too deeply to be decoded."""
    try:
        obj: Object = orjson.loads(value)
    except orjson.JSONDecodeError:
        name = _json.text(value, ("metadata", "name"))
        raise errors.InternalError(
            f"Internal error occurred: object {name} is nested too deeply to be shown in this form"
        ) from None
    return obj


def bears_indentation(value: Any, size: int) -> bool:
    """Whether indentation stays in proportion to the `size` bytes of the unindented answer."""
    return bool(indented(value) <= INDENTED_SHARE * size + INDENTED_FREE)
