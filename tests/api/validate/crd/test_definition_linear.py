"""Validating, compiling and describing definitions takes time in proportion to their size."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from complexity import assert_linear

from pilothouse.api.openapi import custom, protobuf_v2, protobuf_v3, version_2
from pilothouse.api.openapi.structural_v2 import simplified
from pilothouse.api.structural import schema as structural
from pilothouse.api.structural.validate import Validator
from pilothouse.api.validate.crd import definition as crd
from pilothouse.api.validate.crd.update import validate_update
from pilothouse.api.values.fields import Errors

pytestmark = pytest.mark.slow

Object = dict[str, Any]
TEXT = {"type": "string"}


def struct(**properties: Object) -> Object:
    return {"type": "object", "properties": properties}


def with_schema(declared: Object) -> Object:
    return definition(schema={"openAPIV3Schema": struct(spec=declared)})


def definition(names: Object | None = None, versions: list[Object] | None = None, **version: Any) -> Object:
    first = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": struct(), **version}}
    first |= version
    kinds = {"plural": "ws", "singular": "w", "kind": "W", "listKind": "WList"}
    return {
        "metadata": {"name": "ws.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": {**kinds, **(names or {})}, "conversion": {"strategy": "None"}, "versions": versions or [first]},
        "status": {"storedVersions": ["v1"]},
    }


def nested(n: int, value: Any) -> Any:
    for _ in range(n):
        value = struct(a=value)
    return value


def many(n: int, **member: Any) -> Object:
    return struct(**{f"p{i}": dict(member) for i in range(n)})


CASES: dict[str, Callable[[int], Object]] = {
    "properties": lambda n: with_schema(many(n, type="string")),
    "properties of a wrong type": lambda n: with_schema(many(n, type="text")),
    "properties below a long name": lambda n: with_schema(struct(**{"k" * 100 * n: many(n, type="string")})),
    "wrong properties below a long name": lambda n: with_schema(struct(**{"k" * 100 * n: many(n, type="text", minimum=1)})),
    "defaults at every level": lambda n: with_schema(nested(60, {**many(n, type="string", default="x"), "default": {}})),
    "defaults in each other": lambda n: with_schema(struct(a={**struct(b={**struct(c={**many(n, **TEXT), "default": {}}), "default": {}}), "default": {}})),
    "wrong defaults": lambda n: with_schema(many(n, type="string", default=1)),
    "a long default": lambda n: with_schema({"type": "array", "items": {"type": "integer"}, "default": ["a"] * n}),
    "enum": lambda n: with_schema({"type": "string", "enum": ["a"] * n}),
    "required": lambda n: with_schema({**many(n, **TEXT), "required": [f"p{i}" for i in range(n)]}),
    "list map keys": lambda n: with_schema(
        {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [f"p{i}" for i in range(n)], "items": {**many(n, **TEXT), "required": [f"p{i}" for i in range(n)]}}
    ),
    "the same list map key": lambda n: with_schema({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["p0"] * n, "items": {**many(1, **TEXT), "required": ["p0"]}}),
    "anyOf": lambda n: with_schema({"type": "string", "anyOf": [{"minLength": 1}] * n}),
    "wrong anyOf": lambda n: with_schema({"type": "string", "anyOf": [{"type": "string"}] * n}),
    "patterns": lambda n: with_schema(many(n, type="string", pattern="^[a-z]+$")),
    "wrong patterns": lambda n: with_schema(many(n, type="string", pattern="(")),
    "rules with paths at every level": lambda n: with_schema(nested(60, {**many(n, **TEXT), "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".p1"}] * 20})),
    "a path of quotes": lambda n: with_schema({**many(1, **TEXT), "x-kubernetes-validations": [{"rule": "true", "fieldPath": "['" + "\\'" * n}]}),
    "items that are a list": lambda n: with_schema({"type": "array", "items": [dict(TEXT) for _ in range(n)]}),
    "versions": lambda n: definition(versions=[{"name": f"v{i}", "served": True, "storage": i == 1, "deprecated": True, "schema": {"openAPIV3Schema": struct(**{f"p{i}": TEXT})}} for i in range(n)]),
    "versions to store": lambda n: definition(versions=[{"name": f"v{i}", "storage": True, "schema": {"openAPIV3Schema": struct()}} for i in range(n)]),
    "short names": lambda n: definition(names={"shortNames": [f"s{i}" for i in range(n)]}),
    "wrong categories": lambda n: definition(names={"categories": ["a b"] * n}),
    "columns": lambda n: definition(additionalPrinterColumns=[{"name": "a", "type": "string", "jsonPath": ".a"}] * n),
    "selectable fields": lambda n: definition(schema={"openAPIV3Schema": struct(spec=many(n, **TEXT))}, selectableFields=[{"jsonPath": f".spec.p{i}"} for i in range(n)]),
    "unknown formats": lambda n: with_schema(many(n, type="string", format="none")),
}


def everything(obj: Object) -> None:
    """Validate a definition as a new and as a changed one, compile it and tell of it."""
    crd.validate_create(obj, Errors())
    validate_update(obj, obj, Errors())
    crd.warnings(obj, obj)
    for version in obj["spec"]["versions"]:
        declared = version["schema"]["openAPIV3Schema"]
        structural.type_of(structural.compile(declared))
        Validator(declared)
        if not isinstance(declared["properties"].get("spec", {}).get("items"), list):
            published = custom._published(declared)
            protobuf_v3.document({"components": {"schemas": {"a": published}}})
            protobuf_v2.part(version_2.GroupVersionDocument({}, {"a": version_2.definition(simplified(declared))}, {}))


@pytest.mark.parametrize("case", CASES)
def test_ten_times_as_much_takes_ten_times_as_long(case: str) -> None:
    assert_linear(everything, CASES[case], 50)


def test_items_that_are_a_list_are_an_error_of_the_client() -> None:
    obj = with_schema({"type": "array", "items": [TEXT]})
    obj["spec"]["versions"][0]["schema"]["openAPIV3Schema"] |= {"items": [TEXT], "nullable": True}
    obj["spec"]["versions"][0]["subresources"] = {"status": {}}
    obj["spec"]["versions"].append(dict(obj["spec"]["versions"][0]))
    errs = Errors()
    crd.validate_create(obj, errs)
    validate_update(obj, obj, errs)
    assert any("items must be a schema object and not an array" in c["message"] for c in errs.causes)
    json.dumps(errs.causes)


@pytest.mark.parametrize("member", ["properties", "items", "additionalProperties"])
def test_schemas_of_200_levels_are_borne(member: str) -> None:
    declared: Object = {"type": "string"}
    for _ in range(97 if member == "properties" else 194):
        if member == "properties":
            declared = struct(a=declared)
        elif member == "items":
            declared = {"type": "array", "items": declared}
        else:
            declared = {"type": "object", "additionalProperties": declared}
    errs = Errors()
    obj = with_schema(declared)
    crd.validate_create(obj, errs)
    assert not errs.causes
    everything(obj)
