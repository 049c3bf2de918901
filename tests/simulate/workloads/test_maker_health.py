"""Objects become healthy by the rules of Flux and Helm (kstatus) and of Argo CD."""

from collections.abc import Callable
from typing import Any

import pytest
from harness import pod

from pilothouse.simulate.workloads.maker import controllers

APPS, BATCH, POLICY = "/apis/apps/v1", "/apis/batch/v1", "/apis/policy/v1"
NETWORKING = "/apis/networking.k8s.io/v1"
CLASS = "/apis/storage.k8s.io/v1/storageclasses"
CONTAINERS = [{"name": "c", "image": "i"}]
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": CONTAINERS}}
SELECTED = {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
ONCE = {"template": {"spec": {"containers": CONTAINERS, "restartPolicy": "Never"}}}
CLAIM = {
    "accessModes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "1Gi"}},
    "storageClassName": "fast",
}
BACKEND = {"service": {"name": "a", "port": {"number": 80}}}


def has(obj: Any, kind: str, status: str = "True") -> bool:
    return any((c["type"], c["status"]) == (kind, status) for c in obj["status"].get("conditions") or ())


def is_seen(obj: Any) -> bool:
    """Whether the status is of the newest spec, and nobody deletes the object."""
    metadata = obj["metadata"]
    return (
        obj["status"]["observedGeneration"] == metadata["generation"] and "deletionTimestamp" not in metadata
    )


def numbers(obj: Any, *names: str) -> set[int]:
    return {obj["status"].get(name, 0) for name in names}


def deployment(obj: Any) -> bool:
    counted = numbers(obj, "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    progress = next(c for c in obj["status"]["conditions"] if c["type"] == "Progressing")
    late = progress["reason"] == "ProgressDeadlineExceeded"
    return is_seen(obj) and counted == {obj["spec"]["replicas"]} and has(obj, "Available") and not late


def replica_set(obj: Any) -> bool:
    counted = numbers(obj, "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    return is_seen(obj) and counted == {obj["spec"]["replicas"]} and not has(obj, "ReplicaFailure")


def stateful_set(obj: Any) -> bool:
    counted = numbers(
        obj, "replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"
    )
    status = obj["status"]
    same = status["currentRevision"] == status["updateRevision"]
    return is_seen(obj) and counted == {obj["spec"]["replicas"]} and same


def daemon_set(obj: Any) -> bool:
    names = ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady")
    return is_seen(obj) and numbers(obj, *names) == {obj["status"]["desiredNumberScheduled"]}


def budget(obj: Any) -> bool:
    return is_seen(obj) and obj["status"]["currentHealthy"] >= obj["status"]["desiredHealthy"]


def has_address(obj: Any) -> bool:
    return bool(obj["status"]["loadBalancer"].get("ingress"))


CASES: dict[str, tuple[str, Any, Callable[[Any], bool]]] = {
    "deployments": (APPS, {"replicas": 3, **SELECTED}, deployment),
    "replicasets": (APPS, {"replicas": 3, **SELECTED}, replica_set),
    "statefulsets": (APPS, {"serviceName": "a", "replicas": 3, **SELECTED}, stateful_set),
    "daemonsets": (APPS, SELECTED, daemon_set),
    "jobs": (BATCH, ONCE, lambda obj: has(obj, "Complete") and not has(obj, "Failed")),
    "poddisruptionbudgets": (POLICY, {"minAvailable": 1, "selector": SELECTED["selector"]}, budget),
    "persistentvolumeclaims": ("/api/v1", CLAIM, lambda obj: obj["status"]["phase"] == "Bound"),
    "services": ("/api/v1", {"type": "LoadBalancer", "ports": [{"port": 80}]}, has_address),
    "ingresses": (NETWORKING, {"defaultBackend": BACKEND}, has_address),
}


@pytest.mark.parametrize("plural", CASES)
async def test_objects_become_healthy(cluster: Any, plural: str) -> None:
    group, spec, is_healthy = CASES[plural]
    for name in ("n1", "n2"):
        await cluster.ok("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    await cluster.ok("POST", CLASS, {"metadata": {"name": "fast"}, "provisioner": "csi.example.com"})
    await cluster.run(*controllers(cluster.client, cluster.clock))
    await cluster.post("pods", pod("alone", labels={"app": "web"} if "budget" in plural else {}))
    await cluster.post(plural, {"metadata": {"name": "a"}, "spec": spec}, group)
    for one in await cluster.pods("batch.kubernetes.io/job-name=a"):
        await cluster.kubelet.finish(one["metadata"]["name"])
    await cluster.settle()
    assert is_healthy(await cluster.get(f"{plural}/a", group))
