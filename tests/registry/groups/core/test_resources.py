"""Records and hooks of the core group."""

import json
from pathlib import Path

import pytest

from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.registry.groups.core import resources as core
from pilothouse.registry.groups.core.pods import POD, drop_disabled_fields, grace_period
from pilothouse.registry.groups.core.strategies import NAMESPACE
from pilothouse.registry.strategy import WriteContext

RECORDS = {r.plural: r for r in core.RESOURCES}
NOW = "2026-01-01T00:00:00Z"
PLAIN = Path(__file__).parents[3] / "data" / "discovery_plain.json"


def context(plural: str) -> WriteContext:
    return WriteContext(User("admin"), "create", RECORDS[plural], namespace="default", now=NOW)


def test_every_resource_is_there() -> None:
    wanted = {
        "bindings", "componentstatuses", "configmaps", "endpoints", "events", "limitranges", "namespaces",
        "nodes", "persistentvolumeclaims", "persistentvolumes", "pods", "podtemplates",
        "replicationcontrollers", "resourcequotas", "secrets", "serviceaccounts", "services",
    }  # fmt: skip
    assert set(RECORDS) == wanted


def spec_of_pod() -> Object:
    """The members of alpha features in the spec of a pod."""
    bundle, certificate = {"name": "a", "path": "p"}, {"signerName": "a.b/c", "keyPath": "k"}
    sources = [{"clusterTrustBundle": bundle}, {"podCertificate": certificate}]
    containers = [
        {"name": "a", "lifecycle": {"stopSignal": "SIGTERM"}},
        {"name": "b", "lifecycle": {"stopSignal": "SIGTERM", "preStop": {}}},
    ]
    volumes = [{"name": "v", "projected": {"sources": sources}}]
    return {"containers": containers, "volumes": volumes, "schedulingGroup": {"podGroupName": "g"}}


def test_members_of_alpha_features_are_dropped() -> None:
    spec = spec_of_pod()
    drop_disabled_fields(spec)
    containers = [{"name": "a"}, {"name": "b", "lifecycle": {"preStop": {}}}]
    assert spec == {"containers": containers, "volumes": [{"name": "v", "projected": {"sources": [{}, {}]}}]}


def test_members_of_alpha_features_stay_where_they_are_in_use() -> None:
    spec = spec_of_pod()
    drop_disabled_fields(spec, spec_of_pod())
    assert spec == spec_of_pod()


@pytest.mark.parametrize(
    ("reference", "kept"),
    [
        ({"kind": "K", "name": "n", "namespace": "x"}, False),
        ({"kind": "K", "name": "n", "namespace": ""}, True),
        ({"kind": "K", "name": "n"}, True),
    ],
)
def test_a_claim_from_another_namespace(reference: Object, kept: bool) -> None:
    strategy = RECORDS["persistentvolumeclaims"].strategy
    claim: Object = {"metadata": {"name": "c"}, "spec": {"dataSourceRef": reference}}
    assert strategy.prepare_create is not None and strategy.prepare_update is not None
    strategy.prepare_create(context("persistentvolumeclaims"), claim)
    assert ("dataSourceRef" in claim["spec"], "dataSource" in claim["spec"]) == (kept, kept)
    old: Object = {"metadata": {"name": "c"}, "spec": {"dataSourceRef": {"kind": "K", "name": "n"}}}
    claim["spec"]["dataSourceRef"] = reference
    strategy.prepare_update(context("persistentvolumeclaims"), claim, old)
    assert claim["spec"]["dataSourceRef"] == reference


def test_new_pod_is_pending_at_its_gate() -> None:
    pod: Object = {"metadata": {"name": "p"}, "spec": {"schedulingGates": [{"name": "g"}], "containers": []}}
    assert POD.prepare_create is not None
    POD.prepare_create(context("pods"), pod)
    assert pod["status"]["phase"] == "Pending"
    assert pod["status"]["qosClass"] == "BestEffort"
    assert [(c["type"], c["reason"]) for c in pod["status"]["conditions"]] == [
        ("PodScheduled", "SchedulingGated")
    ]


@pytest.mark.parametrize(
    ("node", "phase", "own", "asked", "given"),
    [
        ("n", "Running", 30, None, 30),
        ("n", "Running", 30, 5, 5),
        ("n", "Running", 30, -3, 1),
        ("", "Pending", 30, None, 0),
        ("n", "Succeeded", 30, 9, 0),
        ("n", "Failed", 30, None, 0),
    ],
)
def test_grace_period(node: str, phase: str, own: int, asked: int | None, given: int) -> None:
    spec = {"nodeName": node, "terminationGracePeriodSeconds": own}
    assert grace_period({"metadata": {}, "spec": spec, "status": {"phase": phase}}, asked) == given


def test_namespace_is_marked_then_waits_then_goes() -> None:
    mark = NAMESPACE.mark_deleting
    assert mark is not None
    namespace: Object = {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}}
    assert mark(context("namespaces"), namespace)
    assert namespace["status"] == {"phase": "Terminating"}
    assert namespace["metadata"]["deletionTimestamp"] == NOW
    assert mark(context("namespaces"), namespace)
    namespace["spec"] = {}
    assert not mark(context("namespaces"), namespace)


def test_discovery_agrees() -> None:
    recorded = json.loads(PLAIN.read_text(encoding="utf-8"))
    found = recorded["/api/v1"]
    for entry in found["resources"]:
        if "/" not in entry["name"]:
            assert RECORDS[entry["name"]].kind == entry["kind"]
