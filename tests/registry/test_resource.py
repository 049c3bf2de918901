"""Rows of the resource table."""

from typing import Any

import pytest

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
    assert (resource.to_storage is None) == (resource.from_storage is None)
    if resource.storage is not None:
        assert resource.storage.storage is None and resource.storage.key_prefix == resource.key_prefix
