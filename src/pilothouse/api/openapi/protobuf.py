"""Writes protobuf messages out of JSON values,
for the two versions of OpenAPI (gnostic's OpenAPIv2.proto and OpenAPIv3.proto).

A message is a table: JSON member -> field number and what writes the field. As in proto3, fields with the
zero value of their type are left out, except where a message says which of several forms a value has.
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pilothouse.api import json
from pilothouse.wire import field, varint

Write = Callable[[int, Any], bytes]
"""Writes a field: (number, value) -> the field with its key."""

Fields = Mapping[str, tuple[int, Write]]
Found = list[tuple[int, bytes]]
"""Written fields with their numbers."""

VARINT, FIXED64 = 0, 1


def named(name: str, value: bytes) -> bytes:
    """A member of a map: a message of a name and a value."""
    return field(1, name.encode()) + field(2, value)


def text(number: int, value: Any) -> bytes:
    """A string."""
    return field(number, value.encode()) if value else b""


def texts(number: int, value: Any) -> bytes:
    """A list of strings."""
    return b"".join(field(number, one.encode()) for one in value)


def flag(number: int, value: Any) -> bytes:
    """A bool."""
    return varint(number << 3 | VARINT) + b"\x01" if value else b""


def integer(number: int, value: Any) -> bytes:
    """An int64."""
    return varint(number << 3 | VARINT) + varint(int(value)) if value else b""


def double(number: int, value: Any) -> bytes:
    """A double."""
    return one_of_doubles(number, value) if value else b""


def one_of_doubles(number: int, value: Any) -> bytes:
    """A double that is one of several forms of a value, so that zero is written too."""
    return varint(number << 3 | FIXED64) + struct.pack("<d", value)


def anything(number: int, value: Any) -> bytes:
    """A value of any type: gnostic has it as YAML, of which JSON is a part."""
    return field(number, field(2, json.dump(value) + b"\n"))


def of(write: Callable[[Any], bytes]) -> Write:
    """A message; `write` makes its bytes."""
    return lambda number, value: field(number, write(value))


def each(write: Write) -> Write:
    """A list: the field is written for each item."""
    return lambda number, value: b"".join(write(number, one) for one in value)


def mapped(write: Callable[[Any], bytes], number: int = 1) -> Callable[[Mapping[str, Any]], bytes]:
    """A message that is a map: a field of names and values."""
    return lambda value: b"".join(field(number, named(name, write(one))) for name, one in value.items())


def message(value: Mapping[str, Any], fields: Fields, extension: int = 0) -> bytes:
    """The members in the order of field numbers; those with the prefix x- go to the field `extension`."""
    found: Found = []
    for name, member in value.items():
        add(found, name, member, fields, extension)
    return in_order(found)


def add(found: Found, name: str, member: Any, fields: Fields, extension: int) -> None:
    """Write one member; one that the message does not know is left out."""
    known = fields.get(name)
    if known is not None:
        number, write = known
        found.append((number, write(number, member)))
    elif extension and name.startswith("x-"):
        found.append((extension, field(extension, field(1, name.encode()) + anything(2, member))))


def in_order(found: Iterable[tuple[int, bytes]]) -> bytes:
    """Written fields in the order of their numbers; those of one number stay as they are."""
    return b"".join(data for _, data in sorted(found, key=lambda pair: pair[0]))
