"""What definitions may say, schemas apart."""

from collections.abc import Callable

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import apiextensions as rules


def causes(check: Callable[..., None], *objects: Object) -> list[tuple[str, str]]:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


VERSION = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
NAMES = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}


def definition(**spec: object) -> Object:
    given = {"group": "example.com", "scope": "Cluster", "names": NAMES, "versions": [VERSION], **spec}
    return {"metadata": {"name": "widgets.example.com"}, "spec": given, "status": {"storedVersions": ["v1"]}}


@pytest.mark.parametrize(
    ("spec", "members"),
    [
        ({}, []),
        ({"scope": "World"}, ["scope"]),
        ({"names": NAMES | {"listKind": "Widget"}}, ["names.listKind"]),
        ({"versions": [VERSION | {"storage": False}]}, ["versions"]),
        ({"versions": [VERSION, VERSION | {"storage": False}]}, ["versions"]),
        ({"versions": [VERSION | {"deprecationWarning": "old"}]}, ["versions[0].deprecationWarning"]),
        ({"versions": [VERSION | {"schema": None}]}, ["versions[0].schema.openAPIV3Schema"]),
        ({"preserveUnknownFields": True}, ["preserveUnknownFields"]),
    ],
)
def test_definitions(spec: Object, members: list[str]) -> None:
    found = causes(rules.validate_definition, definition(**spec))
    assert [f for f, _ in found] == [f"spec.{m}" for m in members]


def test_what_versions_have_in_common_stands_above_them() -> None:
    common, versions = rules.hoist([VERSION, VERSION | {"name": "v2", "subresources": {"status": {}}}])
    assert list(common) == ["schema"] and "subresources" in versions[1]


def test_groups_of_the_community_need_approval() -> None:
    obj = definition(group="x.k8s.io")
    obj["metadata"] = {"name": "widgets.x.k8s.io"}
    path = "metadata.annotations[api-approved.kubernetes.io]"
    assert [f for f, _ in causes(rules.validate_definition, obj)] == [path]
    obj["metadata"]["annotations"] = {rules.APPROVAL: "unapproved, for tests"}
    assert causes(rules.validate_definition, obj) == []
