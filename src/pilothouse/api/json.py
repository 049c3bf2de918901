"""Reads and writes JSON as Go does: with orjson where that is equivalent, else with the exact scanner."""

import json as _json
from collections.abc import Iterator
from typing import Any

import orjson

from pilothouse.api._schema import DecodeError, ScanError, as_plain, scan, shape
from pilothouse.api.types.depth import TOO_DEEP, is_too_deep

__all__ = [
    "DecodeError",
    "ScanError",
    "compact",
    "dump",
    "dump_parts",
    "escaped",
    "parse",
    "pretty",
    "takes_long",
]

MAX_CONTAINERS = 200_000
"""Objects and arrays allowed in one document. Even an empty one takes about 60 bytes, and freeing all of them
stops every thread. No built-in kind has as many."""

MAX_VALUES = 500_000
"""Values allowed in one document, for the same reason:
the exact scanner allocates an object for each number."""

MANY_MEMBERS = 100_000
"""Members from which on the exact scanner reads a document: it takes twice as long as orjson, but lets other
threads run."""


def takes_long(data: bytes) -> bool:
    """Whether orjson would block all threads for long; raises DecodeError for too many objects and arrays."""
    if len(data) < 2 * MAX_CONTAINERS:
        return False
    members, containers, commas = shape(data)
    if containers > MAX_CONTAINERS:
        raise DecodeError(f"more than {MAX_CONTAINERS} objects and arrays in one document")
    if commas > MAX_VALUES:
        raise DecodeError(f"more than {MAX_VALUES} values in one document")
    return members > MANY_MEMBERS


def parse(data: bytes) -> Any:
    """Parse JSON as Go does, the last of repeated members is kept. What is not UTF-8 is an error.

    Raises ScanError with Go's message, and DecodeError if the value is nested too deeply or has too many
    parts.
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


def in_key_order(value: Any) -> Any:
    """A copy with sorted members, as upstream has them in what it merges or does not know: messages follow
    this order."""
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def dump(value: Any, *, sort: bool = False) -> bytes:
    """Write compact JSON in UTF-8; `sort` sorts the members of objects."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort else None)
    except (orjson.JSONEncodeError, TypeError):
        out: list[bytes] = []
        _write(value, sort, out)
        return b"".join(out)


_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def escaped(data: bytes) -> bytes:
    """JSON with the characters escaped that Go's encoder escapes, so that it may stand in HTML."""
    for character, instead in _ESCAPES:
        if character in data:
            data = data.replace(character, instead)
    return data


def _write(value: Any, sort: bool, out: list[bytes]) -> None:
    """Write what orjson refuses: what is nested too deeply for it,
    integers of more than 64 bits, lone surrogates."""
    before = b""
    if isinstance(value, dict):
        out.append(b"{")
        for name, member in sorted(value.items()) if sort else value.items():
            out.append(before + _json.dumps(name, ensure_ascii=False).encode("utf-8", "replace") + b":")
            _write(member, sort, out)
            before = b","
        out.append(b"}")
    elif isinstance(value, list):
        out.append(b"[")
        for item in value:
            out.append(before)
            _write(item, sort, out)
            before = b","
        out.append(b"]")
    elif isinstance(value, float):
        out.append(orjson.dumps(value))
    else:
        out.append(_json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def compact(data: bytes) -> bytes:
    """A copy of JSON that is kept for long:
    what orjson writes holds on to the room that it was written in, 16 KB at least."""
    return bytes(memoryview(data))


PART = 1000
"""Members or items that `dump_parts` writes in one step."""


def dump_parts(value: Any, limit: int) -> bytes | None:
    """Like dump() for large values: in parts, so that other threads can run;
    None if it exceeds `limit` bytes."""
    out: list[bytes] = []
    size = 0
    for part in _parts(value, 0):
        out.append(part)
        size += len(part)
        if size > limit:
            return None
    return b"".join(out)


def _parts(value: Any, depth: int) -> Iterator[bytes]:
    """Yield a value's JSON in pieces:
    large objects and arrays near the root are split, others written whole."""
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
    """Indent JSON by two spaces; unchanged if it is nested more deeply than orjson's limit."""
    try:
        return orjson.dumps(orjson.loads(data), option=orjson.OPT_INDENT_2)
    except (orjson.JSONDecodeError, TypeError):
        return data
