"""Topology spread: how evenly pods are spread over the values of a label of nodes
(kube-scheduler plugin PodTopologySpread)."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field

from pilothouse.api.values import selectors
from pilothouse.api.values._selectors import Selector
from pilothouse.api.values.fields import Object
from pilothouse.process.frozen import frozen
from pilothouse.process.record import record
from pilothouse.simulate.machines import HOSTNAME, ZONE
from pilothouse.simulate.scheduler.cluster import ClusterView, NodeState
from pilothouse.simulate.scheduler.pods import Pending
from pilothouse.simulate.scheduler.rejection import Rejection
from pilothouse.simulate.scheduler.taints import untolerated

NOT_SPREAD = "node(s) didn't match pod topology spread constraints"

Matches = Callable[[Pending, NodeState], bool]
"""Whether the selector and affinity of a pod let it on a node."""


@frozen
class Constraint:
    """A constraint on how pods are spread."""

    topology: str
    skew: int
    selector: Selector
    least: int = 1
    """The number of values below which no value counts as empty (minDomains)."""
    honours_affinity: bool = True
    honours_taints: bool = False

    def counts(self, pod: Pending, node: NodeState, matches: Matches) -> bool:
        """Whether the pods of a node are counted."""
        if self.honours_affinity and not matches(pod, node):
            return False
        return not (self.honours_taints and untolerated(node.taints, pod.tolerations))

    def number(self, pod: Pending, node: NodeState) -> int:
        """How many pods of a node the constraint is about."""
        return sum(
            number
            for (namespace, labels), number in node.groups.items()
            if namespace == pod.namespace and self.selector.matches_labels(dict(labels))
        )


def _constraint(given: Object) -> Constraint:
    return Constraint(
        topology=given.get("topologyKey", ""),
        skew=given.get("maxSkew", 1),
        selector=selectors.from_label_selector(given.get("labelSelector")),
        least=given.get("minDomains") or 1,
        honours_affinity=given.get("nodeAffinityPolicy", "Honor") == "Honor",
        honours_taints=given.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )


def constraints(pod: Pending, when: str) -> list[Constraint]:
    """The constraints of a pod whose whenUnsatisfiable is this."""
    return [_constraint(one) for one in pod.spread if one.get("whenUnsatisfiable", "DoNotSchedule") == when]


def defaults(selector: Selector) -> list[Constraint]:
    """The constraints of a pod that has none and belongs to others (the profile's system defaults)."""
    return [Constraint(HOSTNAME, 3, selector), Constraint(ZONE, 5, selector)]


@record
class Spread:
    """The constraints that a node must meet, and the pods that were counted for them."""

    pod: Pending
    constraints: Sequence[Constraint] = ()
    numbers: Sequence[Mapping[str, int]] = ()
    smallest: list[int] = field(default_factory=list)

    @classmethod
    def required(cls, pod: Pending, view: ClusterView, matches: Matches) -> "Spread":
        """Count for the constraints of a pod that must be met."""
        wanted = constraints(pod, "DoNotSchedule") if pod.spread else []
        if not wanted:
            return cls(pod)
        numbers: list[dict[str, int]] = [{} for _ in wanted]
        for node in view.nodes.values():
            if not all(one.topology in node.labels for one in wanted):
                continue
            for one, found in zip(wanted, numbers, strict=True):
                if one.counts(pod, node, matches):
                    value = node.labels[one.topology]
                    found[value] = found.get(value, 0) + one.number(pod, node)
        smallest = [
            0 if len(found) < one.least else min(found.values(), default=0)
            for one, found in zip(wanted, numbers, strict=True)
        ]
        return cls(pod, wanted, numbers, smallest)

    def rejects(self, node: NodeState) -> Rejection | None:
        """Why a node does not meet the constraints."""
        for one, numbers, smallest in zip(self.constraints, self.numbers, self.smallest, strict=True):
            value = node.labels.get(one.topology)
            if value is None:
                reason = f"{NOT_SPREAD} (missing required label)"
                return Rejection("PodTopologySpread", (reason,), helpless=True)
            own = one.selector.matches_labels(self.pod.labels)
            if numbers.get(value, 0) + own - smallest > one.skew:
                return Rejection("PodTopologySpread", (NOT_SPREAD,))
        return None


def scores(
    pod: Pending,
    view: ClusterView,
    nodes: Sequence[NodeState],
    wanted: Sequence[Constraint],
    matches: Matches,
) -> list[int]:
    """How well each node spreads the pod, from 0 to 100, by constraints that need not be met."""
    own = bool(pod.spread)
    ranked = [node for node in nodes if not own or all(one.topology in node.labels for one in wanted)]
    numbers = _numbers(pod, view, ranked, wanted, matches, every_label=own)
    weights = [math.log(_domains(one, numbers[i], ranked) + 2) for i, one in enumerate(wanted)]
    raw: dict[str, int] = {}
    for node in ranked:
        score = 0.0
        for one, found, weight in zip(wanted, numbers, weights, strict=True):
            if one.topology in node.labels:
                at_node = one.topology == HOSTNAME
                number = one.number(pod, node) if at_node else found[node.labels[one.topology]]
                score += number * weight + (one.skew - 1)
        raw[node.name] = math.floor(score + 0.5)
    least, most = min(raw.values(), default=0), max(raw.values(), default=0)
    return [
        0 if node.name not in raw else 100 if not most else 100 * (most + least - raw[node.name]) // most
        for node in nodes
    ]


def _numbers(
    pod: Pending,
    view: ClusterView,
    ranked: Iterable[NodeState],
    wanted: Sequence[Constraint],
    matches: Matches,
    *,
    every_label: bool,
) -> list[dict[str, int]]:
    """Count the pods for the values that nodes to choose from have; hostnames are counted with the node."""
    numbers: list[dict[str, int]] = [
        {} if one.topology == HOSTNAME else {node.labels.get(one.topology, ""): 0 for node in ranked}
        for one in wanted
    ]
    if not any(numbers):
        return numbers
    for node in view.nodes.values():
        if every_label and not all(one.topology in node.labels for one in wanted):
            continue
        for one, found in zip(wanted, numbers, strict=True):
            value = node.labels.get(one.topology, "")
            if value in found and one.counts(pod, node, matches):
                found[value] += one.number(pod, node)
    return numbers


def _domains(one: Constraint, numbers: Mapping[str, int], ranked: Sequence[NodeState]) -> int:
    return len(ranked) if one.topology == HOSTNAME else len(numbers)
