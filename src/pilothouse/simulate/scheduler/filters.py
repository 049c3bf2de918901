"""Which nodes a pod fits, by the filters of the default profile in their order: the first refusal counts."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pilothouse.simulate.scheduler.cluster import ClusterView, NodeState
from pilothouse.simulate.scheduler.inter_pod import Neighbours
from pilothouse.simulate.scheduler.node_terms import matches_selector
from pilothouse.simulate.scheduler.pods import REQUIRED, Pending, Port
from pilothouse.simulate.scheduler.rejection import Rejection
from pilothouse.simulate.scheduler.spreading import Spread
from pilothouse.simulate.scheduler.taints import untolerated

UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
ANY_ADDRESS = ("0.0.0.0", "::")


def _unschedulable(pod: Pending, node: NodeState) -> Rejection | None:
    if node.unschedulable and untolerated((UNSCHEDULABLE,), pod.tolerations):
        return Rejection("NodeUnschedulable", ("node(s) were unschedulable",), helpless=True)
    return None


def _tainted(pod: Pending, node: NodeState) -> Rejection | None:
    if node.taints and untolerated(node.taints, pod.tolerations):
        return Rejection("TaintToleration", ("node(s) had untolerated taint(s)",), helpless=True)
    return None


def matches_node(pod: Pending, node: NodeState) -> bool:
    """Whether the pod's node selector and its required node affinity let it on a node."""
    if not pod.choosy:
        return True
    wanted: Mapping[str, str] = pod.spec.get("nodeSelector") or {}
    if any(node.labels.get(key) != value for key, value in wanted.items()):
        return False
    return matches_selector(pod.node_affinity.get(REQUIRED), node.name, node.labels)


def _affine(pod: Pending, node: NodeState) -> Rejection | None:
    if matches_node(pod, node):
        return None
    return Rejection("NodeAffinity", ("node(s) didn't match Pod's node affinity/selector",), helpless=True)


def _ports(pod: Pending, node: NodeState) -> Rejection | None:
    if pod.ports and any(_collide(one, other) for other in node.ports() for one in pod.ports):
        return Rejection("NodePorts", ("node(s) didn't have free ports for the requested pod ports",))
    return None


def _collide(one: Port, other: Port) -> bool:
    """Whether two ports of a host cannot be had together: any address stands for each."""
    if one[1:] != other[1:]:
        return False
    return one[0] == other[0] or one[0] in ANY_ADDRESS or other[0] in ANY_ADDRESS


def _fits(pod: Pending, node: NodeState) -> Rejection | None:
    """Whether the node has what the pod requests (noderesources.fitsRequest)."""
    reasons: list[str] = []
    helpless = False
    if len(node.pods) + 1 > node.allocatable.get("pods", 0):
        reasons.append("Too many pods")
    wanted = pod.requests
    for name, amount in wanted.items():
        has = node.allocatable.get(name, 0)
        if amount > has - node.requested.get(name, 0):
            reasons.append(f"Insufficient {name}")
            helpless = helpless or amount > has
    return Rejection("NodeResourcesFit", tuple(reasons), helpless=helpless) if reasons else None


SIMPLE: Sequence[Callable[[Pending, NodeState], Rejection | None]] = (
    _unschedulable,
    _tainted,
    _affine,
    _ports,
    _fits,
)
"""The filters that look at one node alone, in the order of the profile."""


class VolumeFilter:
    """The claims of a pod as a filter of nodes; see volumes.py."""

    def rejects(self, node: NodeState) -> Rejection | None:
        """Why the pod's volumes keep it from a node."""
        return None


NO_VOLUMES = VolumeFilter()


class Fit(NamedTuple):
    """The counts that are made of a pod and a view before its nodes are looked at."""

    pod: Pending
    volumes: VolumeFilter
    spread: Spread
    neighbours: Neighbours

    @classmethod
    def of(cls, pod: Pending, view: ClusterView, volumes: VolumeFilter = NO_VOLUMES) -> "Fit":
        """Count what the filters need that look at all nodes."""
        return cls(pod, volumes, Spread.required(pod, view, matches_node), Neighbours(pod, view))

    def rejects(self, node: NodeState) -> Rejection | None:
        """Why the pod does not go on a node; None if it does."""
        for check in SIMPLE:
            if found := check(self.pod, node):
                return found
        return self.volumes.rejects(node) or self.spread.rejects(node) or self.neighbours.rejects(node)
