"""A plain model of the reader of protobuf: the same in Python, field by field.

Messages are derived from the types: field numbers come from schemas/, wire types from the members' kinds.
"""

import base64
import functools
import math
import struct
from collections.abc import Iterator
from typing import Any

from pilothouse.api import json
from pilothouse.api.protobuf._reader import MAGIC, ProtobufError
from pilothouse.api.types import schema
from pilothouse.api.types.schema import Field, Type
from pilothouse.api.values import times
from pilothouse.api.values.fields import Object

_PREFIX = str(list(MAGIC)).replace(",", "")

_MASK = (1 << 64) - 1
_MAX_DEPTH = 100
_ITEMS = ("ExtraValue", "Verbs")
"""Go names of list types that are messages of their own."""

Table = dict[int, "Field | Table"]


@functools.cache
def numbers() -> dict[str, dict[str, list[int]]]:
    found: dict[str, dict[str, list[int]]] = schema.load("numbers")
    return found


@functools.cache
def table(type: Type) -> Table:
    """Field number -> member, or the table of an embedded message."""
    out: Table = {}
    for member, path in numbers().get(type.name, {}).items():
        field = type.fields.get(member)
        if field is None:
            continue
        level = out
        for number in path[:-1]:
            inner = level.setdefault(number, {})
            assert isinstance(inner, dict)
            level = inner
        level[path[-1]] = field
    return out


# Reading


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ProtobufError(
                "proto: illegal wireType or unexpected EOF" if shift > 63 else "unexpected EOF"
            )
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and raw value of every field: an unsigned integer, or bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ProtobufError("proto: illegal tag 0")
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ProtobufError(f"proto: illegal wireType {wire}")
        if at + size > len(data):
            raise ProtobufError("unexpected EOF")
        yield number, data[at : at + size]
        at += size


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ProtobufError("proto: wrong wireType")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise ProtobufError("proto: wrong wireType")
    return value


def read(data: bytes) -> tuple[str, str, bytes]:
    """Read apiVersion, kind and the object's own message; raises ProtobufError."""
    if not data.startswith(MAGIC):
        raise ProtobufError(
            f"provided data does not appear to be a protobuf message, expected prefix {_PREFIX}"
        )
    meta = raw = b""
    for number, value in _fields(data[len(MAGIC) :]):
        if number == 1:
            meta = _bytes(value)
        elif number == 2:
            raw = _bytes(value)
    found = {number: _bytes(value).decode("utf-8", "replace") for number, value in _fields(meta)}
    return found.get(1, ""), found.get(2, ""), raw


def decode(data: bytes, type: Type, depth: int = 0) -> Object:
    """Decode a struct's message to a JSON object; unknown field numbers are skipped."""
    out: Object = {}
    _decode_into(out, data, table(type), depth)
    return out


def _decode_into(out: Object, data: bytes, members: Table, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ProtobufError("proto: message is nested too deeply")
    for number, value in _fields(data):
        field = members.get(number)
        if field is None:
            continue
        if isinstance(field, dict):
            _decode_into(out, _bytes(value), field, depth + 1)
        elif field.type.kind == "list" and field.type.items is not None and not is_message(field.type):
            out.setdefault(field.name, []).append(_value(value, field.type.items, depth))
        elif field.type.kind == "map" and field.type.items is not None:
            key, item = _entry(_bytes(value), field.type.items, depth)
            out.setdefault(field.name, {})[key] = item
        else:
            out[field.name] = _value(value, field.type, depth)


def _entry(data: bytes, items: Type, depth: int) -> tuple[str, Any]:
    key, item = "", None
    for number, value in _fields(data):
        if number == 1:
            key = _bytes(value).decode("utf-8", "replace")
        elif number == 2:
            item = _value(value, items, depth)
    return key, item


def is_message(type: Type) -> bool:
    """Whether a list type is a message that contains the list."""
    return type.go.rpartition(".")[2] in _ITEMS


def _value(value: Any, type: Type, depth: int) -> Any:
    match type.kind:
        case "struct":
            return decode(_bytes(value), type, depth + 1)
        case "string" | "duration":
            return _bytes(value).decode("utf-8", "replace")
        case "int32" | "int64":
            return _signed(_number(value))
        case "bool":
            return bool(_number(value))
        case "number":
            number = struct.unpack("<d", _bytes(value)[:8].ljust(8, b"\0"))[0]
            return number if math.isfinite(number) else None
        case "bytes":
            return base64.b64encode(_bytes(value)).decode()
        case "list":
            items = type.items
            assert items is not None
            return [_value(item, items, depth) for number, item in _fields(_bytes(value)) if number == 1]
    parts = dict(_fields(_bytes(value)))
    match type.kind:
        case "time" | "microtime":
            return _time(parts, type.kind == "microtime")
        case "quantity":
            return _bytes(parts.get(1, b"")).decode("utf-8", "replace")
        case "intorstring":
            if parts.get(1):
                return _bytes(parts.get(3, b"")).decode("utf-8", "replace")
            return _signed(_number(parts.get(2, 0)))
        case "schemaor":
            return _schema_or(_bytes(value), type, depth)
    raw = _bytes(parts.get(1, b""))
    return json.parse(raw) if raw else None


def _time(parts: dict[int, Any], micro: bool) -> str | None:
    if not parts:
        return None
    text = times.from_unix(_signed(_number(parts.get(1, 0))))
    if not micro:
        return text + "Z"
    return f"{text}.{_number(parts.get(2, 0)) // 1000:06d}Z"


def _schema_or(data: bytes, type: Type, depth: int) -> Any:
    assert type.items is not None
    single: Object | None = None
    several: list[Any] = []
    allows = 0
    boolean = type.go.endswith("OrBool")
    for number, value in _fields(data):
        if number == (2 if boolean else 1):
            single = decode(_bytes(value), type.items, depth + 1)
            continue
        if boolean:
            allows = _number(value)
        elif type.go.endswith("OrArray"):
            several.append(decode(_bytes(value), type.items, depth + 1))
        else:
            several.append(_bytes(value).decode("utf-8", "replace"))
    if single is not None:
        return single
    return bool(allows) if boolean else several
