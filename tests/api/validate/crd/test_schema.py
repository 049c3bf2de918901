"""Schemas in definitions: structural rules, defaults and extensions."""

from typing import Any

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.crd.paths import PathError, valid_path
from pilothouse.api.validate.crd.schema import Options, go_schema, validate_schema

TEXT = {"type": "string"}
PATH = "s.openAPIV3Schema."


def causes(declared: Object, status: bool = False, options: Options | None = None) -> list[tuple[str, str]]:
    errs = Errors()
    validate_schema({"openAPIV3Schema": declared}, status, "s", options or Options(), errs)
    return [(cause["field"].removeprefix(PATH), cause["message"]) for cause in errs.causes]


def member(declared: Object) -> list[tuple[str, str]]:
    found = causes({"type": "object", "properties": {"f": declared}})
    return [(field.removeprefix("properties[f]").removeprefix("."), message) for field, message in found]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (TEXT, []),
        ({}, [("type", "Required value: must not be empty for specified object fields")]),
        ({"type": "array"}, [("items", "Required value: must be specified")]),
        ({"type": "array", "items": {}}, [("items.type", "Required value: must not be empty for specified array items")]),
        ({"type": "thing"}, [("type", 'Unsupported value: "thing": supported values: "array", "boolean", "integer", "number", "object", "string"')]),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, []),
        ({"x-kubernetes-int-or-string": True, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"maximum": 1}]}, []),
        ({**TEXT, "anyOf": [{"type": "string"}]}, [("anyOf[0].type", "Forbidden: must be empty to be structural")]),
        ({**TEXT, "not": {"default": 1, "nullable": True}},
         [("not.default", "Forbidden: must be undefined to be structural"), ("not.nullable", "Forbidden: must be false to be structural")]),
        ({"type": "object", "allOf": [{"properties": {"metadata": {}}}], "properties": {"metadata": {"type": "object"}}},
         [("allOf[0].properties[metadata]", "Forbidden: must not be specified in a nested context")]),
        ({"type": "object", "additionalProperties": TEXT, "properties": {"a": TEXT}},
         [("additionalProperties", "Forbidden: additionalProperties and properties are mutual exclusive")]),
        ({**TEXT, "pattern": "("}, [("pattern", "Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing regexp: missing closing ): `(`")]),
        ({"type": "array", "items": TEXT, "uniqueItems": True},
         [("uniqueItems", "Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic")]),
        ({**TEXT, "x-kubernetes-map-type": "atomic"}, [("type", 'Invalid value: "string": must be object if x-kubernetes-map-type is specified')]),
        ({"type": "array", "items": TEXT, "x-kubernetes-list-type": "odd"},
         [("x-kubernetes-list-type", 'Unsupported value: "odd": supported values: "atomic", "set", "map"')]),
        ({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"},
         [("items.x-kubernetes-map-type", "Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set")]),
        ({"type": "array", "items": {**TEXT, "nullable": True}, "x-kubernetes-list-type": "set"},
         [("items.nullable", "Forbidden: cannot be nullable when x-kubernetes-list-type is set")]),
        ({"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]},
         [("items.properties[a].default", "Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property")]),
        ({"type": "object", "x-kubernetes-embedded-resource": True},
         [("properties", "Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields")]),
        ({**TEXT, "default": 5}, [("default", 'Invalid value: "integer":  in body must be of type string: "integer"')]),
        ({"x-kubernetes-int-or-string": True, "default": 1.5}, []),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}], "default": {}},
         [("default", 'Invalid value: "": "" must validate at least one schema (anyOf)'),
          ("default", 'Invalid value: "object":  in body must be of type integer: "object"')]),
        ({"type": "object", "default": {"a": 1}}, [("default", 'Invalid value: {"a":1}: must not have unknown fields')]),
        ({"type": "array", "items": {**TEXT, "pattern": "^x"}, "default": ["y"]}, [("default.[0]", "Invalid value: \"y\": [0] in body should match '^x'")]),
        ({"type": "object", "properties": {"kind": TEXT}, "x-kubernetes-embedded-resource": True, "default": {"kind": "K"}},
         [("default.apiVersion", "Required value")]),
        ({**TEXT, "$ref": "#/x"}, [("$ref", "Forbidden: $ref is not supported")]),
        ({"x-kubernetes-preserve-unknown-fields": False, **TEXT}, [("x-kubernetes-preserve-unknown-fields", "Invalid value: false: must be true or undefined")]),
    ],
)  # fmt: skip
def test_members(declared: Object, expected: list[tuple[str, str]]) -> None:
    assert member(declared) == expected


