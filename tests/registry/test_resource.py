"""Resource records."""

from typing import Any

import pytest

from pilothouse import errors
from pilothouse.registry.catalog import built_in
from pilothouse.registry.resource import Resource

RESOURCES = built_in()


def record(**members: Any) -> Resource:
    values = {"group": "", "version": "v1", "plural": "xs", "kind": "X", "singular": "x", "verbs": ("get",)}
    return Resource(**{"namespaced": True, "key_prefix": "/registry/xs/", **values, **members})


def test_names() -> None:
    core, named = record(), record(group="example.com", version="v2")
    assert (core.api_version, core.group_resource, core.list_kind) == ("v1", "xs", "XList")
    assert (named.api_version, named.group_resource) == ("example.com/v2", "xs.example.com")


def test_keys() -> None:
    assert record().key("n", "a") == "/registry/xs/n/a"
    assert record(namespaced=False).key("", "a") == record(namespaced=False).key("n", "a") == "/registry/xs/a"


def test_no_two_kinds_are_stored_in_one_place() -> None:
    stored = [r.key_prefix for r in RESOURCES if r.key_prefix and r.storage is None]
    assert len(set(stored)) == len(stored)
    for one in stored:
        assert not any(other != one and other.startswith(one) for other in stored), one


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: f"{r.group_resource}/{r.version}")
def test_a_record_is_whole(resource: Any) -> None:
    assert resource.plural == resource.plural.lower() and resource.kind[0].isupper()
    assert resource.type_of is not None and resource.type_of() is not None
    if resource.virtual:
        assert "delete" not in resource.verbs
        return
    assert resource.key_prefix.startswith("/registry/") and resource.key_prefix.endswith("/")
    assert (resource.conversion is None) == (resource.storage is None)
    if resource.storage is not None:
        assert resource.storage.storage is None and resource.storage.key_prefix == resource.key_prefix


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: f"{r.group_resource}/{r.version}")
def test_a_subresource_has_rules_or_a_view_or_an_action(resource: Any) -> None:
    for sub in resource.subresources.values():
        assert [sub.strategy, sub.read, sub.action].count(None) == 2, sub.name
        assert (sub.read is None) == (sub.write is None)


def test_a_record_decodes_its_objects() -> None:
    config_maps = next(r for r in RESOURCES if r.group_resource == "configmaps")
    body = b'{"metadata":{"name":"a"},"data":{"k":"v"},"extra":1}'
    obj, warnings = config_maps.decode(body, "application/json", "Warn")
    wanted = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"k": "v"}}
    assert (obj, warnings) == (wanted, ['unknown field "extra"'])
    assert config_maps.decode_value({"data": {"k": "v"}, "extra": 1}) == (
        {**wanted, "metadata": {}},
        ['unknown field "extra"'],
    )
    kept = {"k": object()}
    obj, _ = config_maps.decode_value({"metadata": {}, "data": kept}, {"data": kept})
    assert obj["data"] is kept, "what an update keeps is not decoded again"


def test_a_body_may_name_further_versions() -> None:
    pods = next(r for r in RESOURCES if r.group_resource == "pods")
    sub = pods.subresources["eviction"]
    record = pods.body_of(sub)
    assert (record.api_version, record.kind, record.plural) == ("policy/v1", "Eviction", "pods")
    old = b'{"apiVersion":"policy/v1beta1","kind":"Eviction","metadata":{"name":"a"}}'
    with pytest.raises(errors.BadRequest):
        record.decode(old, "application/json", "Warn")
    obj, _ = record.decode(old, "application/json", "Warn", sub.accepted)
    assert obj["apiVersion"] == "policy/v1"


def test_what_is_particular_about_a_few() -> None:
    assert [r.plural for r in RESOURCES if r.names_namespace] == ["namespaces"]
    checked = ["clusterrolebindings", "clusterroles", "rolebindings", "roles"]
    assert sorted(r.plural for r in RESOURCES if r.escalation_checked) == checked
