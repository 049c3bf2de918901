"""OpenAPI version 3 in protobuf, by the field numbers of gnostic's OpenAPIv3.proto."""

import json
from typing import Any

import pytest
from api.openapi.wire import fields, path

from pilothouse.api.openapi.protobuf_v3 import document

OPERATION = {
    "operationId": "getA",
    "tags": ["one", "two"],
    "x-kubernetes-action": "get",
    "parameters": [{"name": "q", "in": "query", "schema": {"type": "string", "uniqueItems": True}}],
    "requestBody": {
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/D"}}},
        "required": True,
    },
    "responses": {
        "200": {"description": "OK", "content": {"*/*": {"schema": {"type": "string"}}}},
        "401": {"description": "Unauthorized"},
    },
}
DOCUMENT = {
    "openapi": "3.0.0",
    "info": {"title": "T", "version": "v1"},
    "paths": {"/a": {"get": OPERATION, "parameters": [{"name": "n", "in": "path", "required": True}]}},
    "components": {
        "schemas": {"D": {"type": "object"}},
        "securitySchemes": {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"}},
    },
}


def schema(value: Any) -> Any:
    """The message of a schema among the components."""
    return path(document({"components": {"schemas": {"D": value}}}), 5, 1, 1, 2, 1)


def test_a_document_is_read_back() -> None:
    data = document(DOCUMENT)
    assert path(data, 1) == b"3.0.0"
    assert (path(data, 2, 1), path(data, 2, 6)) == (b"T", b"v1")
    named = path(data, 4, 1)
    assert path(named, 1) == b"/a"
    parameter = path(named, 2, 13, 1)
    assert (path(parameter, 1), path(parameter, 2), path(parameter, 4)) == (b"n", b"path", 1)
    assert path(data, 5, 1, 1, 1) == b"D"
    scheme = path(data, 5, 7, 1)
    assert path(scheme, 1) == b"BearerToken"
    assert [path(scheme, 2, 1, number) for number in (1, 3, 4)] == [b"apiKey", b"authorization", b"header"]


def test_an_operation_is_read_back() -> None:
    operation = path(document(DOCUMENT), 4, 1, 2, 4)
    assert fields(operation)[1] == [b"one", b"two"]
    assert path(operation, 5) == b"getA"
    assert (path(operation, 6, 1, 1), path(operation, 6, 1, 10, 1, 20)) == (b"q", 1)
    body = path(operation, 7, 1)
    assert path(body, 3) == 1
    media_type = path(body, 2, 1)
    assert path(media_type, 1) == b"application/json"
    assert path(media_type, 2, 1, 2, 1) == b"#/components/schemas/D"
    good, bad = fields(path(operation, 8))[2]
    assert (path(good, 1), path(good, 2, 1, 1)) == (b"200", b"OK")
    assert path(good, 2, 1, 3, 1, 2, 1, 1, 25) == b"string"
    assert (path(bad, 1), path(bad, 2, 1, 1)) == (b"401", b"Unauthorized")
    assert (path(operation, 13, 1), json.loads(path(operation, 13, 2, 2))) == (b"x-kubernetes-action", "get")


@pytest.mark.parametrize(
    ("value", "numbers", "written"),
    [
        ({"nullable": True}, [1], 1),
        ({"title": "t"}, [9], b"t"),
        ({"multipleOf": 0.5}, [10], 0.5),
        ({"minimum": -1.5}, [13], -1.5),
        ({"maxLength": 300}, [15], 300),
        ({"minItems": 1}, [19], 1),
        ({"required": ["m"]}, [23], b"m"),
        ({"not": {"type": "string"}}, [29, 25], b"string"),
        ({"allOf": [{"$ref": "#/x"}]}, [26, 2, 1], b"#/x"),
        ({"oneOf": [{"type": "string"}]}, [27, 1, 25], b"string"),
        ({"anyOf": [{"type": "string"}]}, [28, 1, 25], b"string"),
        ({"items": {"type": "string"}}, [30, 1, 1, 25], b"string"),
        ({"properties": {"m": {"type": "string"}}}, [31, 1, 2, 1, 25], b"string"),
        ({"additionalProperties": {"type": "string"}}, [32, 1, 1, 25], b"string"),
        ({"additionalProperties": False}, [32, 2], 0),
        ({"default": 0}, [33, 1], 0.0),
        ({"default": 7}, [33, 1], 7.0),
        ({"default": False}, [33, 2], 0),
        ({"default": ""}, [33, 3], b""),
        ({"default": {"a": 1}}, [33], b""),
        ({"description": "d"}, [34], b"d"),
        ({"format": "int32"}, [35], b"int32"),
        ({"x-kubernetes-list-type": "set"}, [36, 1], b"x-kubernetes-list-type"),
    ],
)
def test_members_of_schemas(value: Any, numbers: list[int], written: Any) -> None:
    assert path(schema(value), *numbers) == written


def test_values_of_any_type_are_json() -> None:
    assert [json.loads(path(one, 2)) for one in fields(schema({"enum": ["a", 1, None]}))[24]] == [
        "a",
        1,
        None,
    ]
    assert json.loads(path(schema({"example": {"a": [1]}}), 7, 2)) == {"a": [1]}


@pytest.mark.parametrize(
    "value", [{"minimum": 0}, {"minLength": 0}, {"nullable": False}, {"title": ""}, {"unknown": 1}]
)
def test_zero_values_are_left_out_as_in_proto3(value: Any) -> None:
    assert schema(value) == b""


def test_integers_below_zero() -> None:
    assert path(schema({"minLength": -1}), 16) == 2**64 - 1
