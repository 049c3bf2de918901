"""The wire form of built-in kinds: magic bytes around a runtime.Unknown around the object's own message.

Messages follow from the types: a member's number comes from schemas/, its wire type from its kind. What is
read goes through the same walk as JSON, so that it needs no checks here.
"""

import base64
import functools
import struct
from collections.abc import Iterator
from typing import Any

from pilothouse.api import json, schema, times
from pilothouse.api.fields import Object
from pilothouse.api.schema import Field, Type

MAGIC = b"k8s\x00"
_PREFIX = str(list(MAGIC)).replace(",", "")

_MASK = (1 << 64) - 1
_MAX_DEPTH = 100
_ITEMS = ("ExtraValue", "Verbs")
"""Go's names of lists that are messages of their own."""

Table = dict[int, "Field | Table"]


class ProtobufError(ValueError):
    """The bytes are no such message."""


@functools.cache
def _numbers() -> dict[str, dict[str, list[int]]]:
    found: dict[str, dict[str, list[int]]] = schema.load("numbers")
    return found


@functools.cache
def _table(name: str) -> Table:
    """Field number -> member, or the table of an embedded message."""
    type_ = schema.builtin(name)
    out: Table = {}
    for member, path in _numbers().get(name, {}).items():
        field = type_.fields.get(member)
        if field is None:
            continue
        table = out
        for number in path[:-1]:
            inner = table.setdefault(number, {})
            assert isinstance(inner, dict)
            table = inner
        table[path[-1]] = field
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
    """Number and raw value of every field: an unsigned int, or bytes."""
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
    """apiVersion, kind and the object's own message; ProtobufError for anything else."""
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
    """A struct's message as the JSON object it stands for; numbers that are not known are passed over."""
    out: Object = {}
    _decode_into(out, data, _table(type.name), depth)
    return out


def _decode_into(out: Object, data: bytes, table: Table, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ProtobufError("proto: message is nested too deeply")
    for number, value in _fields(data):
        field = table.get(number)
        if field is None:
            continue
        if isinstance(field, dict):
            _decode_into(out, _bytes(value), field, depth + 1)
        elif field.type.kind == "list" and field.type.items is not None and not _is_message(field.type):
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


def _is_message(type: Type) -> bool:
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
            return struct.unpack("<d", _bytes(value)[:8].ljust(8, b"\0"))[0]
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


# Writing


def _put_varint(value: int) -> bytes:
    value &= _MASK
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _put(number: int, value: bytes) -> bytes:
    return _put_varint(number << 3 | 2) + _put_varint(len(value)) + value


def _put_number(number: int, value: int) -> bytes:
    return _put_varint(number << 3) + _put_varint(value)


def write(obj: Object, api_version: str, kind: str) -> bytes:
    """A whole body; the object's kind need not be in `obj`."""
    group, _, version = api_version.rpartition("/")
    raw = encode(obj, schema.for_kind(group, version, kind))
    meta = _put(1, api_version.encode()) + _put(2, kind.encode())
    return MAGIC + _put(1, meta) + _put(2, raw) + _put(3, b"") + _put(4, b"")


def encode(obj: Object, type: Type) -> bytes:
    """The message of a struct."""
    return _encode_table(obj, _table(type.name))


def _encode_table(obj: Object, table: Table) -> bytes:
    out = []
    for number in sorted(table):
        field = table[number]
        if isinstance(field, dict):
            out.append(_put(number, _encode_table(obj, field)))
            continue
        value = obj.get(field.name)
        if field.type.kind == "list" and field.type.items is not None and not _is_message(field.type):
            out += [_member(number, item, field.type.items) for item in value or ()]
        elif field.type.kind == "map" and field.type.items is not None:
            for key, item in sorted((value or {}).items(), key=lambda pair: pair[0]):
                entry = _put(1, key.encode()) + _member(2, item, field.type.items)
                out.append(_put(number, entry))
        elif value is not None:
            out.append(_member(number, value, field.type))
        elif not field.pointer and field.type.kind not in ("bytes", "list"):
            out.append(_zero(number, field.type))
    return b"".join(out)


def _zero(number: int, type: Type) -> bytes:
    """A member that is no pointer is written when it was not given as well."""
    match type.kind:
        case "struct":
            return _put(number, encode({}, type))
        case "int32" | "int64" | "bool":
            return _put_number(number, 0)
        case "number":
            return _member(number, 0.0, type)
        case "intorstring":
            return _member(number, 0, type)
    return _put(number, b"")


def _member(number: int, value: Any, type: Type) -> bytes:
    match type.kind:
        case "int32" | "int64" | "bool":
            return _put_number(number, int(value or 0))
        case "number":
            return _put_varint(number << 3 | 1) + struct.pack("<d", value)
    return _put(number, _content(value, type))


def _content(value: Any, type: Type) -> bytes:
    match type.kind:
        case "struct":
            return encode(value or {}, type)
        case "string" | "duration":
            return str(value or "").encode("utf-8", "surrogatepass")
        case "bytes":
            return base64.b64decode(value or "")
        case "list":
            assert type.items is not None
            return b"".join(_member(1, item, type.items) for item in value)
        case "time" | "microtime":
            if not value:
                return b""
            seconds, micro = times.to_unix(value)
            return _put_number(1, seconds) + _put_number(2, micro * 1000 if type.kind == "microtime" else 0)
        case "quantity":
            return _put(1, str(value).encode())
        case "intorstring":
            text = value if isinstance(value, str) else ""
            number = 0 if isinstance(value, str) else value
            return (
                _put_number(1, int(isinstance(value, str))) + _put_number(2, number) + _put(3, text.encode())
            )
        case "schemaor":
            return _put_schema_or(value, type)
    return _put(1, json.dump(value))


def _put_schema_or(value: Any, type: Type) -> bytes:
    assert type.items is not None
    if type.go.endswith("OrBool"):
        if isinstance(value, dict):
            return _put_number(1, 1) + _put(2, encode(value, type.items))
        return _put_number(1, int(value))
    if isinstance(value, dict):
        return _put(1, encode(value, type.items))
    items = [encode(item, type.items) if isinstance(item, dict) else str(item).encode() for item in value]
    return b"".join(_put(2, item) for item in items)
