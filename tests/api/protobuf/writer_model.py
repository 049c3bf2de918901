"""A plain model of the writer of protobuf: the same in Python, with the bytes of each nested message.

A member that is not a pointer in Go is written even if it is absent, as gogo's generated code does.
"""

import base64
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from api.protobuf.reader_model import Table, is_message, table

from pilothouse.api import json
from pilothouse.api.types.schema import Field, Type
from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.wire import field, varint

Put = Callable[[Any, bytearray], None]
"""Writes a value with its tag."""

Content = Callable[[Any], bytes]
"""Returns a value without tag and length."""

_EMPTY = b""


def _number(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def encode(obj: Object, type: Type) -> bytes:
    """The message of a struct."""
    return _plan(type).encode(obj)


# Plans


class MessagePlan:
    """How the members of a message are written; built on first use, because types may be recursive."""

    __slots__ = ("_members", "_steps")

    def __init__(self, members: Table) -> None:
        self._members = members
        self._steps: list[tuple[str, Put, bytes]] | None = None

    def encode(self, obj: Object) -> bytes:
        steps = self._steps
        if steps is None:
            steps = self._steps = [_step(number, self._members[number]) for number in sorted(self._members)]
        out = bytearray()
        get = obj.get
        for name, put, zero in steps:
            value = get(name) if name else obj
            if value is not None:
                put(value, out)
            elif zero:
                out += zero
        return bytes(out)


@cache
def _plan(type: Type) -> MessagePlan:
    return MessagePlan(table(type))


def _step(number: int, member: "Field | Table") -> tuple[str, Put, bytes]:
    """A member's name, its writer, and the bytes written if it is absent;
    without a name, for the whole object."""
    if isinstance(member, dict):
        return "", _message(number, MessagePlan(member).encode), _EMPTY
    type = member.type
    if type.kind == "list" and type.items is not None and not is_message(type):
        return member.name, _repeated(_put(number, type.items)), _EMPTY
    if type.kind == "map" and type.items is not None:
        return member.name, _map(number, _put(2, type.items)), _EMPTY
    return member.name, _put(number, type), _EMPTY if member.pointer else _zero(number, type)


def _zero(number: int, type: Type) -> bytes:
    match type.kind:
        case "bytes" | "list":
            return _EMPTY
        case "struct":
            return field(number, encode({}, type))
        case "int32" | "int64" | "bool":
            return _number(number, 0)
        case "number":
            return varint(number << 3 | 1) + struct.pack("<d", 0.0)
        case "intorstring":
            return field(number, _int_or_string(0))
    return field(number, _EMPTY)


def _put(number: int, type: Type) -> Put:
    match type.kind:
        case "string" | "duration":
            return _text(number)
        case "int32" | "int64" | "bool":
            return _integer(number)
        case "number":
            return _double(number)
        case "struct":
            return _message(number, _plan(type).encode)
    return _message(number, _content(type))


def _text(number: int) -> Put:
    tag = varint(number << 3 | 2)

    def put(value: Any, out: bytearray) -> None:
        data = value.encode()
        size = len(data)
        out += tag
        out += varint(size)
        out += data

    return put


def _integer(number: int) -> Put:
    tag = varint(number << 3)

    def put(value: Any, out: bytearray) -> None:
        out += tag
        out += varint(int(value))

    return put


def _double(number: int) -> Put:
    tag = varint(number << 3 | 1)

    def put(value: Any, out: bytearray) -> None:
        out += tag
        out += struct.pack("<d", value)

    return put


def _message(number: int, content: Content) -> Put:
    tag = varint(number << 3 | 2)

    def put(value: Any, out: bytearray) -> None:
        data = content(value)
        size = len(data)
        out += tag
        out += varint(size)
        out += data

    return put


def _repeated(put_item: Put) -> Put:
    def put(value: Any, out: bytearray) -> None:
        for item in value:
            put_item(item, out)

    return put


def _map(number: int, put_item: Put) -> Put:
    tag, put_key = varint(number << 3 | 2), _text(1)

    def put(value: Any, out: bytearray) -> None:
        for key in sorted(value):
            entry = bytearray()
            put_key(key, entry)
            put_item(value[key], entry)
            out += tag
            out += varint(len(entry))
            out += entry

    return put


def _content(type: Type) -> Content:
    match type.kind:
        case "bytes":
            return base64.b64decode
        case "time" | "microtime":
            return _microtime if type.kind == "microtime" else _time
        case "quantity":
            return _quantity
        case "intorstring":
            return _int_or_string
        case "schemaor":
            return _schema_or(type)
        case "list":
            assert type.items is not None
            return _listed(_repeated(_put(1, type.items)))
        case "map":
            raise TypeError("a map is no message")
    return _raw if type.go == "runtime.RawExtension" else _any


def _listed(put: Put) -> Content:
    def content(value: Any) -> bytes:
        out = bytearray()
        if value is not None:  # a nil slice of Go, as a value of a map, is a message without items
            put(value, out)
        return bytes(out)

    return content


def _time(value: Any) -> bytes:
    return _number(1, times.to_unix(value)[0]) + _number(2, 0) if value else _EMPTY


def _microtime(value: Any) -> bytes:
    if not value:
        return _EMPTY
    seconds, micro = times.to_unix(value)
    return _number(1, seconds) + _number(2, micro * 1000)


def _quantity(value: Any) -> bytes:
    return field(1, str(value).encode())


def _int_or_string(value: Any) -> bytes:
    if isinstance(value, str):
        return _number(1, 1) + _number(2, 0) + field(3, value.encode())
    return _number(1, 0) + _number(2, value) + field(3, _EMPTY)


def _any(value: Any) -> bytes:
    return field(1, json.dump(value))


def _raw(value: Any) -> bytes:
    """A value of any kind as Go's clients have written it: they compare its bytes with their own."""
    return field(1, json.escaped(json.dump(value)))


def _schema_or(type: Type) -> Content:
    assert type.items is not None
    plan = _plan(type.items)

    def boolean(value: Any) -> bytes:
        if isinstance(value, dict):
            return _number(1, 1) + field(2, plan.encode(value))
        return _number(1, int(value))

    def several(value: Any) -> bytes:
        if isinstance(value, dict):
            return field(1, plan.encode(value))
        if not value:  # neither one schema nor several
            return b""
        items = (plan.encode(item) if isinstance(item, dict) else str(item).encode() for item in value)
        return b"".join(field(2, item) for item in items)

    return boolean if type.go.endswith("OrBool") else several
