"""JSON as Go reads and writes it: orjson for what is ordinary, the exact scanner for the rest."""

import json as _json
from typing import Any

import orjson

from pilothouse._schema import DecodeError, ScanError, as_plain, scan
from pilothouse.api.depth import TOO_DEEP, is_too_deep

__all__ = ["DecodeError", "ScanError", "dump", "parse", "pretty"]


def parse(data: bytes) -> Any:
    """The value that `data` holds.

    Text that is no UTF-8 is repaired and the last of repeated members stays, as in Go. ScanError carries Go's
    message; DecodeError says that the value is nested too deeply.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return as_plain(scan(data))
    if is_too_deep(value):
        raise DecodeError(TOO_DEEP)
    return value


def dump(value: Any, *, sort: bool = False) -> bytes:
    """Compact JSON, in UTF-8; `sort` puts the members of objects in order."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort else None)
    except (orjson.JSONEncodeError, TypeError):
        # Nested more deeply than orjson goes, or an integer of more than 64 bits.
        text = _json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=sort)
        return text.encode("utf-8", "replace")


def pretty(data: bytes) -> bytes:
    """The same JSON indented by two spaces; as it is when it is nested more deeply than orjson goes."""
    try:
        return orjson.dumps(orjson.loads(data), option=orjson.OPT_INDENT_2)
    except (orjson.JSONDecodeError, TypeError):
        return data
