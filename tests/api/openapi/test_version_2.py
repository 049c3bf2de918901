"""Parts of OpenAPI version 2: shared parameters and simpler definitions."""

from typing import Any

import pytest

from pilothouse.api.openapi.version_2 import deduplicated, definition

QUERY = {"name": "limit", "in": "query", "type": "integer"}


def with_parameters(*parameters: Any) -> Any:
    return {"/a": {"get": {"parameters": list(parameters)}, "parameters": [QUERY]}}


def test_equal_parameters_stand_in_one_place() -> None:
    part = deduplicated(with_parameters(QUERY, {**QUERY, "type": "string"}), {})
    operation, path = part.paths["/a"]["get"]["parameters"], part.paths["/a"]["parameters"]
    assert operation[0] == path[0] != operation[1]
    assert [part.parameters[one["$ref"].removeprefix("#/parameters/")]["type"] for one in operation] == [
        "integer",
        "string",
    ]
    assert all(name.startswith("limit-") for name in part.parameters)


@pytest.mark.parametrize(
    "own",
    [
        {"name": "name", "in": "path", "type": "string"},
        {"name": "dryRun", "in": "query", "type": "string"},
        {"name": "fieldValidation", "in": "query", "type": "string"},
        {"name": "body", "in": "body", "schema": {"$ref": "#/definitions/com.example.v1.Widget"}},
        {"$ref": "#/parameters/there"},
    ],
)
def test_an_operation_keeps_what_is_its_own(own: Any) -> None:
    part = deduplicated(with_parameters(own), {})
    assert part.paths["/a"]["get"]["parameters"] == [own]


def test_a_body_of_all_kinds_is_shared() -> None:
    body = {
        "name": "body",
        "in": "body",
        "schema": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Patch"},
    }
    assert body in deduplicated(with_parameters(body), {}).parameters.values()


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ({"allOf": [{"$ref": "#/components/schemas/A"}], "default": {}}, {"$ref": "#/definitions/A"}),
        ({"oneOf": [{"type": "string"}, {"type": "number"}]}, {"type": "string"}),
        (
            {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
            {"type": "string", "format": "int-or-string"},
        ),
        (
            {"type": "array", "items": {"type": "string", "default": ""}},
            {"type": "array", "items": {"type": "string"}},
        ),
    ],
)
def test_definitions_without_defaults_and_alternatives(found: Any, shown: Any) -> None:
    assert definition(found) == shown
