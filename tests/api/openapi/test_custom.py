"""Definitions of custom resources, as apiextensions-apiserver's builder publishes them."""

from types import SimpleNamespace
from typing import Any

import pytest

from pilothouse.api.openapi.custom import custom_list, custom_schema, custom_schema_v2
from pilothouse.api.openapi.version_2 import definition

KIND: Any = SimpleNamespace(
    group="x.example.com",
    version="v1",
    kind="Widget",
    list_kind="WidgetList",
    plural="widgets",
    selectable_fields=(),
)
OPEN = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
EITHER = [{"type": "integer"}, {"type": "string"}]
BOTH = {"x-kubernetes-int-or-string": True}


def with_spec(spec: Any) -> Any:
    return {"type": "object", "properties": {"spec": spec}}


def in_v3(spec: Any) -> Any:
    return custom_schema(KIND, with_spec(spec))["properties"]["spec"]


def in_v2(spec: Any) -> Any:
    return definition(custom_schema_v2(KIND, with_spec(spec)))["properties"]["spec"]


@pytest.mark.parametrize(
    ("spec", "more"),
    [
        ({}, {"anyOf": EITHER}),
        ({"anyOf": EITHER, "pattern": "a"}, {}),
        ({"allOf": [{"anyOf": EITHER}, {"minimum": 1}]}, {}),
        ({"allOf": [{"minimum": 1}]}, {"anyOf": EITHER}),
        ({"anyOf": [{"minimum": 1}]}, {"allOf": [{"anyOf": EITHER}]}),
        (
            {"anyOf": [{"minimum": 1}], "allOf": [{"maximum": 3}]},
            {"allOf": [{"anyOf": EITHER}, {"maximum": 3}]},
        ),
    ],
)
def test_int_or_string_is_said_in_plain_openapi(spec: Any, more: Any) -> None:
    spec = {**BOTH, **spec}
    assert in_v3(spec) == {**spec, **more}
    assert in_v3({"type": "array", "items": spec})["items"] == {**spec, **more}
    assert in_v3({"type": "object", "additionalProperties": spec})["additionalProperties"] == {**spec, **more}
    assert not {"anyOf", "allOf"} & in_v2(spec).keys()


def test_embedded_resources_have_the_members_of_every_object() -> None:
    spec: Any = {"type": "object", EMBEDDED: True, "required": ["a"], "properties": {"a": {"type": "string"}}}
    for shown, reference in (
        (
            in_v3(spec),
            {"allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]},
        ),
        (in_v2(spec), {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}),
    ):
        assert list(shown["properties"]) == ["a", "apiVersion", "kind", "metadata"]
        assert shown["properties"]["metadata"].items() >= reference.items()
        assert shown["properties"]["kind"]["description"].startswith("kind is a string")
        assert shown["required"] == ["a", "kind", "apiVersion"]
    assert "kind" not in spec["properties"]


def test_an_embedded_resource_with_any_members_has_none_in_version_2() -> None:
    spec = {"type": "object", EMBEDDED: True, OPEN: True}
    assert "kind" in in_v3(spec)["properties"]
    assert in_v2(spec) == {EMBEDDED: True, OPEN: True}


def test_members_are_in_the_order_of_their_names_and_null_is_no_default() -> None:
    shown = in_v3({"type": "object", "properties": {"b": {"type": "string", "default": None}, "a": {}}})
    assert list(shown["properties"]) == ["a", "b"]
    assert shown["properties"]["b"] == {"type": "string"}
    root = custom_schema(KIND, {"type": "object", "properties": {"z": {}, "metadata": {"type": "object"}}})
    assert list(root["properties"]) == ["apiVersion", "kind", "metadata", "z"]
    assert root["properties"]["metadata"]["allOf"]


def test_lists() -> None:
    shown = custom_list(KIND, "com.example.x.v1.Widget")
    assert shown["properties"]["items"]["items"] == {"$ref": "#/components/schemas/com.example.x.v1.Widget"}
    assert shown["properties"]["items"]["description"].startswith("List of widgets. More info: https://")
    assert shown["x-kubernetes-group-version-kind"][0]["kind"] == "WidgetList"
