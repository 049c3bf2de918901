"""Validation of custom resource definitions."""

import copy
from typing import Any

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.crd import definition as crd

VERSION = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
NAMES = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}


def definition(**spec: Any) -> Object:
    given = {"group": "example.com", "scope": "Cluster", "names": NAMES, "versions": [VERSION], **spec}
    return copy.deepcopy({"metadata": {"name": "widgets.example.com"}, "spec": given, "status": {"storedVersions": ["v1"]}})


def created(obj: Object) -> list[tuple[str, str]]:
    errs = Errors()
    crd.validate_create(obj, errs)
    return [(cause["field"].removeprefix("spec."), cause["message"]) for cause in errs.causes]


def updated(obj: Object, old: Object) -> list[str]:
    errs = Errors()
    crd.validate_update(obj, old, errs)
    return [cause["field"].removeprefix("spec.") for cause in errs.causes]


def version(name: str = "v1", **more: Any) -> Object:
    return {**VERSION, "name": name, **more}


def schema(**properties: Any) -> Object:
    spec = {"type": "object", "properties": properties}
    return {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({}, []),
        ({"group": ""}, ["group"]),
        ({"group": "nodot"}, ["group"]),
        ({"scope": "World"}, ["scope"]),
        ({"names": {**NAMES, "listKind": "Widget"}}, ["names.listKind"]),
        ({"names": {**NAMES, "kind": "wi dget", "shortNames": ["A"]}}, ["names.kind", "names.shortNames[0]"]),
        ({"names": {**NAMES, "singular": ""}}, ["names.singular"]),
        ({"versions": [version(storage=False)]}, ["versions"]),
        ({"versions": [version(), version(storage=False)]}, ["versions"]),
        ({"versions": [version("V1")]}, ["versions[0].name", "version", "status.storedVersions", "status.storedVersions[0]"]),
        ({"versions": [version(deprecationWarning="old")]}, ["versions[0].deprecationWarning"]),
        ({"versions": [version(deprecated=True, deprecationWarning="\n")]}, ["versions[0].deprecationWarning"]),
        ({"versions": [version(schema=None)]}, ["versions[0].schema.openAPIV3Schema"]),
        ({"preserveUnknownFields": True}, ["preserveUnknownFields"]),
        ({"versions": [version(subresources={"scale": {"specReplicasPath": ".x"}})]},
         ["subresources.scale.specReplicasPath", "subresources.scale.statusReplicasPath"]),
        ({"versions": [version(additionalPrinterColumns=[{"type": "odd", "format": "odd"}])]},
         [f"additionalPrinterColumns[0].{name}" for name in ("name", "type", "format", "JSONPath")]),
        ({"conversion": {"strategy": "Webhook"}}, ["conversion.webhookClientConfig", "conversion.conversionReviewVersions"]),
        ({"conversion": {"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}}}, ["conversion.conversionReviewVersions"]),
    ],
)  # fmt: skip
def test_definitions(spec: Object, fields: list[str]) -> None:
    assert [field for field, _ in created(definition(**spec))] == fields


def test_what_versions_have_in_common_stands_above_them() -> None:
    both = [version(schema=schema(a={})), version("v2", storage=False, schema=schema(a={}))]
    assert [field for field, _ in created(definition(versions=both))] == ["validation.openAPIV3Schema.properties[spec].properties[a].type"]
    both[1]["schema"] = schema(b={"type": "string"})
    assert [field for field, _ in created(definition(versions=both))] == ["versions[0].schema.openAPIV3Schema.properties[spec].properties[a].type"]


def test_versions_are_shown_as_go_has_them() -> None:
    (_, message), *_ = created(definition(versions=[version(storage=False, schema=None)]))[1:]
    assert message.startswith('Invalid value: [{"Name":"v1","Served":true,"Storage":false,"Deprecated":false,')


@pytest.mark.parametrize(("path", "message"), [
    (".spec.a", None),
    (".spec.zz", 'Invalid value: ".spec.zz": is an invalid path: does not refer to a valid field'),
    (".spec.o", 'Invalid value: ".spec.o": must point to a field of type string, boolean or integer.'),
    (".spec['a']", "Invalid value: \".spec['a']\": is an invalid path: array notation is not allowed"),
    ("", "Required value"),
])  # fmt: skip
def test_selectable_fields(path: str, message: str | None) -> None:
    declared = schema(a={"type": "string"}, o={"type": "object"})
    found = created(definition(versions=[version(schema=declared, selectableFields=[{"jsonPath": path}])]))
    assert [field for field, _ in found] == (["selectableFields[0].jsonPath"] if message else [])
    assert not message or found[0][1].startswith(message)


def test_names_of_definitions() -> None:
    spec = definition()["spec"]
    assert crd.definition_name("widgets.example.com", spec) == []
    assert crd.definition_name("x.example.com", spec) == ['must be spec.names.plural+"."+spec.group']


def test_updates() -> None:
    old = definition()
    assert updated(definition(), old) == []
    assert updated(definition(scope="Namespaced"), old) == []
    old["status"]["conditions"] = [{"type": "Established", "status": "True"}]
    other = {**NAMES, "kind": "Gadget", "plural": "gadgets"}
    assert updated(definition(scope="Namespaced", names=other, group="example.org"), old) == [
        "scope", "names.kind", "group", "names.plural",
    ]  # fmt: skip
    assert updated(definition(versions=[version("v2")]), old) == ["status.storedVersions", "status.storedVersions[0]"]


def test_what_the_stored_definition_lacks_is_not_demanded() -> None:
    odd = definition(versions=[version(schema=schema(a={"type": "thing"}))])
    assert updated(odd, definition()) != []
    assert updated(odd, copy.deepcopy(odd)) == []
    none = definition(versions=[version(schema=None, served=False)])
    assert updated(none, copy.deepcopy(none)) == []


def test_groups_of_the_community_need_approval() -> None:
    obj = definition(group="x.k8s.io")
    path = "metadata.annotations[api-approved.kubernetes.io]"
    assert [field for field, _ in created(obj)] == [path]
    obj["metadata"]["annotations"] = {crd.APPROVED: "no url"}
    assert [field for field, _ in created(obj)] == [path]
    for text, state in (("unapproved, for tests", "bypassed"), ("https://example.com/pull/1", "approved")):
        obj["metadata"]["annotations"] = {crd.APPROVED: text}
        assert created(obj) == [] and crd.approval(obj["metadata"]["annotations"])[0] == state
    bare = definition(group="x.k8s.io")
    assert updated(bare, copy.deepcopy(bare)) == [], "what was missing before may stay so"
    assert updated(bare, obj) == [path]


def test_warnings() -> None:
    obj = definition(versions=[version(schema=schema(a={"type": "string", "format": "odd"}))])
    assert crd.warnings(obj, None) == ['unrecognized format "odd"']
    assert crd.warnings(obj, copy.deepcopy(obj)) == []
