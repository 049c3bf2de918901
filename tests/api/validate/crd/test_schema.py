"""Every cause that the schemas of definitions can have (apiextensions-apiserver validation and schema)."""

from functools import partial
from json import dumps
from typing import Any

import pytest
from rules import causes, table, within

from pilothouse.api.structural.field_paths import PathError, valid_path
from pilothouse.api.validate.crd.go_schema import go_schema
from pilothouse.api.validate.crd.schema import Options, validate_schema
from pilothouse.api.values.fields import Errors, Object

TEXT: Object = {"type": "string"}
OBJECT: Object = {"type": "object"}
WITH_A: Object = {"type": "object", "properties": {"a": TEXT}}


def at_root(declared: Object, errs: Errors, status: bool = False) -> None:
    validate_schema({"openAPIV3Schema": declared}, status, "s", Options(), errs)


root, with_status = within("s.openAPIV3Schema", at_root), within("s.openAPIV3Schema", partial(at_root, status=True))
"""Schemas of definitions without and with a status subresource."""
member = within("s.openAPIV3Schema.properties[f]", lambda declared, errs: at_root({"type": "object", "properties": {"f": declared}}, errs))


def metadata(declared: Object, errs: Errors) -> None:
    """A schema of the metadata of an embedded resource."""
    member({"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"metadata": declared}}, errs)


def listed(items: object, kind: str = "map", keys: list[str] | None = None, **more: object) -> Object:
    out = {"type": "array", "items": items, "x-kubernetes-list-type": kind, **more}
    return out if keys is None else {**out, "x-kubernetes-list-map-keys": keys}


def ruled(**rule: object) -> Object:
    return {**TEXT, "x-kubernetes-validations": [{"rule": "true", **rule}]}


ITEM: Object = {"type": "object", "required": ["k"], "properties": {"k": TEXT, "o": OBJECT, "n": {**TEXT, "nullable": True}}}

SHOWN_ITEMS = dumps({"Schema": None, "JSONSchemas": [go_schema(ITEM)]}, separators=(",", ":"))
test_causes = table([
    (root, OBJECT, []),
    (root, TEXT, ['~.type: Invalid value: "string": must be object at the root']),
    (root, {**OBJECT, "properties": {"metadata": {**OBJECT, "description": "d"}}},
        ["~.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified"]),
    (root, {**OBJECT, "properties": {"metadata": TEXT, "kind": {"type": "integer"}}}, ['~.properties[kind].type: Invalid value: "integer": must be string',
        '~.properties[metadata].type: Invalid value: "string": must be object']),
    (with_status, {**OBJECT, "properties": {"a": TEXT}, "description": "d"}, []),
    (with_status, {**OBJECT, "oneOf": [{"required": ["a"]}]},
        ['~: Invalid value: {"ID":"","Schema":"","Ref":null,"Description":"","Type":"object","Nullable":false,"Format":"","Title":"","Default":null,"Maximum":null,"ExclusiveMaximum":false,"Minimum":null,"ExclusiveMinimum":false,"MaxLength":null,"MinLength":null,"Pattern":"","MaxItems":null,"MinItems":null,"UniqueItems":false,"MultipleOf":null,"Enum":null,"MaxProperties":null,"MinProperties":null,"Required":null,"Items":null,"AllOf":null,"OneOf":[{"ID":"","Schema":"","Ref":null,"Description":"","Type":"","Nullable":false,"Format":"","Title":"","Default":null,"Maximum":null,"ExclusiveMaximum":false,"Minimum":null,"ExclusiveMinimum":false,"MaxLength":null,"MinLength":null,"Pattern":"","MaxItems":null,"MinItems":null,"UniqueItems":false,"MultipleOf":null,"Enum":null,"MaxProperties":null,"MinProperties":null,"Required":["a"],"Items":null,"AllOf":null,"OneOf":null,"AnyOf":null,"Not":null,"Properties":null,"AdditionalProperties":null,"PatternProperties":null,"Dependencies":null,"AdditionalItems":null,"Definitions":null,"ExternalDocs":null,"Example":null,"XPreserveUnknownFields":null,"XEmbeddedResource":false,"XIntOrString":false,"XListMapKeys":null,"XListType":null,"XMapType":null,"XValidations":null}],"AnyOf":null,"Not":null,"Properties":null,"AdditionalProperties":null,"PatternProperties":null,"Dependencies":null,"AdditionalItems":null,"Definitions":null,"ExternalDocs":null,"Example":null,"XPreserveUnknownFields":null,"XEmbeddedResource":false,"XIntOrString":false,"XListMapKeys":null,"XListType":null,"XMapType":null,"XValidations":null}: only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status subresource is enabled']),
    (with_status, TEXT, ['~.type: Invalid value: "string": only "object" is allowed as the type at the root of the schema if the status subresource is enabled',
        '~.type: Invalid value: "string": must be object at the root']),
    (member, {**TEXT, "x-kubernetes-preserve-unknown-fields": False}, ["~.x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"]),
    (member, {"x-kubernetes-int-or-string": True, "x-kubernetes-preserve-unknown-fields": True},
        ["~.x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true"]),
    (member, {**TEXT, "x-kubernetes-embedded-resource": True},
        ["~.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        '~.type: Invalid value: "string": must be object if x-kubernetes-embedded-resource is true']),
    (member, {"x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}, ["~.type: Required value: must be object if x-kubernetes-embedded-resource is true"]),
    (member, {**OBJECT, "x-kubernetes-embedded-resource": True},
        ["~.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"]),
    (member, {**OBJECT, "x-kubernetes-embedded-resource": True, "additionalProperties": TEXT}, ["~.additionalProperties: Forbidden: must not be used if x-kubernetes-embedded-resource is set",
        "~.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"]),
    (metadata, {**OBJECT, "x-kubernetes-embedded-resource": True},
        ["~.properties[metadata].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        "~.properties[metadata].x-kubernetes-embedded-resource: Forbidden: must not be used inside of resource meta"]),
    (member, {"type": "null"}, ['~.type: Unsupported value: "null": supported values: "array", "boolean", "integer", "number", "object", "string"',
        "~.type: Forbidden: type cannot be set to null, use nullable as an alternative"]),
    (member, {**OBJECT, "additionalProperties": {"default": "a", "type": "string"}}, []),
    (member, {"type": "array", "items": [TEXT]}, ["~.items: Forbidden: items must be a schema object and not an array"]),
    (member, {**TEXT, "patternProperties": {"a": TEXT}, "definitions": {"d": TEXT}}, ["~.patternProperties: Forbidden: patternProperties is not supported",
        "~.definitions: Forbidden: definitions is not supported"]),
    (member, {**TEXT, "dependencies": {"a": TEXT, "b": ["c"]}, "$ref": "#/x", "id": "i"}, ["~.id: Forbidden: id is not supported", "~.dependencies: Forbidden: dependencies is not supported",
        "~.$ref: Forbidden: $ref is not supported"]),
    (member, {**OBJECT, "x-kubernetes-map-type": "odd"}, ['~.x-kubernetes-map-type: Unsupported value: "odd": supported values: "atomic", "granular"']),
    (member, {"x-kubernetes-map-type": "atomic", "x-kubernetes-preserve-unknown-fields": True}, ["~.type: Required value: must be object if x-kubernetes-map-type is specified"]),
    (member, {**TEXT, "x-kubernetes-list-type": "atomic"}, ['~.type: Invalid value: "string": must be array if x-kubernetes-list-type is specified']),
    (member, {"type": "array", "items": ITEM, "x-kubernetes-list-map-keys": ["k"]}, ["~.x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty"]),
    (member, listed(ITEM, "atomic", ["k"]), ['~.x-kubernetes-list-type: Invalid value: "atomic": must be map if x-kubernetes-list-map-keys is non-empty']),
    (member, listed(ITEM, keys=["k"]), []),
    (member, listed(ITEM), ["~.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"]),
    (member, listed(None, keys=["k"]), ["~.items: Required value: must be specified", "~.items: Required value: must have a schema if x-kubernetes-list-type is map"]),
    (member, listed([ITEM], keys=["k"]), ["~.items: Forbidden: items must be a schema object and not an array",
        f"~.items: Invalid value: {SHOWN_ITEMS}: must only have a single schema if x-kubernetes-list-type is map"]),
    (member, listed(TEXT, keys=["k"]), ['~.items.type: Invalid value: "string": must be object if parent array\'s x-kubernetes-list-type is map']),
    (member, listed(ITEM, keys=["k", "k", "x", "o", "n"]), ['~.x-kubernetes-list-map-keys: Invalid value: ["k","k","x","o","n"]: must not contain duplicate entries',
        '~.x-kubernetes-list-map-keys: Invalid value: ["k","k","x","o","n"]: entries must all be names of item properties',
        '~.items.properties[o].type: Invalid value: "object": must be a scalar type if parent array\'s x-kubernetes-list-type is map',
        "~.items.properties[o].default: Required value: <map key> must have a default or be a required property",
        "~.items.properties[n].default: Required value: <map key> must have a default or be a required property", "~.items.properties[n].nullable: Forbidden: <map key> cannot be nullable"]),
    (member, listed({**ITEM, "nullable": True}, keys=["k"]), ["~.items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is map"]),
    (member, listed(listed(TEXT, "set"), "set"), ['~.items.x-kubernetes-list-type: Invalid value: "set": must be atomic as item of a list with x-kubernetes-list-type=set']),
    (member, listed({**TEXT, "nullable": True}, "set"), ["~.items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set"]),
    (member, ruled(message="m", reason="FieldValueInvalid"), []),
    (member, ruled(rule=" "), ["~.x-kubernetes-validations[0].rule: Required value: rule is not specified"]),
    (member, ruled(message=" ", messageExpression=" ", reason="Odd", fieldPath=" "), ['~.x-kubernetes-validations[0].message: Invalid value: " ": must be non-empty if specified',
        "~.x-kubernetes-validations[0].messageExpression: Required value: messageExpression must be non-empty if specified",
        '~.x-kubernetes-validations[0].reason: Unsupported value: "Odd": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"',
        '~.x-kubernetes-validations[0].fieldPath: Invalid value: " ": must be non-empty if specified', '~.x-kubernetes-validations[0].fieldPath: Invalid value: " ": must be a valid path']),
    (member, ruled(message="a\nb", fieldPath=".a\n"), ['~.x-kubernetes-validations[0].message: Invalid value: "a\\nb": must not contain line breaks',
        '~.x-kubernetes-validations[0].fieldPath: Invalid value: ".a\\n": must not contain line breaks', '~.x-kubernetes-validations[0].fieldPath: Invalid value: ".a\\n": must be a valid path']),
    (member, ruled(rule="a\nb"), ["~.x-kubernetes-validations[0].message: Required value: message must be specified if rule contains line breaks"]),
    (member, {**OBJECT, "properties": {"a": TEXT}, "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".b"}]},
        ['~.x-kubernetes-validations[0].fieldPath: Invalid value: ".b": must be a valid path']),
    (member, {**OBJECT, "not": {"properties": {"a": TEXT}, "items": {}}}, ["~.not.properties[a].type: Forbidden: must be empty to be structural"]),
    (member, {**OBJECT, "anyOf": [{"properties": {"a": {"items": {}}}}], "properties": {"a": OBJECT}}, []),
    (member, {**TEXT, "default": "a"}, []),
    (member, {**TEXT, "default": 1}, ['~.default: Invalid value: "integer":  in body must be of type string: "integer"']),
    (member, {**OBJECT, "default": {"x": 1}}, ['~.default: Invalid value: {"x":1}: must not have unknown fields']),
    (member, {**OBJECT, "properties": {"a": {"type": "array", "items": {**TEXT, "default": 1}}}},
        ['~.properties[a].items.default: Invalid value: "integer":  in body must be of type string: "integer"']),
    (member, {**OBJECT, "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True, "default": {"metadata": {"name": 1}}},
        ['~.default.metadata: Invalid value: {"name":1}: json: cannot unmarshal number into Go struct field ObjectMeta.name of type string']),
    (metadata, {**OBJECT, "properties": {"name": {**TEXT, "default": "A_"}}}, []),
    (metadata, {**OBJECT, "properties": {"name": {**TEXT, "default": "a"}}}, []),
    (metadata, {**OBJECT, "properties": {"finalizers": {"type": "array", "items": {**TEXT, "default": "a b"}}}},
        ['~.properties[metadata].properties[finalizers].items.default: Invalid value: "a b": must result in valid metadata: metadata.finalizers: Invalid value: "a b": <name part>']),
    (member, TEXT, []),
    (member, {}, ["~.type: Required value: must not be empty for specified object fields"]),
    (member, {"type": "array"}, ["~.items: Required value: must be specified"]),
    (member, {"type": "array", "items": {}}, ["~.items.type: Required value: must not be empty for specified array items"]),
    (member, {"type": "thing"}, ['~.type: Unsupported value: "thing": supported values: "array", "boolean", "integer", "number", "object", "string"']),
    (member, {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, []),
    (member, {"x-kubernetes-int-or-string": True, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"maximum": 1}]}, []),
    (member, {**TEXT, "anyOf": [{"type": "string"}]}, ["~.anyOf[0].type: Forbidden: must be empty to be structural"]),
    (member, {**TEXT, "not": {"default": 1, "nullable": True}}, ["~.not.default: Forbidden: must be undefined to be structural", "~.not.nullable: Forbidden: must be false to be structural"]),
    (member, {"type": "object", "allOf": [{"properties": {"metadata": {}}}], "properties": {"metadata": {"type": "object"}}},
        ["~.allOf[0].properties[metadata]: Forbidden: must not be specified in a nested context"]),
    (member, {"type": "object", "additionalProperties": TEXT, "properties": {"a": TEXT}}, ["~.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"]),
    (member, {**TEXT, "pattern": "("}, ['~.pattern: Invalid value: "(": must be a valid regular expression, but isn\'t: error parsing regexp: missing closing ): `(`']),
    (member, {"type": "array", "items": TEXT, "uniqueItems": True}, ["~.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"]),
    (member, {**TEXT, "x-kubernetes-map-type": "atomic"}, ['~.type: Invalid value: "string": must be object if x-kubernetes-map-type is specified']),
    (member, {"type": "array", "items": TEXT, "x-kubernetes-list-type": "odd"}, ['~.x-kubernetes-list-type: Unsupported value: "odd": supported values: "atomic", "set", "map"']),
    (member, {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"},
        ["~.items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set"]),
    (member, {"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]},
        ["~.items.properties[a].default: Required value: <map key> must have a default or be a required property"]),
    (member, {**TEXT, "default": 5}, ['~.default: Invalid value: "integer":  in body must be of type string: "integer"']),
    (member, {"x-kubernetes-int-or-string": True, "default": 1.5}, []),
    (member, {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}], "default": {}}, ['~.default: Invalid value: "": "" must validate at least one schema (anyOf)',
        '~.default: Invalid value: "object":  in body must be of type integer: "object"']),
    (member, {"type": "object", "default": {"a": 1}}, ['~.default: Invalid value: {"a":1}: must not have unknown fields']),
    (member, {"type": "array", "items": {**TEXT, "pattern": "^x"}, "default": ["y"]}, ["~.default.[0]: Invalid value: \"y\": [0] in body should match '^x'"]),
    (member, {"type": "object", "properties": {"kind": TEXT}, "x-kubernetes-embedded-resource": True, "default": {"kind": "K"}}, ["~.default.apiVersion: Required value"]),
    (member, {**TEXT, "$ref": "#/x"}, ["~.$ref: Forbidden: $ref is not supported"]),
    (root, {"x-kubernetes-preserve-unknown-fields": True}, []),
    (root, {}, ["~.type: Required value: must not be empty at the root"]),
    (root, {"type": "object", "nullable": True}, ["~.nullable: Forbidden: nullable cannot be true at the root"]),
    (root, {"type": "object", "additionalProperties": TEXT}, ["~.additionalProperties: Forbidden: must not be used at the root"]),
    (root, {"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": TEXT}}}}, []),
    (root, {"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}},
        ["~.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified"]),
    (root, {"type": "object", "properties": {"kind": {"type": "integer"}}}, ['~.properties[kind].type: Invalid value: "integer": must be string']),
    (root, {"type": "object", "oneOf": [{"properties": {"a": {}}}]}, ["~.properties[a]: Required value: because it is defined in s.openAPIV3Schema.oneOf[0].properties[a]"]),
    (member, {**WITH_A, "x-kubernetes-validations": [{"rule": "true"}]}, []),
    (member, {**WITH_A, "x-kubernetes-validations": [{"rule": " "}]}, ["~.x-kubernetes-validations[0].rule: Required value: rule is not specified"]),
    (member, {**WITH_A, "x-kubernetes-validations": [{"rule": "a ||\n b"}]}, ["~.x-kubernetes-validations[0].message: Required value: message must be specified if rule contains line breaks"]),
    (member, {**WITH_A, "x-kubernetes-validations": [{"rule": "true", "message": " "}]}, ['~.x-kubernetes-validations[0].message: Invalid value: " ": must be non-empty if specified']),
    (member, {**WITH_A, "x-kubernetes-validations": [{"rule": "true", "messageExpression": " "}]},
        ["~.x-kubernetes-validations[0].messageExpression: Required value: messageExpression must be non-empty if specified"]),
    (member, {**WITH_A, "x-kubernetes-validations": [{"rule": "true", "reason": "Odd"}]},
        ['~.x-kubernetes-validations[0].reason: Unsupported value: "Odd": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"']),
    (member, {**WITH_A, "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".zz"}]}, ['~.x-kubernetes-validations[0].fieldPath: Invalid value: ".zz": must be a valid path']),
    (member, {**WITH_A, "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".a"}]}, []),
    (root, {**OBJECT, "$ref": ""}, ["~.$ref: Forbidden: $ref is not supported"]),
    (with_status, {**OBJECT, "title": "", "nullable": False}, []),
])  # fmt: skip


def test_a_root_beside_a_status() -> None:
    (found,) = causes(with_status, {**OBJECT, "maxProperties": 3})
    assert found.startswith('~: Invalid value: {"ID":"","Schema":"","Ref":null,"Description":"","Type":"object"')
    assert found.endswith("fields are allowed at the root of the schema if the status subresource is enabled")


@pytest.mark.parametrize("name", ["$ref", "x-kubernetes-list-type", "x-kubernetes-map-type"])
def test_texts_that_are_pointers_are_there_when_they_are_empty(name: str) -> None:
    assert causes(with_status, {**OBJECT, name: ""})[0].endswith("if the status subresource is enabled")


def test_go_shows_every_member() -> None:
    shown = go_schema({"properties": {"a": TEXT}, "items": TEXT, "not": TEXT, "allOf": [TEXT], "additionalProperties": True})
    assert shown["Properties"]["a"]["Type"] == shown["Items"]["Schema"]["Type"] == shown["Not"]["Type"] == "string"
    assert shown["AdditionalProperties"] == {"Allows": True, "Schema": None} and shown["AllOf"][0]["Type"] == "string"


@pytest.mark.parametrize(("member", "options"), [({}, Options(require_structural=False)), ({"type": "thing"}, Options(require_types=False))])
def test_leniency(member: Object, options: Options) -> None:
    errs = Errors()
    validate_schema({"openAPIV3Schema": {**OBJECT, "properties": {"f": member}}}, False, "s", options, errs)
    assert errs.causes == []


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