@pytest.mark.parametrize(
    ("declared", "fields"),
    [
        ({"type": "object"}, []),
        ({"x-kubernetes-preserve-unknown-fields": True}, []),
        ({}, ["type"]),
        ({"type": "string"}, ["type"]),
        ({"type": "object", "nullable": True}, ["nullable"]),
        ({"type": "object", "additionalProperties": TEXT}, ["additionalProperties"]),
        ({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": TEXT}}}}, []),
        ({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}, ["properties[metadata]"]),
        ({"type": "object", "properties": {"kind": {"type": "integer"}}}, ["properties[kind].type"]),
        ({"type": "object", "oneOf": [{"properties": {"a": {}}}]}, ["properties[a]"]),
    ],
)  # fmt: skip
def test_roots(declared: Object, fields: list[str]) -> None:
    assert [field for field, _ in causes(declared)] == fields


def test_a_root_beside_a_status() -> None:
    (found,) = causes({"type": "object", "maxProperties": 3}, status=True)
    assert found[1].startswith('Invalid value: {"ID":"","Schema":"","Ref":null,"Description":"","Type":"object"')
    assert found[1].endswith("fields are allowed at the root of the schema if the status subresource is enabled")


def test_texts_that_are_pointers_are_there_when_they_are_empty() -> None:
    for name in ("$ref", "x-kubernetes-list-type", "x-kubernetes-map-type"):
        found = causes({"type": "object", name: ""}, status=True)[0]
        assert found[1].endswith("if the status subresource is enabled")
    assert causes({"type": "object", "$ref": ""}) == [("$ref", "Forbidden: $ref is not supported")]
    assert not causes({"type": "object", "title": "", "nullable": False}, status=True)


def test_go_shows_every_member() -> None:
    shown = go_schema({"properties": {"a": TEXT}, "items": TEXT, "not": TEXT, "allOf": [TEXT], "additionalProperties": True})
    assert shown["Properties"]["a"]["Type"] == shown["Items"]["Schema"]["Type"] == shown["Not"]["Type"] == "string"
    assert shown["AdditionalProperties"] == {"Allows": True, "Schema": None} and shown["AllOf"][0]["Type"] == "string"


@pytest.mark.parametrize(("rule", "field"), [
    ({"rule": "true"}, ""),
    ({"rule": " "}, "rule"),
    ({"rule": "a ||\n b"}, "message"),
    ({"rule": "true", "message": " "}, "message"),
    ({"rule": "true", "messageExpression": " "}, "messageExpression"),
    ({"rule": "true", "reason": "Odd"}, "reason"),
    ({"rule": "true", "fieldPath": ".zz"}, "fieldPath"),
    ({"rule": "true", "fieldPath": ".a"}, ""),
])  # fmt: skip
def test_what_rules_say_beside_the_expression(rule: Object, field: str) -> None:
    found = member({"type": "object", "properties": {"a": TEXT}, "x-kubernetes-validations": [rule]})
    assert [f for f, _ in found] == ([f"x-kubernetes-validations[0].{field}"] if field else [])


def test_leniency() -> None:
    odd = {"type": "object", "properties": {"f": {}}}
    assert causes(odd, options=Options(require_structural=False)) == []
    kinds = {"type": "object", "properties": {"f": {"type": "thing"}}}
    assert causes(kinds, options=Options(require_types=False)) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [(".a", "a"), (".m.k", "m[k]"), (".m['k.x']", "m[k.x]"), (".zz", PathError), ("a", PathError), (".a.b", PathError), (".m[0]", PathError), (".m['k'", PathError), (".", PathError)],
)
def test_paths(path: str, expected: Any) -> None:
    declared = {"properties": {"a": TEXT, "m": {"additionalProperties": TEXT}}}
    if expected is PathError:
        with pytest.raises(PathError):
            valid_path(path, declared)
    else:
        assert valid_path(path, declared)[0] == expected


def test_what_is_null_within_a_schema_is_shown_as_go_has_decoded_it() -> None:
    members = {"properties": {"a": None}, "allOf": [None], "dependencies": {"b": None, "c": {}, "d": ["e"]}}
    shown = go_schema({**members, "x-kubernetes-validations": [None]})
    empty = go_schema({})
    assert shown["Properties"] == {"a": empty} and shown["AllOf"] == [empty]
    assert shown["Dependencies"] == {"b": {"Schema": None, "Property": None}, "c": {"Schema": empty, "Property": None}, "d": {"Schema": None, "Property": ["e"]}}
    assert shown["XValidations"][0]["Rule"] == ""
