"""Encodes OpenAPI version 2 in protobuf (gnostic's OpenAPIv2.proto), which some clients request instead of JSON.

Each message is a table: JSON member -> field number and encoder of the value. Documents are joined from parts
that were encoded separately.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pilothouse.api import json

Write = Callable[[Any], bytes]
Fields = Mapping[str, tuple[int, Write]]

LENGTH_DELIMITED, VARINT = 2, 0


def part(paths: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[bytes, dict[str, bytes]]:
    """Encode a part: its paths, and its definitions by name."""
    written = {name: field(1, _named(name, _schema(schema))) for name, schema in definitions.items()}
    return _map(_path_item, 2)(paths), written


def whole(frame: Mapping[str, Any], paths: Iterable[bytes], definitions: Iterable[bytes]) -> bytes:
    """Join encoded parts into a document with the other members of `frame`."""
    found = _members(frame, _DOCUMENT, 16)
    found += [(8, field(8, b"".join(paths))), (9, field(9, b"".join(definitions)))]
    return _in_order(found)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | LENGTH_DELIMITED) + _varint(len(value)) + value


def text(value: str) -> bytes:
    return value.encode()


def _flag(value: Any) -> bytes:
    """Marks a bool field: a varint that is left out if false."""
    return b"\x01"


def message(value: Mapping[str, Any], fields: Fields, extension: int = 0) -> bytes:
    """Encode members in the order of field numbers; members with the prefix x- go to the field `extension`."""
    return _in_order(_members(value, fields, extension))


def _members(value: Mapping[str, Any], fields: Fields, extension: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    for name, member in value.items():
        _member(found, name, member, fields, extension)
    return found


def _member(found: list[tuple[int, bytes]], name: str, member: Any, fields: Fields, extension: int) -> None:
    known = fields.get(name)
    if known is not None:
        number, write = known
        if write is _flag:
            if member:
                found.append((number, _varint(number << 3 | VARINT) + write(member)))
            return
        items = member if isinstance(member, list) else (member,)
        found += [(number, field(number, write(item))) for item in items]
    elif extension and name.startswith("x-"):
        found.append((extension, field(extension, _named(name, _any(member)))))


def _in_order(found: list[tuple[int, bytes]]) -> bytes:
    found.sort(key=lambda pair: pair[0])
    return b"".join(data for _, data in found)


def _named(name: str, value: bytes) -> bytes:
    return field(1, name.encode()) + field(2, value)


def _any(value: Any) -> bytes:
    """A value of any type, encoded as YAML (of which JSON is a subset)."""
    return field(2, json.dump(value) + b"\n")


def _map(write: Write, number: int = 1) -> Write:
    """A message that is a map, encoded as (name, value) pairs."""
    return lambda value: b"".join(
        field(number, _named(name, write(member))) for name, member in value.items()
    )


def _schema(value: Mapping[str, Any]) -> bytes:
    """Encode a schema. Recursion uses one Python call per level, because definitions may be deeply nested."""
    found: list[tuple[int, bytes]] = []
    for name, member in value.items():
        if name == "properties":
            named = []
            for key, below in member.items():
                named.append(field(1, _named(key, _schema(below))))
            found.append((25, field(25, b"".join(named))))
        elif name == "items":
            found.append((23, field(23, field(1, _schema(member)))))
        elif name == "additionalProperties" and isinstance(member, dict):
            found.append((21, field(21, field(1, _schema(member)))))
        elif name == "additionalProperties":
            found.append((21, field(21, b"\x10\x01" if member else b"\x10\x00")))
        else:
            _member(found, name, member, _SCHEMA, 31)
    return _in_order(found)


def _parameter(value: Mapping[str, Any]) -> bytes:
    """Encode a parameter: ParametersItem > Parameter > the message for the parameter's place."""
    if value.get("in") == "body":
        inner = field(1, message(value, _BODY_PARAMETER, 6))
    elif value.get("in") == "path":
        inner = field(2, field(4, message(value, _PATH_PARAMETER, 22)))
    else:
        inner = field(2, field(3, message(value, _QUERY_PARAMETER, 23)))
    return field(1, inner)


def _response(value: Mapping[str, Any]) -> bytes:
    return field(1, message(value, _RESPONSE, 5))


def _operation(value: Mapping[str, Any]) -> bytes:
    return message(value, _OPERATION, 13)


def _path_item(value: Mapping[str, Any]) -> bytes:
    return message(value, _PATH_ITEM, 10)


def _strings(value: list[str]) -> bytes:
    return b"".join(field(1, text.encode()) for text in value)


def _security_definition(value: Mapping[str, Any]) -> bytes:
    return field(2, message(value, _API_KEY, 5))


_SCHEMA: dict[str, tuple[int, Write]] = {
    "$ref": (1, text),
    "format": (2, text),
    "title": (3, text),
    "description": (4, text),
    "pattern": (13, text),
    "uniqueItems": (16, _flag),
    "required": (19, text),
    "enum": (20, _any),
    "type": (22, lambda value: field(1, value.encode())),
}
_BODY_PARAMETER: Fields = {
    "description": (1, text),
    "name": (2, text),
    "in": (3, text),
    "required": (4, _flag),
    "schema": (5, _schema),
}
_QUERY_PARAMETER: Fields = {
    "required": (1, _flag),
    "in": (2, text),
    "description": (3, text),
    "name": (4, text),
    "type": (6, text),
    "uniqueItems": (20, _flag),
}
_PATH_PARAMETER: Fields = {
    "required": (1, _flag),
    "in": (2, text),
    "description": (3, text),
    "name": (4, text),
    "type": (5, text),
    "uniqueItems": (19, _flag),
}
_RESPONSE: Fields = {
    "description": (1, text),
    "schema": (2, lambda value: field(1, _schema(value))),
}
_OPERATION: Fields = {
    "tags": (1, text),
    "description": (3, text),
    "operationId": (5, text),
    "produces": (6, text),
    "consumes": (7, text),
    "parameters": (8, _parameter),
    "responses": (9, _map(_response)),
    "schemes": (10, text),
    "deprecated": (11, _flag),
}
_PATH_ITEM: Fields = {
    "get": (2, _operation),
    "put": (3, _operation),
    "post": (4, _operation),
    "delete": (5, _operation),
    "options": (6, _operation),
    "head": (7, _operation),
    "patch": (8, _operation),
    "parameters": (9, _parameter),
}
_API_KEY: Fields = {"type": (1, text), "name": (2, text), "in": (3, text), "description": (4, text)}
_DOCUMENT: Fields = {
    "swagger": (1, text),
    "info": (2, lambda value: message(value, {"title": (1, text), "version": (2, text)})),
    "security": (12, _map(_strings)),
    "securityDefinitions": (13, _map(_security_definition)),
}
