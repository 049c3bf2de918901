"""Keeps as many pods as a replication controller asks for: as replica sets, by another selector."""

from pilothouse.api.values._selectors import Selector
from pilothouse.api.values.fields import Object
from pilothouse.api.values.selectors import NOTHING, from_labels
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts
from pilothouse.simulate.workloads.replicaset import ReplicaSets


class ReplicationControllers(ReplicaSets):
    """Makes and deletes the pods of replication controllers."""

    kind = "ReplicationController"

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "v1", "replicationcontrollers", "replication-controller")

    def selector(self, obj: Object) -> Selector:
        labels = obj["spec"].get("selector")
        return from_labels(labels) if labels else NOTHING

    def terminating(self, pods: list[IndexedPod]) -> Object:
        return {}
