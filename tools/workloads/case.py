"""A case: objects of one namespace, and the changes that are made to them one step after the other."""

import random
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Object = dict[str, Any]

KINDS = {
    "Pod": ("/api/v1", "pods"),
    "Service": ("/api/v1", "services"),
    "Endpoints": ("/api/v1", "endpoints"),
    "ReplicationController": ("/api/v1", "replicationcontrollers"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "Event": ("/api/v1", "events"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "DaemonSet": ("/apis/apps/v1", "daemonsets"),
    "ControllerRevision": ("/apis/apps/v1", "controllerrevisions"),
    "Job": ("/apis/batch/v1", "jobs"),
    "CronJob": ("/apis/batch/v1", "cronjobs"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
}
"""The kinds whose objects are compared: path of the API, and plural."""
CLUSTER = {
    "PersistentVolume": ("/api/v1", "persistentvolumes"),
    "StorageClass": ("/apis/storage.k8s.io/v1", "storageclasses"),
    "PriorityClass": ("/apis/scheduling.k8s.io/v1", "priorityclasses"),
}
"""Kinds without namespaces: a case names its objects after itself."""
SIMULATE = "simulate.pilothouse.dev/"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
QUIET = 3.0
"""Seconds in which nothing may move at the end of a step."""


class Call(NamedTuple):
    """A request."""

    method: str
    path: str
    body: Object | None
    media: str = "application/json"


@dataclass
class Step:
    """Requests, and how long nothing may move after them."""

    calls: list[Call] = field(default_factory=list)
    quiet: float = QUIET


class Case:
    """Steps, which the methods add to; `draw` makes the choices."""

    def __init__(self, area: str, number: int, seed: int) -> None:
        self.namespace = f"{area}-{number:03}"
        self.area = area
        self.draw = random.Random(f"{seed} {self.namespace}")
        self.steps = [Step()]
        self.alone = False
        """Whether no other case may run meanwhile."""
        self.places = False
        """Whether the nodes of its pods are determined."""
        self.zones = False
        """Whether it is determined how many of its pods are in each zone."""
        self.leave: list[str] = []
        """Paths of objects without a namespace, which go with the case."""

    def path(self, kind: str, name: str = "", subresource: str = "") -> str:
        """The path of an object, or of its collection."""
        base, plural = KINDS.get(kind) or CLUSTER[kind]
        inside = "" if kind in CLUSTER else f"/namespaces/{self.namespace}"
        return "/".join(filter(None, (f"{base}{inside}/{plural}", name, subresource)))

    def create(self, kind: str, name: str, spec: Object | None = None, **members: Any) -> None:
        """Create an object; `members` are those of its metadata, and `top` others beside it."""
        top = members.pop("top", {})
        body: Object = {"metadata": {"name": name, **members}, **top}
        if spec is not None:
            body["spec"] = spec
        if kind in CLUSTER:
            self.leave.append(self.path(kind, name))
        self._add(Call("POST", self.path(kind), body))

    def patch(
        self, kind: str, name: str, body: Object, media: str = STRATEGIC, subresource: str = ""
    ) -> None:
        """Change an object."""
        self._add(Call("PATCH", self.path(kind, name, subresource), body, media))

    def delete(self, kind: str, name: str, policy: str = "Background") -> None:
        """Delete an object."""
        self._add(Call("DELETE", self.path(kind, name), {"propagationPolicy": policy}))

    def evict(self, name: str) -> None:
        """Ask for the eviction of a pod, which a budget may refuse."""
        self._add(Call("POST", self.path("Pod", name, "eviction"), {"metadata": {"name": name}}))

    def _add(self, call: Call) -> None:
        self.steps[-1].calls.append(call)

    def rest(self, quiet: float = QUIET) -> None:
        """Wait until nothing has moved for so long; what follows is another step."""
        self.steps[-1].quiet = quiet
        self.steps.append(Step())


def template(labels: dict[str, str], notes: dict[str, str] | None = None, **spec: Any) -> Object:
    """The template of a pod; `notes` say what its containers do."""
    metadata: Object = {"labels": labels}
    if notes:
        metadata["annotations"] = {SIMULATE + name: text for name, text in notes.items()}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "nginx:1"}], **spec}}


def container(**members: Any) -> Object:
    """The container of a pod, with other members than usual."""
    return {"name": "c", "image": "nginx:1", **members}
