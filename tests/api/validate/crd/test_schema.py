"""Every cause that the schemas of definitions can have (apiextensions-apiserver validation and schema)."""

from contextlib import nullcontext
from functools import partial
from json import dumps
from typing import Any

import pytest
from rules import at, below, table, valid, within

from pilothouse.api.structural.field_paths import PathError, valid_path
from pilothouse.api.validate.crd.go_schema import go_schema
from pilothouse.api.validate.crd.schema import Options, validate_schema
from pilothouse.api.values.fields import Errors, Object

TEXT: Object = {"type": "string"}
OBJECT: Object = {"type": "object"}
WITH_A: Object = {"type": "object", "properties": {"a": TEXT}}


def at_root(declared: Object, errs: Errors, status: bool = False) -> None:
    validate_schema({"openAPIV3Schema": declared}, status, "s", Options(), errs)


root, with_status = within("s.openAPIV3Schema", at_root, ""), within("s.openAPIV3Schema", partial(at_root, status=True), "")
"""Schemas of definitions without and with a status subresource."""
member = within("s.openAPIV3Schema.properties[f]", lambda declared, errs: at_root({"type": "object", "properties": {"f": declared}}, errs), "")
EMBEDDED: Object = {"type": "object", "x-kubernetes-embedded-resource": True}
metadata = within("~.properties[metadata]", lambda declared, errs: member({**EMBEDDED, "properties": {"metadata": declared}}, errs), "")
"""A schema of the metadata of an embedded resource."""


def listed(items: object, kind: str = "map", keys: list[str] | None = None, **more: object) -> Object:
    out = {"type": "array", "items": items, "x-kubernetes-list-type": kind, **more}
    return out if keys is None else {**out, "x-kubernetes-list-map-keys": keys}


def rule(text: str, **more: object) -> Object:
    return {"x-kubernetes-validations": [{"rule": text, **more}]}


