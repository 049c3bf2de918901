"""JSON as Go reads and writes it: orjson for what is ordinary, the exact scanner for the rest."""

import json as _json
from collections.abc import Iterator
from typing import Any

import orjson

from pilothouse._schema import DecodeError, ScanError, as_plain, scan, shape
from pilothouse.api.depth import TOO_DEEP, is_too_deep

__all__ = [
    "DecodeError",
    "ScanError",
    "dump",
    "dump_parts",
    "parse",
    "pretty",
    "takes_long",
]

MAX_CONTAINERS = 200_000
"""Objects and arrays in one document: each takes some 60 bytes even when two were sent, and all are freed in one go, for
which every thread waits. No kind's objects have so many."""

MAX_VALUES = 500_000
"""Values in one document, for the same reason: the exact scanner makes an object of each number."""

MANY_MEMBERS = 100_000
"""Members from which on the exact scanner reads a document: it takes twice as long as orjson, but lets other threads
run meanwhile."""


def takes_long(data: bytes) -> bool:
    """Whether orjson would hold up all threads with a document; DecodeError when it has too many objects and arrays."""
    if len(data) < 2 * MAX_CONTAINERS:
        return False
    members, containers, commas = shape(data)
    if containers > MAX_CONTAINERS:
        raise DecodeError(f"more than {MAX_CONTAINERS} objects and arrays in one document")
    if commas > MAX_VALUES:
        raise DecodeError(f"more than {MAX_VALUES} values in one document")
    return members > MANY_MEMBERS


def parse(data: bytes) -> Any:
    """The value that `data` holds.

    Text that is no UTF-8 is repaired and the last of repeated members stays, as in Go. ScanError carries Go's
    message; DecodeError says that the value is nested too deeply, or has too many parts.
    """
    if takes_long(data):
        return as_plain(scan(data))
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


PART = 1000
"""Members or items that are written in one go by `dump_parts`."""


def dump_parts(value: Any, limit: int) -> bytes | None:
    """As dump(), for what is large: part by part, so that other threads run meanwhile; None beyond `limit` bytes."""
    out: list[bytes] = []
    size = 0
    for part in _parts(value, 0):
        out.append(part)
        size += len(part)
        if size > limit:
            return None
    return b"".join(out)


def _parts(value: Any, depth: int) -> Iterator[bytes]:
    """The text of a value in pieces: objects and arrays near the root are taken apart, the others are whole."""
    if depth > 6 or not isinstance(value, dict | list) or not value:
        yield dump(value)
    elif isinstance(value, list):
        for at in range(0, len(value), PART):
            few = value[at : at + PART]
            yield b"," if at else b"["
            if len(value) <= PART:
                for i, item in enumerate(few):
                    if i:
                        yield b","
                    yield from _parts(item, depth + 1)
            else:
                yield dump(few)[1:-1]
        yield b"]"
    elif len(value) > PART:
        items = list(value.items())
        for at in range(0, len(items), PART):
            yield b"," if at else b"{"
            yield dump(dict(items[at : at + PART]))[1:-1]
        yield b"}"
    else:
        first = True
        for name, member in value.items():
            yield (b"{" if first else b",") + dump(name) + b":"
            yield from _parts(member, depth + 1)
            first = False
        yield b"}"


def pretty(data: bytes) -> bytes:
    """The same JSON indented by two spaces; as it is when it is nested more deeply than orjson goes."""
    try:
        return orjson.dumps(orjson.loads(data), option=orjson.OPT_INDENT_2)
    except (orjson.JSONDecodeError, TypeError):
        return data
