import json
from typing import Any

import pytest
from api.openapi.wire import fields, path

from pilothouse.api.openapi.protobuf_v2 import join, part
from pilothouse.api.openapi.version_2 import GroupVersionDocument

DOCUMENT = {
    "swagger": "2.0",
    "info": {"title": "T", "version": "v1"},
    "paths": {
        "/a": {
            "get": {
                "operationId": "getA",
                "tags": ["one", "two"],
                "x-kubernetes-action": "get",
                "parameters": [
                    {"name": "q", "in": "query", "type": "string", "uniqueItems": True},
                    {"$ref": "#/parameters/p"},
                ],
                "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/D"}}},
            },
            "parameters": [{"name": "n", "in": "path", "type": "string", "required": True}],
        }
    },
    "definitions": {
        "D": {
            "type": "object",
            "required": ["m"],
            "properties": {"m": {"type": "array", "items": {"type": "string"}}},
            "additionalProperties": {"type": "integer"},
            "x-kubernetes-group-version-kind": [{"kind": "D"}],
        }
    },
    "parameters": {"p": {"name": "body", "in": "body", "schema": {"$ref": "#/definitions/D"}}},
    "security": [{"BearerToken": []}],
    "securityDefinitions": {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"}},
}


def encode(document: Any) -> bytes:
    """A document of two parts: its paths and parameters, and its definitions."""
    frame = {
        name: value for name, value in document.items() if name not in ("paths", "definitions", "parameters")
    }
    paths, _, parameters = part(
        GroupVersionDocument(document.get("paths", {}), {}, document.get("parameters", {}))
    )
    _, definitions, _ = part(GroupVersionDocument({}, document["definitions"], {}))
    return join(frame, paths.values(), definitions.values(), parameters.values())


def test_a_document_is_read_back() -> None:
    data = encode(DOCUMENT)
    assert path(data, 1) == b"2.0"
    assert (path(data, 2, 1), path(data, 2, 2)) == (b"T", b"v1")
    named = path(data, 8, 2)
    assert path(named, 1) == b"/a"
    operation = path(named, 2, 2)
    assert fields(operation)[1] == [b"one", b"two"]
    assert path(operation, 5) == b"getA"
    query = path(operation, 8, 1, 2, 3)
    assert (path(query, 4), path(query, 6), path(query, 20)) == (b"q", b"string", 1)
    assert 1 not in fields(query)
    response = path(operation, 9, 1)
    assert path(response, 1) == b"200"
    assert path(response, 2, 1, 2, 1, 1) == b"#/definitions/D"
    extension = path(operation, 13)
    assert path(extension, 1) == b"x-kubernetes-action"
    assert json.loads(path(extension, 2, 2)) == "get"
    assert path(named, 2, 9, 1, 2, 4, 1) == 1


def test_schemas_are_read_back() -> None:
    named = path(encode(DOCUMENT), 9, 1)
    assert path(named, 1) == b"D"
    schema = path(named, 2)
    assert path(schema, 22, 1) == b"object"
    assert path(schema, 19) == b"m"
    member = path(schema, 25, 1)
    assert path(member, 1) == b"m"
    assert path(member, 2, 23, 1, 22, 1) == b"string"
    assert path(schema, 21, 1, 22, 1) == b"integer"
    assert json.loads(path(schema, 31, 2, 2)) == [{"kind": "D"}]


def test_security_is_read_back() -> None:
    data = encode(DOCUMENT)
    assert path(data, 12, 1, 1) == b"BearerToken"
    assert path(data, 13, 1, 2, 2, 2) == b"authorization"


def test_true_and_false_for_any_other_member() -> None:
    for value, number in ((True, 1), (False, 0)):
        data = encode({"definitions": {"D": {"additionalProperties": value}}})
        assert path(data, 9, 1, 2, 21, 2) == number


def test_shared_parameters_are_read_back() -> None:
    data = encode(DOCUMENT)
    reference = fields(path(data, 8, 2, 2, 2))[8][1]
    assert path(reference, 2, 1) == b"#/parameters/p"
    shared = path(data, 10, 1)
    assert path(shared, 1) == b"p"
    assert (path(shared, 2, 1, 2), path(shared, 2, 1, 5, 1)) == (b"body", b"#/definitions/D")


@pytest.mark.parametrize(
    ("schema", "number", "written"),
    [
        ({"minimum": -1.5}, 9, -1.5),
        ({"maximum": 7}, 7, 7.0),
        ({"maxLength": 300}, 11, 300),
        ({"exclusiveMinimum": True}, 10, 1),
        ({"default": {"a": 1}}, 5, {"a": 1}),
        ({"enum": ["a", 1]}, 20, "a"),
        ({"title": "t"}, 3, b"t"),
    ],
)
def test_what_definitions_say_of_values(schema: Any, number: int, written: Any) -> None:
    found = path(encode({"definitions": {"D": schema}}), 9, 1, 2, number)
    assert (json.loads(path(found, 2)) if number in (5, 20) else found) == written
