"""OpenAPI version 2 in protobuf (gnostic's OpenAPIv2.proto), which some clients read rather than JSON.

Each message is a table: member of the JSON form -> field number and how its value is written.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pilothouse.api import json

Write = Callable[[Any], bytes]
Fields = Mapping[str, tuple[int, Write]]

LENGTH_DELIMITED, VARINT = 2, 0


def encode(document: Mapping[str, Any]) -> bytes:
    """A document of version 2."""
    return _message(document, _DOCUMENT, 16)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | LENGTH_DELIMITED) + _varint(len(value)) + value


def _text(value: str) -> bytes:
    return value.encode()


def _flag(value: Any) -> bytes:
    """Marks a bool field: a varint, left out when false."""
    return b"\x01"


def _message(value: Mapping[str, Any], fields: Fields, extension: int = 0) -> bytes:
    """Members in the order of their numbers; `extension` is the field of those that begin with x-."""
    found: list[tuple[int, bytes]] = []
    for name, member in value.items():
        known = fields.get(name)
        if known is not None:
            number, write = known
            if write is _flag:
                if member:
                    found.append((number, _varint(number << 3 | VARINT) + write(member)))
                continue
            items = member if isinstance(member, list) else (member,)
            found += [(number, _field(number, write(item))) for item in items]
        elif extension and name.startswith("x-"):
            found.append((extension, _field(extension, _named(name, _any(member)))))
    found.sort(key=lambda pair: pair[0])
    return b"".join(data for _, data in found)


def _named(name: str, value: bytes) -> bytes:
    return _field(1, name.encode()) + _field(2, value)


def _any(value: Any) -> bytes:
    """A value of no known shape, as YAML (of which JSON is a part)."""
    return _field(2, json.dump(value) + b"\n")


def _map(write: Write, number: int = 1) -> Write:
    """A message that is a map, as its (name, value) pairs."""
    return lambda value: b"".join(
        _field(number, _named(name, write(member))) for name, member in value.items()
    )


def _schema(value: Mapping[str, Any]) -> bytes:
    return _message(value, _SCHEMA, 31)


def _additional(value: Any) -> bytes:
    return _field(1, _schema(value)) if isinstance(value, dict) else b"\x10" + (b"\x01" if value else b"\x00")


def _parameter(value: Mapping[str, Any]) -> bytes:
    """ParametersItem > Parameter > the message of the parameter's place."""
    if value.get("in") == "body":
        inner = _field(1, _message(value, _BODY_PARAMETER, 6))
    elif value.get("in") == "path":
        inner = _field(2, _field(4, _message(value, _PATH_PARAMETER, 22)))
    else:
        inner = _field(2, _field(3, _message(value, _QUERY_PARAMETER, 23)))
    return _field(1, inner)


def _response(value: Mapping[str, Any]) -> bytes:
    return _field(1, _message(value, _RESPONSE, 5))


def _operation(value: Mapping[str, Any]) -> bytes:
    return _message(value, _OPERATION, 13)


def _path_item(value: Mapping[str, Any]) -> bytes:
    return _message(value, _PATH_ITEM, 10)


def _strings(value: list[str]) -> bytes:
    return b"".join(_field(1, text.encode()) for text in value)


def _security_definition(value: Mapping[str, Any]) -> bytes:
    return _field(2, _message(value, _API_KEY, 5))


_SCHEMA: dict[str, tuple[int, Write]] = {
    "$ref": (1, _text),
    "format": (2, _text),
    "title": (3, _text),
    "description": (4, _text),
    "pattern": (13, _text),
    "uniqueItems": (16, _flag),
    "required": (19, _text),
    "enum": (20, _any),
    "additionalProperties": (21, _additional),
    "type": (22, lambda value: _field(1, value.encode())),
    "items": (23, lambda value: _field(1, _schema(value))),
    "properties": (25, _map(_schema)),
}
_BODY_PARAMETER: Fields = {
    "description": (1, _text),
    "name": (2, _text),
    "in": (3, _text),
    "required": (4, _flag),
    "schema": (5, _schema),
}
_QUERY_PARAMETER: Fields = {
    "required": (1, _flag),
    "in": (2, _text),
    "description": (3, _text),
    "name": (4, _text),
    "type": (6, _text),
    "uniqueItems": (20, _flag),
}
_PATH_PARAMETER: Fields = {
    "required": (1, _flag),
    "in": (2, _text),
    "description": (3, _text),
    "name": (4, _text),
    "type": (5, _text),
    "uniqueItems": (19, _flag),
}
_RESPONSE: Fields = {
    "description": (1, _text),
    "schema": (2, lambda value: _field(1, _schema(value))),
}
_OPERATION: Fields = {
    "tags": (1, _text),
    "description": (3, _text),
    "operationId": (5, _text),
    "produces": (6, _text),
    "consumes": (7, _text),
    "parameters": (8, _parameter),
    "responses": (9, _map(_response)),
    "schemes": (10, _text),
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
_API_KEY: Fields = {"type": (1, _text), "name": (2, _text), "in": (3, _text), "description": (4, _text)}
_DOCUMENT: Fields = {
    "swagger": (1, _text),
    "info": (2, lambda value: _message(value, {"title": (1, _text), "version": (2, _text)})),
    "paths": (8, _map(_path_item, 2)),
    "definitions": (9, _map(_schema)),
    "security": (12, _map(_strings)),
    "securityDefinitions": (13, _map(_security_definition)),
}
