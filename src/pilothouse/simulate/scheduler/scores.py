"""How good nodes are for a pod that fits several: the scores of the default profile, with its weights."""

from collections.abc import Callable, Sequence

from pilothouse.api.values._selectors import Selector
from pilothouse.simulate.scheduler import inter_pod, spreading
from pilothouse.simulate.scheduler.cluster import ClusterView, NodeState
from pilothouse.simulate.scheduler.filters import matches_node
from pilothouse.simulate.scheduler.node_terms import matches_term
from pilothouse.simulate.scheduler.pods import CPU, MEMORY, PREFERRED, Pending
from pilothouse.simulate.scheduler.taints import untolerated

Scorer = Callable[[Pending, Sequence[NodeState]], list[int]]


def _tolerated(pod: Pending, nodes: Sequence[NodeState]) -> list[int]:
    """The fewer taints of PreferNoSchedule a node has that the pod does not tolerate, the better."""
    tolerations = [one for one in pod.tolerations if one.get("effect", "") in ("", "PreferNoSchedule")]
    raw = [untolerated(node.taints, tolerations, ("PreferNoSchedule",)) for node in nodes]
    most = max(raw)
    return [100 - 100 * score // most if most else 100 for score in raw]


def _preferred(pod: Pending, nodes: Sequence[NodeState]) -> list[int]:
    """The more of the preferred node affinity a node has, the better."""
    terms = pod.node_affinity.get(PREFERRED) or ()
    raw = [
        sum(
            term.get("weight", 0)
            for term in terms
            if matches_term(term.get("preference") or {}, node.name, node.labels)
        )
        for node in nodes
    ]
    most = max(raw)
    return [100 * score // most if most else 0 for score in raw]


def _least_allocated(pod: Pending, nodes: Sequence[NodeState]) -> list[int]:
    """The more of its processor and its memory a node has left, the better."""
    return [_left(pod, node) for node in nodes]


def _left(pod: Pending, node: NodeState) -> int:
    scores = []
    for name in (CPU, MEMORY):
        has = node.allocatable.get(name, 0)
        if has:
            taken = node.counted.get(name, 0) + pod.counted(name)
            scores.append(100 * (has - taken) // has if taken <= has else 0)
    return sum(scores) // len(scores) if scores else 0


def _balanced(pod: Pending, nodes: Sequence[NodeState]) -> list[int]:
    """The more alike the shares of processor and memory that are taken, the better."""
    if not any(pod.requests.get(name) for name in (CPU, MEMORY)):
        return [0] * len(nodes)
    return [_alike(pod, node) for node in nodes]


def _alike(pod: Pending, node: NodeState) -> int:
    shares = []
    for name in (CPU, MEMORY):
        has = node.allocatable.get(name, 0)
        if has:
            taken = node.requested.get(name, 0) + pod.requests.get(name, 0)
            shares.append(min(taken / has, 1.0))
    deviation = abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else 0.0
    return int((1 - deviation) * 100)


WEIGHTED: Sequence[tuple[int, Scorer]] = (
    (3, _tolerated),
    (2, _preferred),
    (1, _least_allocated),
    (1, _balanced),
)
"""The scores that look at each node alone."""
SPREAD, NEIGHBOURS = 2, 2
"""The weights of those that look at all nodes."""


def best(pod: Pending, view: ClusterView, nodes: Sequence[NodeState], owner: Selector | None) -> NodeState:
    """The best of some nodes, of which there must be one; of equal ones the one with the fewest pods, then
    the first. `owner` selects the pods that belong together with this one."""
    if len(nodes) == 1:
        return nodes[0]
    totals = [0] * len(nodes)
    for weight, scorer in WEIGHTED:
        _add(totals, weight, scorer(pod, nodes))
    wanted = spreading.constraints(pod, "ScheduleAnyway")
    if not pod.spread and owner is not None:
        wanted = spreading.defaults(owner)
    if wanted:
        _add(totals, SPREAD, spreading.scores(pod, view, nodes, wanted, matches_node))
    if near := inter_pod.scores(pod, view, nodes):
        _add(totals, NEIGHBOURS, near)
    at = max(range(len(nodes)), key=lambda i: (totals[i], -len(nodes[i].pods), -i))
    return nodes[at]


def _add(totals: list[int], weight: int, scores: Sequence[int]) -> None:
    for i, score in enumerate(scores):
        totals[i] += weight * score
