"""Pod affinity and anti-affinity (kube-scheduler plugin InterPodAffinity)."""

from collections import Counter
from collections.abc import Iterable, Sequence

from pilothouse.simulate.scheduler.cluster import ClusterView, NamespaceLabels, NodeState
from pilothouse.simulate.scheduler.pods import Pending, PodFacts, Term
from pilothouse.simulate.scheduler.rejection import Rejection

PLUGIN = "InterPodAffinity"
HARD_WEIGHT = 1
"""How much it counts that a pod on a node requires the new one to be near."""

Pair = tuple[str, str]
"""The key and the value of a label of nodes."""


class Neighbours:
    """Where pods are that a pod must be near, or must not be near."""

    def __init__(self, pod: Pending, view: ClusterView) -> None:
        self._pod = pod
        self._near: Counter[Pair] = Counter()
        self._far: Counter[Pair] = Counter()
        self._shunning: Counter[Pair] = Counter()
        """Where pods are that will not have this one near."""
        self._first = False
        labels = view.namespaces
        for node in view.nodes.values():
            for other in node.social.values():
                self._shunning.update(
                    _pairs(node, [term for term in other.anti_affinity if term.matches(pod, labels)])
                )
            if not pod.affinity and not pod.anti_affinity:
                continue
            for other in node.pods.values():
                if pod.affinity and all(term.matches(other, labels) for term in pod.affinity):
                    self._near.update(_pairs(node, pod.affinity))
                self._far.update(
                    _pairs(node, [term for term in pod.anti_affinity if term.matches(other, labels)])
                )
        if pod.affinity and not self._near:  # the first pod of a group may be near to itself
            self._first = all(term.matches(pod, labels) for term in pod.affinity)

    def rejects(self, node: NodeState) -> Rejection | None:
        """Why a node is not near, or too near."""
        if not self._is_near(node):
            return Rejection(PLUGIN, ("node(s) didn't match pod affinity rules",), helpless=True)
        if any(self._far[pair] for pair in _pairs(node, self._pod.anti_affinity)):
            return Rejection(PLUGIN, ("node(s) didn't match pod anti-affinity rules",))
        if self._shunning and any(self._shunning[pair] for pair in node.labels.items()):
            return Rejection(PLUGIN, ("node(s) didn't satisfy existing pods anti-affinity rules",))
        return None

    def _is_near(self, node: NodeState) -> bool:
        near = True
        for term in self._pod.affinity:
            value = node.labels.get(term.topology)
            if value is None:
                return False
            near = near and self._near[term.topology, value] > 0
        return near or self._first


def _pairs(node: NodeState, terms: Iterable[Term]) -> Iterable[Pair]:
    for term in terms:
        value = node.labels.get(term.topology)
        if value is not None:
            yield term.topology, value


def scores(pod: Pending, view: ClusterView, nodes: Sequence[NodeState]) -> list[int] | None:
    """How much pods like to be near each other, from 0 to 100; None if nobody says anything."""
    weights: Counter[Pair] = Counter()
    own = pod.preferred or pod.shunned
    for node in view.nodes.values():
        for other in (node.pods if own else node.social).values():
            _weigh(weights, node, pod, other, view.namespaces)
    if not weights:
        return None
    raw = [sum(weights[pair] for pair in node.labels.items()) for node in nodes]
    least, most = min(raw), max(raw)
    if most == least:
        return [0] * len(raw)
    return [int(100 * (score - least) / (most - least)) for score in raw]


def _weigh(
    weights: Counter[Pair], node: NodeState, pod: Pending, other: PodFacts, labels: NamespaceLabels
) -> None:
    """Add what a pod and one on a node say of each other."""
    for term in pod.preferred:
        _add(weights, node, term, other, labels, term.weight)
    for term in pod.shunned:
        _add(weights, node, term, other, labels, -term.weight)
    for term in other.affinity:
        _add(weights, node, term, pod, labels, HARD_WEIGHT)
    for term in other.preferred:
        _add(weights, node, term, pod, labels, term.weight)
    for term in other.shunned:
        _add(weights, node, term, pod, labels, -term.weight)


def _add(
    weights: Counter[Pair], node: NodeState, term: Term, about: PodFacts, labels: NamespaceLabels, weight: int
) -> None:
    value = node.labels.get(term.topology)
    if value is not None and term.matches(about, labels):
        weights[term.topology, value] += weight
