"""Encodes OpenAPI version 2 in protobuf (gnostic's OpenAPIv2.proto),
which some clients request instead of JSON.

Documents are joined from parts that were encoded separately.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pilothouse.api.openapi import version_2
from pilothouse.api.openapi.protobuf import (
    Fields,
    Found,
    add,
    anything,
    double,
    each,
    flag,
    in_order,
    integer,
    mapped,
    message,
    named,
    of,
    text,
    texts,
)
from pilothouse.wire import field

Encoded = tuple[dict[str, bytes], dict[str, bytes], dict[str, bytes]]
"""The encoded paths, definitions and parameters of a part, by name."""


def part(value: version_2.GroupVersionDocument) -> Encoded:
    """Encode a part."""
    return (
        {path: field(2, named(path, _path_item(item))) for path, item in value.paths.items()},
        {name: field(1, named(name, _schema(schema))) for name, schema in value.definitions.items()},
        {name: field(1, named(name, _parameter(one))) for name, one in value.parameters.items()},
    )


def join(
    frame: Mapping[str, Any],
    paths: Iterable[bytes],
    definitions: Iterable[bytes],
    parameters: Iterable[bytes],
) -> bytes:
    """Join encoded parts into a document with the other members of `frame`."""
    found: Found = []
    for name, member in frame.items():
        add(found, name, member, _DOCUMENT, 16)
    for number, members in ((8, paths), (9, definitions), (10, parameters)):
        found.append((number, field(number, b"".join(members))))
    return in_order(found)


def _schema(value: Mapping[str, Any]) -> bytes:
    """Encode a schema. Recursion uses one Python call per level, because definitions may be deeply nested."""
    found: Found = []
    for name, member in value.items():
        if name == "properties":
            below = []
            for key, schema in member.items():
                below.append(field(1, named(key, _schema(schema))))
            found.append((25, field(25, b"".join(below))))
        elif name == "items":
            for schema in member if isinstance(member, list) else [member]:
                found.append((23, field(23, field(1, _schema(schema)))))
        elif name == "allOf":
            for schema in member:
                found.append((24, field(24, _schema(schema))))
        elif name == "additionalProperties" and isinstance(member, dict):
            found.append((21, field(21, field(1, _schema(member)))))
        elif name == "additionalProperties":
            found.append((21, field(21, b"\x10\x01" if member else b"\x10\x00")))
        else:
            add(found, name, member, _SCHEMA, 31)
    return in_order(found)


def _parameter(value: Mapping[str, Any]) -> bytes:
    """Encode a Parameter, which holds the message for the parameter's place."""
    if value.get("in") == "body":
        return field(1, message(value, _BODY_PARAMETER, 6))
    if value.get("in") == "path":
        return field(2, field(4, message(value, _PATH_PARAMETER, 22)))
    return field(2, field(3, message(value, _QUERY_PARAMETER, 23)))


def _parameter_or_reference(value: Mapping[str, Any]) -> bytes:
    if "$ref" in value:
        return field(2, text(1, value["$ref"]))
    return field(1, _parameter(value))


def _response(value: Mapping[str, Any]) -> bytes:
    return field(1, message(value, _RESPONSE, 5))


def _operation(value: Mapping[str, Any]) -> bytes:
    return message(value, _OPERATION, 13)


def _path_item(value: Mapping[str, Any]) -> bytes:
    return message(value, _PATH_ITEM, 10)


def _strings(value: list[str]) -> bytes:
    return texts(1, value)


def _types(value: Any) -> bytes:
    return texts(1, [value] if isinstance(value, str) else value)


def _info(value: Mapping[str, Any]) -> bytes:
    return message(value, {"title": (1, text), "version": (2, text)})


def _security_definition(value: Mapping[str, Any]) -> bytes:
    return field(2, message(value, _API_KEY, 5))


def _external_docs(value: Mapping[str, Any]) -> bytes:
    return message(value, {"description": (1, text), "url": (2, text)}, 3)


_SCHEMA: Fields = {
    "$ref": (1, text),
    "format": (2, text),
    "title": (3, text),
    "description": (4, text),
    "default": (5, anything),
    "multipleOf": (6, double),
    "maximum": (7, double),
    "exclusiveMaximum": (8, flag),
    "minimum": (9, double),
    "exclusiveMinimum": (10, flag),
    "maxLength": (11, integer),
    "minLength": (12, integer),
    "pattern": (13, text),
    "maxItems": (14, integer),
    "minItems": (15, integer),
    "uniqueItems": (16, flag),
    "maxProperties": (17, integer),
    "minProperties": (18, integer),
    "required": (19, texts),
    "enum": (20, each(anything)),
    "type": (22, of(_types)),
    "readOnly": (27, flag),
    "externalDocs": (29, of(_external_docs)),
    "example": (30, anything),
}
_BODY_PARAMETER: Fields = {
    "description": (1, text),
    "name": (2, text),
    "in": (3, text),
    "required": (4, flag),
    "schema": (5, of(_schema)),
}
_QUERY_PARAMETER: Fields = {
    "required": (1, flag),
    "in": (2, text),
    "description": (3, text),
    "name": (4, text),
    "type": (6, text),
    "uniqueItems": (20, flag),
}
_PATH_PARAMETER: Fields = {
    "required": (1, flag),
    "in": (2, text),
    "description": (3, text),
    "name": (4, text),
    "type": (5, text),
    "uniqueItems": (19, flag),
}
_RESPONSE: Fields = {
    "description": (1, text),
    "schema": (2, of(lambda value: field(1, _schema(value)))),
}
_OPERATION: Fields = {
    "tags": (1, texts),
    "description": (3, text),
    "operationId": (5, text),
    "produces": (6, texts),
    "consumes": (7, texts),
    "parameters": (8, each(of(_parameter_or_reference))),
    "responses": (9, of(mapped(_response))),
    "schemes": (10, texts),
    "deprecated": (11, flag),
}
_PATH_ITEM: Fields = {
    "get": (2, of(_operation)),
    "put": (3, of(_operation)),
    "post": (4, of(_operation)),
    "delete": (5, of(_operation)),
    "options": (6, of(_operation)),
    "head": (7, of(_operation)),
    "patch": (8, of(_operation)),
    "parameters": (9, each(of(_parameter_or_reference))),
}
_API_KEY: Fields = {"type": (1, text), "name": (2, text), "in": (3, text), "description": (4, text)}
_DOCUMENT: Fields = {
    "swagger": (1, text),
    "info": (2, of(_info)),
    "security": (12, each(of(mapped(_strings)))),
    "securityDefinitions": (13, of(mapped(_security_definition))),
}
