"""Nodes and pods for tests of one scheduling cycle, without a server."""

from collections.abc import Iterable, Iterator
from typing import Any

from pilothouse.simulate.scheduler.cluster import ClusterState
from pilothouse.simulate.scheduler.decision import SchedulingDecision, decide
from pilothouse.simulate.scheduler.pods import Pending, PodFacts

Object = dict[str, Any]
HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


class Objects:
    """Readers of some objects."""

    def __init__(self, **lists: Iterable[Object]) -> None:
        self._lists = {name.replace("_", "."): list(objects) for name, objects in lists.items()}

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        found = (one for one in self.list(resource, namespace) if one["metadata"]["name"] == name)
        return next(found, None)

    def list(self, resource: str, namespace: str = "") -> Iterator[Object]:
        for one in self._lists.get(resource, ()):
            if not namespace or one["metadata"].get("namespace", namespace) == namespace:
                yield one


def node(name: str, *, taints: Iterable[Object] = (), labels: Object | None = None, **has: str) -> Object:
    """A node; `has` is allocatable."""
    allocatable = {"cpu": "4", "memory": "8Gi", "pods": "110", **has}
    return {
        "metadata": {"name": name, "labels": {HOSTNAME: name, **(labels or {})}},
        "spec": {"taints": list(taints)},
        "status": {"allocatable": allocatable},
    }


def pod(name: str, *, on: str = "", labels: Object | None = None, **spec: Any) -> Object:
    """A pod; `cpu` and `memory` are its requests, other members go to its spec."""
    requests = {key: spec.pop(key) for key in ("cpu", "memory") if key in spec}
    container = {"name": "c", "image": "i", "resources": {"requests": requests} if requests else {}}
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": labels or {}}
    spec = {"containers": [container], **spec}
    return {"metadata": metadata, "spec": {**spec, "nodeName": on} if on else spec}


def cluster(*objects: Object) -> ClusterState:
    """Nodes, and the pods on them."""
    state = ClusterState()
    for one in objects:
        if "containers" in one["spec"]:
            state.put(PodFacts(one), one["spec"]["nodeName"])
        else:
            state.set_node(one["metadata"]["name"], one)
    return state


def decided(pod: Object, *objects: Object, **lists: Iterable[Object]) -> SchedulingDecision:
    """The decision on a pod on these nodes, beside these pods; `lists` are further objects."""
    return decide(Pending(pod), cluster(*objects), Objects(**lists), [])  # type: ignore[arg-type]


def refusal(pod: Object, *objects: Object, **lists: Iterable[Object]) -> str:
    """Why no node takes a pod, without what is said of preemption."""
    found = decided(pod, *objects, **lists)
    assert not found.node, found
    return found.message.partition(" no new claims to deallocate,")[0].removesuffix(" not found")
