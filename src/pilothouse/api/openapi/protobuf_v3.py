"""Encodes OpenAPI version 3 in protobuf (gnostic's OpenAPIv3.proto),
which some clients request instead of JSON."""

from collections.abc import Mapping
from typing import Any

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
    one_of_doubles,
    text,
    texts,
)
from pilothouse.wire import field


def document(value: Mapping[str, Any]) -> bytes:
    """Encode a document; raises TypeError, ValueError, KeyError or AttributeError for what is none."""
    return message(value, _DOCUMENT, 9)


def _plain_schema(value: Mapping[str, Any]) -> bytes:
    """Encode a Schema. Recursion uses two Python calls per level,
    because definitions may be deeply nested."""
    found: Found = []
    for name, member in value.items():
        if name == "properties":
            below = []
            for key, one in member.items():
                below.append(field(1, named(key, _schema(one))))
            found.append((31, field(31, b"".join(below))))
        elif name == "items":
            for one in member if isinstance(member, list) else [member]:
                found.append((30, field(30, field(1, _schema(one)))))
        elif name in _ALTERNATIVES:
            number = _ALTERNATIVES[name]
            for one in member:
                found.append((number, field(number, _schema(one))))
        elif name == "not":
            found.append((29, field(29, _plain_schema(member))))
        elif name == "additionalProperties" and isinstance(member, dict):
            found.append((32, field(32, field(1, _schema(member)))))
        elif name == "additionalProperties":
            found.append((32, field(32, b"\x10\x01" if member else b"\x10\x00")))
        else:
            add(found, name, member, _SCHEMA, 36)
    return in_order(found)


def _schema(value: Mapping[str, Any]) -> bytes:
    """Encode a SchemaOrReference."""
    if "$ref" in value:
        return field(2, text(1, value["$ref"]))
    return field(1, _plain_schema(value))


def _default(value: Any) -> bytes:
    """Encode a DefaultType, which has no form for objects and lists."""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, (int, float)):
        return one_of_doubles(1, value)
    return field(3, value.encode()) if isinstance(value, str) else b""


def _operation(value: Mapping[str, Any]) -> bytes:
    return message(value, _OPERATION, 13)


def _path_item(value: Mapping[str, Any]) -> bytes:
    return message(value, _PATH_ITEM, 14)


def _parameter(value: Mapping[str, Any]) -> bytes:
    if "$ref" in value:
        return field(2, text(1, value["$ref"]))
    return field(1, message(value, _PARAMETER, 14))


def _request_body(value: Mapping[str, Any]) -> bytes:
    return field(1, message(value, _REQUEST_BODY, 4))


def _response(value: Mapping[str, Any]) -> bytes:
    return field(1, message(value, _RESPONSE, 5))


def _responses(value: Mapping[str, Any]) -> bytes:
    out = b"".join(field(2, named(code, _response(one))) for code, one in value.items() if code != "default")
    return field(1, _response(value["default"])) + out if "default" in value else out


def _media_type(value: Mapping[str, Any]) -> bytes:
    return message(value, {"schema": (1, of(_schema))}, 5)


def _info(value: Mapping[str, Any]) -> bytes:
    return message(value, {"title": (1, text), "description": (2, text), "version": (6, text)}, 7)


def _components(value: Mapping[str, Any]) -> bytes:
    return message(value, _COMPONENTS, 10)


def _security_scheme(value: Mapping[str, Any]) -> bytes:
    return field(1, message(value, _SECURITY_SCHEME, 9))


def _external_docs(value: Mapping[str, Any]) -> bytes:
    return message(value, {"description": (1, text), "url": (2, text)}, 3)


_ALTERNATIVES = {"allOf": 26, "oneOf": 27, "anyOf": 28}
_SCHEMA: Fields = {
    "nullable": (1, flag),
    "readOnly": (3, flag),
    "writeOnly": (4, flag),
    "externalDocs": (6, of(_external_docs)),
    "example": (7, anything),
    "deprecated": (8, flag),
    "title": (9, text),
    "multipleOf": (10, double),
    "maximum": (11, double),
    "exclusiveMaximum": (12, flag),
    "minimum": (13, double),
    "exclusiveMinimum": (14, flag),
    "maxLength": (15, integer),
    "minLength": (16, integer),
    "pattern": (17, text),
    "maxItems": (18, integer),
    "minItems": (19, integer),
    "uniqueItems": (20, flag),
    "maxProperties": (21, integer),
    "minProperties": (22, integer),
    "required": (23, texts),
    "enum": (24, each(anything)),
    "type": (25, text),
    "default": (33, of(_default)),
    "description": (34, text),
    "format": (35, text),
}
_PARAMETER: Fields = {
    "name": (1, text),
    "in": (2, text),
    "description": (3, text),
    "required": (4, flag),
    "deprecated": (5, flag),
    "schema": (10, of(_schema)),
}
_REQUEST_BODY: Fields = {
    "description": (1, text),
    "content": (2, of(mapped(_media_type))),
    "required": (3, flag),
}
_RESPONSE: Fields = {"description": (1, text), "content": (3, of(mapped(_media_type)))}
_OPERATION: Fields = {
    "tags": (1, texts),
    "summary": (2, text),
    "description": (3, text),
    "operationId": (5, text),
    "parameters": (6, each(of(_parameter))),
    "requestBody": (7, of(_request_body)),
    "responses": (8, of(_responses)),
    "deprecated": (10, flag),
}
_PATH_ITEM: Fields = {
    "summary": (2, text),
    "description": (3, text),
    "get": (4, of(_operation)),
    "put": (5, of(_operation)),
    "post": (6, of(_operation)),
    "delete": (7, of(_operation)),
    "options": (8, of(_operation)),
    "head": (9, of(_operation)),
    "patch": (10, of(_operation)),
    "trace": (11, of(_operation)),
    "parameters": (13, each(of(_parameter))),
}
_SECURITY_SCHEME: Fields = {"type": (1, text), "description": (2, text), "name": (3, text), "in": (4, text)}
_COMPONENTS: Fields = {
    "schemas": (1, of(mapped(_schema))),
    "securitySchemes": (7, of(mapped(_security_scheme))),
}
_DOCUMENT: Fields = {
    "openapi": (1, text),
    "info": (2, of(_info)),
    "paths": (4, of(mapped(_path_item))),
    "components": (5, of(_components)),
}
