"""Selectable fields."""

from typing import Any

import pytest

from pilothouse.registry.catalog import Catalog, built_in
from pilothouse.registry.fields import extractor, stored_label
from pilothouse.registry.resource import Resource


def record(**members: Any) -> Resource:
    values = {"group": "", "version": "v1", "plural": "xs", "kind": "X", "singular": "x", "verbs": ("get",)}
    return Resource(**{"namespaced": True, **values, **members})


@pytest.mark.parametrize(
    ("value", "text"), [("v", "v"), (None, ""), (True, "true"), (False, "false"), (5, "5"), ({}, "{}")]
)
def test_values_are_texts(value: Any, text: str) -> None:
    read = extractor(record(selectable={"spec.f": ("spec", "f")}))
    assert read({"metadata": {"name": "a"}, "spec": {"f": value}})["spec.f"] == text


def test_what_is_absent_is_empty() -> None:
    read = extractor(record(selectable={"spec.f": ("spec", "f"), "g": lambda obj: "made"}))
    assert read({"metadata": {"name": "a", "namespace": "n"}}) == {
        "metadata.name": "a",
        "metadata.namespace": "n",
        "spec.f": "",
        "g": "made",
    }
    assert read({"metadata": {}, "spec": "no object"})["spec.f"] == ""
    assert extractor(record(namespaced=False))({"metadata": {"name": "a"}}) == {"metadata.name": "a"}


def test_labels_that_are_known() -> None:
    resource = record(selectable={"spec.f": ("spec", "f")})
    assert stored_label(resource, "metadata.name") == "metadata.name"
    assert stored_label(resource, "metadata.namespace") == "metadata.namespace"
    assert stored_label(resource, "spec.f") == "spec.f"
    assert stored_label(resource, "spec.g") is None
    assert stored_label(record(namespaced=False), "metadata.namespace") is None


def test_labels_that_are_stored_under_another_name() -> None:
    catalog = Catalog(built_in())
    events = catalog.get("events.k8s.io", "v1", "events")
    assert stored_label(events, "regarding.name") == "involvedObject.name"
    assert stored_label(events, "involvedObject.name") is None
    assert stored_label(catalog.get("", "v1", "events"), "involvedObject.name") == "involvedObject.name"


def test_fields_that_have_an_index() -> None:
    catalog = Catalog(built_in())
    assert catalog.get("", "v1", "pods").indexed == ("spec.nodeName",)
    assert catalog.get("", "v1", "configmaps").indexed == ()
