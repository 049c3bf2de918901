"""Definitions of OpenAPI version 3, and the members of its documents."""

from typing import Any

import pytest

from pilothouse.api.openapi.descriptions import NOTHING, Described
from pilothouse.api.openapi.flavour import DEFINED, INSTALLED
from pilothouse.api.openapi.version_3 import definition, document, references

META = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1"


@pytest.mark.parametrize(
    ("member", "text", "shown"),
    [
        ({"$ref": f"{META}.Time"}, "", {"$ref": f"{META}.Time"}),
        ({"$ref": f"{META}.Time"}, "when", {"allOf": [{"$ref": f"{META}.Time"}], "description": "when"}),
        (
            {"$ref": f"{META}.ObjectMeta", "default": {}},
            "",
            {"allOf": [{"$ref": f"{META}.ObjectMeta"}], "default": {}},
        ),
        (
            {"type": "array", "items": {"$ref": f"{META}.OwnerReference"}},
            "",
            {"type": "array", "items": {"allOf": [{"$ref": f"{META}.OwnerReference"}], "default": {}}},
        ),
        (
            {"type": "array", "items": {"$ref": f"{META}.Time"}},
            "",
            {"type": "array", "items": {"$ref": f"{META}.Time"}},
        ),
    ],
)
def test_references_beside_other_members_stand_in_all_of(member: Any, text: str, shown: Any) -> None:
    made = definition({"properties": {"m": member}}, Described("", {"m": text}))
    assert made == {"properties": {"m": shown}}
    assert definition({"properties": {"m": member}}, NOTHING)["properties"].keys() == {"m"}


def test_references_are_found_wherever_they_stand() -> None:
    ref = {"$ref": "#/components/schemas/A"}
    for schema in (
        ref,
        {"allOf": [ref]},
        {"items": ref},
        {"additionalProperties": ref},
        {"properties": {"m": {"items": ref}}},
    ):
        assert list(references(schema)) == ["A"]


def test_schemas_are_in_the_order_of_their_names_and_custom_resources_say_nothing_of_security() -> None:
    schemas: Any = {"b": {}, "a": {}}
    assert list(document(INSTALLED, [], schemas)["components"]["schemas"]) == ["a", "b"]
    assert "securitySchemes" in document(INSTALLED, [], schemas)["components"]
    assert document(DEFINED, [], schemas)["components"].keys() == {"schemas"}