ruled = at(TEXT, "x-kubernetes-validations[]", {"rule": "true"})
ITEM: Object = {"type": "object", "required": ["k"], "properties": {"k": TEXT, "o": OBJECT, "n": {**TEXT, "nullable": True}}}
SHOWN_ITEMS = dumps({"Schema": None, "JSONSchemas": [go_schema(ITEM)]}, separators=(",", ":"))
test_causes = table([
    (with_status, {**OBJECT, "maxProperties": 3},
        '~: Invalid value: {"ID":"","Schema":"","Ref":null,"Description":"","Type":"object"…fields are allowed at the root of the schema if the status subresource is enabled'),
    (with_status, {**OBJECT, "x-kubernetes-map-type": ""}, "~: Invalid value: …if the status subresource is enabled", "~.x-kubernetes-map-type atomic|granular"),
    (with_status, {**OBJECT, "x-kubernetes-list-type": ""}, "~: Invalid value: …if the status subresource is enabled", "~.type : must be array if x-kubernetes-list-type is specified",
        "~.x-kubernetes-list-type atomic|set|map"),
    (with_status, {**OBJECT, "$ref": ""}, "~: Invalid value: …if the status subresource is enabled", "~.$ref- : $ref is not supported"),
    *valid(root, OBJECT, {"x-kubernetes-preserve-unknown-fields": True}, {"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": TEXT}}}}),
    (root, TEXT, "~.type : must be object at the root"),
    (root, {**OBJECT, "properties": {"metadata": {**OBJECT, "description": "d"}}},
        "~.properties[metadata]- : must not specify anything other than name and generateName, but metadata is implicitly specified"),
    (root, {**OBJECT, "properties": {"metadata": TEXT, "kind": {"type": "integer"}}}, "~.properties[kind].type : must be string", "~.properties[metadata].type : must be object"),
    *valid(with_status, {**OBJECT, "properties": {"a": TEXT}, "description": "d"}, {**OBJECT, "title": "", "nullable": False}),
    (with_status, {**OBJECT, "oneOf": [{"required": ["a"]}]},
        '~={"ID":"","Schema":"","Ref":null,"Description":"","Type":"object","Nullable":false,"Format":"","Title":"","Default":null,"Maximum":null,"ExclusiveMaximum":false,"Minimum":null,"ExclusiveMinimum":false,"MaxLength":null,"MinLength":null,"Pattern":"","MaxItems":null,"MinItems":null,"UniqueItems":false,"MultipleOf":null,"Enum":null,"MaxProperties":null,"MinProperties":null,"Required":null,"Items":null,"AllOf":null,"OneOf":[{"ID":"","Schema":"","Ref":null,"Description":"","Type":"","Nullable":false,"Format":"","Title":"","Default":null,"Maximum":null,"ExclusiveMaximum":false,"Minimum":null,"ExclusiveMinimum":false,"MaxLength":null,"MinLength":null,"Pattern":"","MaxItems":null,"MinItems":null,"UniqueItems":false,"MultipleOf":null,"Enum":null,"MaxProperties":null,"MinProperties":null,"Required":["a"],"Items":null,"AllOf":null,"OneOf":null,"AnyOf":null,"Not":null,"Properties":null,"AdditionalProperties":null,"PatternProperties":null,"Dependencies":null,"AdditionalItems":null,"Definitions":null,"ExternalDocs":null,"Example":null,"XPreserveUnknownFields":null,"XEmbeddedResource":false,"XIntOrString":false,"XListMapKeys":null,"XListType":null,"XMapType":null,"XValidations":null}],"AnyOf":null,"Not":null,"Properties":null,"AdditionalProperties":null,"PatternProperties":null,"Dependencies":null,"AdditionalItems":null,"Definitions":null,"ExternalDocs":null,"Example":null,"XPreserveUnknownFields":null,"XEmbeddedResource":false,"XIntOrString":false,"XListMapKeys":null,"XListType":null,"XMapType":null,"XValidations":null} : only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status subresource is enabled'),
    (with_status, TEXT, '~.type : only "object" is allowed as the type at the root of the schema if the status subresource is enabled', "~.type : must be object at the root"),
    (member, {**TEXT, "x-kubernetes-preserve-unknown-fields": False}, "~.x-kubernetes-preserve-unknown-fields : must be true or undefined"),
    (member, {"x-kubernetes-int-or-string": True, "x-kubernetes-preserve-unknown-fields": True}, "~.x-kubernetes-preserve-unknown-fields : must be false if x-kubernetes-int-or-string is true"),
    (member, {"x-kubernetes-int-or-string": True, **EMBEDDED, "properties": {"a": TEXT}}, "~.x-kubernetes-embedded-resource : must be false if x-kubernetes-int-or-string is true"),
    (member, {**TEXT, "x-kubernetes-embedded-resource": True}, "~.properties! : must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        "~.type : must be object if x-kubernetes-embedded-resource is true"),
    (member, {"x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}, "~.type! : must be object if x-kubernetes-embedded-resource is true"),
    (member, {**OBJECT, "x-kubernetes-embedded-resource": True, "additionalProperties": TEXT}, "~.additionalProperties- : must not be used if x-kubernetes-embedded-resource is set",
        "~.properties! : must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"),
    (metadata, {**OBJECT, "x-kubernetes-embedded-resource": True}, "~.properties! : must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        "~.x-kubernetes-embedded-resource- : must not be used inside of resource meta"),
    (member, {"type": "null"}, "~.type array|boolean|integer|number|object|string", "~.type- : type cannot be set to null, use nullable as an alternative"),
    *valid(member, {**OBJECT, "additionalProperties": {"default": "a", "type": "string"}}, listed(ITEM, keys=["k"]), ruled(message="m", reason="FieldValueInvalid")),
    *valid(member, {**OBJECT, "anyOf": [{"properties": {"a": {"items": {}}}}], "properties": {"a": OBJECT}}, {**TEXT, "default": "a"}, TEXT),
    (member, {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
    *valid(member, {"x-kubernetes-int-or-string": True, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"maximum": 1}]}, {"x-kubernetes-int-or-string": True, "default": 1.5}),
    *valid(member, {**WITH_A, "x-kubernetes-validations": [{"rule": "true"}]}, {**WITH_A, "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".a"}]}),
    (member, {**TEXT, "patternProperties": {"a": TEXT}, "definitions": {"d": TEXT}}, "~.patternProperties- : patternProperties is not supported", "~.definitions- : definitions is not supported"),
    (member, {**TEXT, "dependencies": {"a": TEXT, "b": ["c"]}, "$ref": "#/x", "id": "i"}, "~.id- : id is not supported", "~.dependencies- : dependencies is not supported",
        "~.$ref- : $ref is not supported"),
    (member, {**OBJECT, "x-kubernetes-map-type": "odd"}, "~.x-kubernetes-map-type atomic|granular"),
    (member, {"x-kubernetes-map-type": "atomic", "x-kubernetes-preserve-unknown-fields": True}, "~.type! : must be object if x-kubernetes-map-type is specified"),
    (member, {**TEXT, "x-kubernetes-list-type": "atomic"}, "~.type : must be array if x-kubernetes-list-type is specified"),
    (member, {"type": "array", "items": ITEM, "x-kubernetes-list-map-keys": ["k"]}, "~.x-kubernetes-list-type! : must be map if x-kubernetes-list-map-keys is non-empty"),
    (member, listed(ITEM, "atomic", ["k"]), "~.x-kubernetes-list-type : must be map if x-kubernetes-list-map-keys is non-empty"),
    (member, listed(ITEM), "~.x-kubernetes-list-map-keys! : must not be empty if x-kubernetes-list-type is map"),
    (member, listed(None, keys=["k"]), "~.items! : must be specified", "~.items! : must have a schema if x-kubernetes-list-type is map"),
    (member, listed([ITEM], keys=["k"]), "~.items: Forbidden: items must be a schema object and not an array",
        f"~.items: Invalid value: {SHOWN_ITEMS}: must only have a single schema if x-kubernetes-list-type is map"),
    (member, listed(TEXT, keys=["k"]), "~.items.type : must be object if parent array's x-kubernetes-list-type is map"),
    (member, listed(ITEM, keys=["k", "k", "x", "o", "n"]), "~.x-kubernetes-list-map-keys : must not contain duplicate entries",
        "~.x-kubernetes-list-map-keys : entries must all be names of item properties", "~.items.properties[o].type : must be a scalar type if parent array's x-kubernetes-list-type is map",
        "~.items.properties[o].default! : <map key> must have a default or be a required property", "~.items.properties[n].default! : <map key> must have a default or be a required property",
        "~.items.properties[n].nullable- : <map key> cannot be nullable"),
    (member, listed({**ITEM, "nullable": True}, keys=["k"]), "~.items.nullable- : cannot be nullable when x-kubernetes-list-type is map"),
    (member, listed(listed(TEXT, "set"), "set"), "~.items.x-kubernetes-list-type : must be atomic as item of a list with x-kubernetes-list-type=set"),
    (member, listed({**TEXT, "nullable": True}, "set"), "~.items.nullable- : cannot be nullable when x-kubernetes-list-type is set"),
    (member, ruled(rule=" "), "~.x-kubernetes-validations[0].rule! : rule is not specified"),
    (member, ruled(message=" ", messageExpression=" ", reason="Odd", fieldPath=" "), *below("~.x-kubernetes-validations[0]", ".message : must be non-empty if specified",
        ".messageExpression! : messageExpression must be non-empty if specified", ".reason FieldValueDuplicate|FieldValueForbidden|FieldValueInvalid|FieldValueRequired",
        ".fieldPath : must be non-empty if specified", ".fieldPath : must be a valid path")),
    (member, ruled(message="a\nb", fieldPath=".a\n"), *below("~.x-kubernetes-validations[0]", ".message : must not contain line breaks", ".fieldPath : must not contain line breaks",
        ".fieldPath : must be a valid path")),
    (member, ruled(rule="a\nb"), "~.x-kubernetes-validations[0].message! : message must be specified if rule contains line breaks"),
    (member, {**OBJECT, "properties": {"a": TEXT}, "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".b"}]}, "~.x-kubernetes-validations[0].fieldPath : must be a valid path"),
    (member, {**OBJECT, "not": {"properties": {"a": TEXT}, "items": {}}}, "~.not.properties[a].type- : must be empty to be structural"),
    (member, {**TEXT, "default": 1}, '~.default="integer" :  in body must be of type string: "integer"'),
    *valid(member, {**TEXT, "default": "a", **rule("self == 'a'")}, {**TEXT, "default": "a", **rule("self == oldSelf")},
        {**TEXT, **rule("self == 'a'")}, {"type": "array", "items": {**TEXT, "default": "b"}, **rule("self.size() > 5")}),
    (member, {**TEXT, "default": "a", **rule("self == 'b'")}, """~.default="a" : failed rule: self == 'b'"""),
    (member, {**TEXT, "default": "a", **rule("oldSelf.hasValue()", optionalOldSelf=True)}, '~.default="a" : failed rule: oldSelf.hasValue()'),
    (member, {**TEXT, "default": "a", **rule("self")}, '~.default="string" : rule compile error: cel expression must evaluate to a bool'),
    (member, {**TEXT, "default": 1, **rule("self == 'b'")}, '~.default="integer" :  in body must be of type string: "integer"'),
    (member, {"type": "array", "items": {**TEXT, **rule("self == 'b'")}, "default": ["b", "c"]}, """~.default[1]="c" : failed rule: self == 'b'"""),
    (member, {**OBJECT, "properties": {"a": {"type": "array", "items": {**TEXT, "default": "a", **rule("self == 'b'")}}}},
        """~.properties[a].items.default="a" : failed rule: self == 'b'"""),
    (member, {**OBJECT, "default": {"x": 1}}, "~.default : must not have unknown fields"),
    (member, {**OBJECT, "properties": {"a": {"type": "array", "items": {**TEXT, "default": 1}}}}, '~.properties[a].items.default="integer" :  in body must be of type string: "integer"'),
    (member, {**OBJECT, "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True, "default": {"metadata": {"name": 1}}},
        "~.default.metadata : json: cannot unmarshal number into Go struct field ObjectMeta.name of type string"),
    *valid(metadata, {**OBJECT, "properties": {"name": {**TEXT, "default": "A_"}}}, {**OBJECT, "properties": {"name": {**TEXT, "default": "a"}}}),
    (metadata, {**OBJECT, "properties": {"finalizers": {"type": "array", "items": {**TEXT, "default": "a b"}}}},
        '~.properties[finalizers].items.default : must result in valid metadata: metadata.finalizers: Invalid value: "a b": <name part>'),
    (member, {}, "~.type! : must not be empty for specified object fields"),
    (member, {"type": "array", "items": {}}, "~.items.type! : must not be empty for specified array items"),
    (member, {"type": "thing"}, "~.type array|boolean|integer|number|object|string"),
    (member, {**TEXT, "anyOf": [{"type": "string"}]}, "~.anyOf[0].type- : must be empty to be structural"),
    (member, {**TEXT, "not": {"default": 1, "nullable": True}}, "~.not.default- : must be undefined to be structural", "~.not.nullable- : must be false to be structural"),
    (member, {"type": "object", "allOf": [{"properties": {"metadata": {}}}], "properties": {"metadata": {"type": "object"}}},
        "~.allOf[0].properties[metadata]- : must not be specified in a nested context"),
    (member, {"type": "object", "additionalProperties": TEXT, "properties": {"a": TEXT}}, "~.additionalProperties- : additionalProperties and properties are mutual exclusive"),
    (member, {**TEXT, "pattern": "("}, "~.pattern : must be a valid regular expression, but isn't: error parsing regexp: missing closing ): `(`"),
    (member, {"type": "array", "items": TEXT, "uniqueItems": True}, "~.uniqueItems- : uniqueItems cannot be set to true since the runtime complexity becomes quadratic"),
    (member, {**TEXT, "x-kubernetes-map-type": "atomic"}, "~.type : must be object if x-kubernetes-map-type is specified"),
    (member, {"type": "array", "items": TEXT, "x-kubernetes-list-type": "odd"}, "~.x-kubernetes-list-type atomic|set|map"),
    (member, {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"}, "~.items.x-kubernetes-map-type=null : must be atomic as item of a list with x-kubernetes-list-type=set"),
    (member, {"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]},
        "~.items.properties[a].default! : <map key> must have a default or be a required property"),
    (member, {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}], "default": {}}, '~.default="" : "" must validate at least one schema (anyOf)',
        '~.default="object" :  in body must be of type integer: "object"'),
    (member, {"type": "array", "items": {**TEXT, "pattern": "^x"}, "default": ["y"]}, "~.default.[0] : [0] in body should match '^x'"),
    (member, {"type": "object", "properties": {"kind": TEXT}, "x-kubernetes-embedded-resource": True, "default": {"kind": "K"}}, "~.default.apiVersion!"),
    (root, {}, "~.type! : must not be empty at the root"),
    (root, {"type": "object", "nullable": True}, "~.nullable- : nullable cannot be true at the root"),
    (root, {"type": "object", "additionalProperties": TEXT}, "~.additionalProperties- : must not be used at the root"),
    (root, {"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}},
        "~.properties[metadata]- : must not specify anything other than name and generateName, but metadata is implicitly specified"),
    (root, {"type": "object", "oneOf": [{"properties": {"a": {}}}]}, "~.properties[a]! : because it is defined in s.openAPIV3Schema.oneOf[0].properties[a]"),
    (root, {**OBJECT, "$ref": ""}, "~.$ref- : $ref is not supported"),
])  # fmt: skip


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
    with pytest.raises(PathError) if expected is PathError else nullcontext():
        assert valid_path(path, declared)[0] == expected


def test_what_is_null_within_a_schema_is_shown_as_go_has_decoded_it() -> None:
    members = {"properties": {"a": None}, "allOf": [None], "dependencies": {"b": None, "c": {}, "d": ["e"]}}
    shown = go_schema({**members, "x-kubernetes-validations": [None]})
    empty = go_schema({})
    assert shown["Properties"] == {"a": empty} and shown["AllOf"] == [empty]
    assert shown["Dependencies"] == {"b": {"Schema": None, "Property": None}, "c": {"Schema": empty, "Property": None}, "d": {"Schema": None, "Property": ["e"]}}
    assert shown["XValidations"][0]["Rule"] == ""
