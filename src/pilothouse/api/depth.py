"""How deeply objects may be nested: one limit for JSON, YAML and protobuf, held when something comes in.

The limit lies below what everything bears that an object meets later. orjson writes 254 levels, lists, tables and
watch events put up to four around an object, and walks in Python take up to three calls for a level of the 1,000
that Python allows. Real objects stay below 100: the deepest are schemas of custom resource definitions.
"""

from typing import Any

from pilothouse import errors
from pilothouse._schema import MAX_DEPTH, is_deeper

__all__ = ["MAX_DEPTH", "TOO_DEEP", "is_too_deep", "refuse_too_deep"]

TOO_DEEP = "exceeded max depth"
"""What Go's decoder says of JSON beyond its own limit."""


def is_too_deep(value: Any, around: int = 0) -> bool:
    """Whether a decoded value, within `around` levels, has more levels of objects and arrays than anything may have."""
    return is_deeper(value, MAX_DEPTH - around)


def refuse_too_deep(value: Any, around: int = 0) -> None:
    """BadRequest when a value is too deep: what a request makes of an object, rather than its body."""
    if is_too_deep(value, around):
        raise errors.BadRequest(f"the object would be nested too deeply: {TOO_DEEP}")
