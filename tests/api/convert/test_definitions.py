"""Definitions as kube-apiserver stores them."""

from typing import Any

import pytest

from pilothouse.api.convert.definitions import from_v1beta1

SCHEMA = {"openAPIV3Schema": {"type": "object"}}
NAMES = {"plural": "widgets", "kind": "Widget"}


def converted(**spec: Any) -> dict[str, Any]:
    old: dict[str, Any] = {
        "kind": "CustomResourceDefinition",
        "apiVersion": "apiextensions.k8s.io/v1beta1",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "names": NAMES, "scope": "Namespaced", **spec},
    }
    found = from_v1beta1(old)
    assert found["apiVersion"] == "apiextensions.k8s.io/v1" and found["metadata"] == old["metadata"]
    assert old["apiVersion"].endswith("v1beta1") and old["spec"].keys() == {"group", "names", "scope", *spec}
    return found


def test_what_versions_have_in_common_stands_in_each_of_them() -> None:
    found = converted(
        version="v1",
        versions=[
            {"name": "v1", "served": True, "storage": True},
            {"name": "v2", "served": True, "storage": False},
        ],
        validation=SCHEMA,
        subresources={"status": {}},
        additionalPrinterColumns=[{"name": "A", "type": "string", "JSONPath": ".spec.a"}],
        selectableFields=[{"jsonPath": ".spec.a"}],
        preserveUnknownFields=False,
    )
    shared = {
        "schema": SCHEMA,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".spec.a"}],
        "selectableFields": [{"jsonPath": ".spec.a"}],
    }
    assert found["spec"] == {
        "group": "example.com",
        "names": NAMES,
        "scope": "Namespaced",
        "versions": [
            {"name": "v1", "served": True, "storage": True, **shared},
            {"name": "v2", "served": True, "storage": False, **shared},
        ],
        "conversion": {"strategy": "None"},
    }
    assert found["status"] == {"storedVersions": ["v1"]}


def test_what_versions_have_of_their_own_is_kept() -> None:
    columns = [{"name": "A", "type": "string", "JSONPath": ".a"}]
    found = converted(
        versions=[
            {"name": "v1", "storage": True, "schema": SCHEMA, "additionalPrinterColumns": columns},
            {"name": "v2"},
        ],
        preserveUnknownFields=False,
    )
    first, second = found["spec"]["versions"]
    assert first["schema"] == SCHEMA and first["additionalPrinterColumns"][0]["jsonPath"] == ".a"
    assert second == {"name": "v2"}


def test_a_definition_of_before_there_were_several_versions() -> None:
    spec = converted(version="v1")["spec"]
    assert spec["versions"] == [{"name": "v1", "served": True, "storage": True}]
    assert spec["preserveUnknownFields"] is True and "version" not in spec


CLIENT = {"url": "https://example.com"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, {"strategy": "None"}),
        ({"strategy": "None"}, {"strategy": "None"}),
        (
            {"strategy": "Webhook", "webhookClientConfig": CLIENT},
            {
                "strategy": "Webhook",
                "webhook": {"clientConfig": CLIENT, "conversionReviewVersions": ["v1beta1"]},
            },
        ),
        (
            {"strategy": "Webhook", "webhookClientConfig": CLIENT, "conversionReviewVersions": ["v1"]},
            {"strategy": "Webhook", "webhook": {"clientConfig": CLIENT, "conversionReviewVersions": ["v1"]}},
        ),
    ],
)
def test_conversion(old: Any, new: Any) -> None:
    assert converted(versions=[], conversion=old)["spec"]["conversion"] == new
