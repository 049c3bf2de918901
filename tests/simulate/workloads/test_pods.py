"""The facts of pods, and how they are found."""

from typing import Any

import pytest
from harness import pod

from pilothouse.simulate.workloads.pods import PodIndex, pod_facts

PODS = "/api/v1/namespaces/default/pods"


def names(found: Any) -> list[str]:
    return sorted(one.name for one in found)


async def test_pods_by_labels_and_nodes(cluster: Any) -> None:
    index = PodIndex(cluster.client())
    index.follow()
    cluster.kubelet.hold = True
    await cluster.post("pods", pod("a", labels={"app": "x", "tier": "1"}, spec={"nodeName": "n1"}))
    await cluster.post("pods", pod("b", labels={"app": "x", "tier": "2"}))
    assert names(index.select("default", {"app": "x"})) == ["a", "b"]
    assert names(index.select("default", {"app": "x", "tier": "2"})) == ["b"]
    assert names(index.select("default", {})) == ["a", "b"]
    assert names(index.select("kube-system", {"app": "x"})) == []
    await cluster.post("pods", pod("c", labels={"app": "x"}))
    await cluster.patch("pods/b", {"metadata": {"labels": {"app": "y"}}})
    assert names(index.select("default", {"app": "x"})) == ["a", "c"]
    assert names(index.on_node("n1")) == ["a"]
    await cluster.ok("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    assert names(index.select("default", {"app": "x"})) == ["c"] and index.on_node("n1") == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Pending"}, (False, False, True)),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, (True, False, True)),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}, (False, False, True)),
        ({"phase": "Succeeded"}, (False, True, False)),
        ({"phase": "Failed"}, (False, True, False)),
    ],
)
def test_what_a_pod_is(status: Any, expected: tuple[bool, bool, bool]) -> None:
    made = {**pod("a", uid="1", creationTimestamp="2026-01-01T00:00:00Z"), "status": status}
    facts = pod_facts("/registry/pods/default/a", made)
    assert (facts.ready, facts.ended, facts.active) == expected
    made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:01Z"
    assert not pod_facts("/registry/pods/default/a", made).active
