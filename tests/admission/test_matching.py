"""The requests that a policy is about."""

from typing import Any

import pytest
from harness import Rig

from pilothouse import errors
from pilothouse.admission.matching import Criteria

PODS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}


def matches(a: Any, rules: Any = (), **more: Any) -> Any:
    return Criteria({"resourceRules": list(rules), **more}).match(a) is not None


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, True),
        ({"operations": ["UPDATE"]}, False),
        ({"operations": ["*"]}, True),
        ({"apiGroups": ["apps"]}, False),
        ({"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}, True),
        ({"apiVersions": ["v2"]}, False),
        ({"resources": ["services", "pods/*"]}, True),
        ({"resources": ["pods/status"]}, False),
        ({"scope": "Namespaced"}, True),
        ({"scope": "Cluster"}, False),
        ({"resourceNames": ["x", "a"]}, True),
        ({"resourceNames": ["x"]}, False),
    ],
)
async def test_rules(rig: Rig, change: Any, wanted: Any) -> None:
    a = rig.attributes({"metadata": {"name": "a"}})
    assert matches(a, [{**PODS, **change}]) is wanted
    assert matches(a, [PODS], excludeResourceRules=[{**PODS, **change}]) is not wanted


async def test_namespaces_are_cluster_scoped(rig: Rig) -> None:
    a = rig.attributes({"metadata": {"name": "a"}}, resource=("", "v1", "namespaces"))
    a.namespace = "a"
    rule = {**PODS, "resources": ["*"]}
    assert matches(a, [{**rule, "scope": "Cluster"}]) and not matches(a, [{**rule, "scope": "Namespaced"}])


async def test_selectors(rig: Rig) -> None:
    new = {"metadata": {"name": "a", "labels": {"a": "new"}}}
    a = rig.attributes(new, {"metadata": {"name": "a", "labels": {"a": "old"}}})
    for value, wanted in (("new", True), ("old", True), ("other", False)):
        assert matches(a, objectSelector={"matchLabels": {"a": value}}) is wanted
    label = "kubernetes.io/metadata.name"
    for name, wanted in (("default", True), ("kube-system", False)):
        assert matches(a, namespaceSelector={"matchLabels": {label: name}}) is wanted
    nodes = rig.attributes(new, resource=("", "v1", "nodes"))
    assert matches(nodes, namespaceSelector={"matchLabels": {label: "none"}}), "cluster-scoped objects match"
    namespace = rig.attributes(
        {"metadata": {"name": "n", "labels": {"a": "b"}}}, resource=("", "v1", "namespaces")
    )
    assert matches(namespace, namespaceSelector={"matchLabels": {"a": "b"}})
    assert not matches(namespace, namespaceSelector={"matchLabels": {"a": "c"}})


async def test_a_namespace_that_is_missing_matters_only_where_the_rules_match(rig: Rig) -> None:
    a = rig.attributes({"metadata": {"name": "a"}}, namespace="gone")
    selector = {"matchLabels": {"a": "b"}}
    assert not matches(a, [{**PODS, "resources": ["services"]}], namespaceSelector=selector)
    with pytest.raises(errors.NotFound, match='namespaces "gone" not found'):
        matches(a, [PODS], namespaceSelector=selector)


async def test_another_version_of_the_same_resource(rig: Rig) -> None:
    a = rig.attributes(
        {"metadata": {"name": "a"}}, resource=("autoscaling", "v1", "horizontalpodautoscalers")
    )
    rule = {
        "apiGroups": ["autoscaling"],
        "apiVersions": ["v2"],
        "operations": ["*"],
        "resources": ["horizontalpodautoscalers"],
    }
    assert not matches(a, [rule], matchPolicy="Exact")
    found = Criteria({"resourceRules": [rule], "matchPolicy": "Equivalent"}).match(a)
    assert found is not None and found.kind == ("autoscaling", "v2", "HorizontalPodAutoscaler")
    rig.catalog.remove("autoscaling", "v2", "horizontalpodautoscalers")
    assert not matches(a, [rule], matchPolicy="Equivalent"), "it is not served"
