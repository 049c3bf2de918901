"""Preemption: which pods of less priority would have to go for a pod to fit
(kube-scheduler plugin DefaultPreemption)."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pilothouse.api.values import selectors
from pilothouse.api.values.fields import Object
from pilothouse.simulate.scheduler.cluster import ClusterView, NodeState
from pilothouse.simulate.scheduler.filters import Fit, VolumeFilter
from pilothouse.simulate.scheduler.pods import Pending, PodFacts
from pilothouse.simulate.scheduler.rejection import NO_VICTIMS, NOT_HELPFUL, Rejection, message

PLUGIN = "DefaultPreemption"
NEVER = "preemption: not eligible due to preemptionPolicy=Never."
TERMINATING = "preemption: not eligible due to a terminating pod on the nominated node."


class Preemption(NamedTuple):
    """The node on which a pod will have room, and the pods that go for it."""

    node: str
    victims: tuple[PodFacts, ...]
    violations: int


class PreemptionResult(NamedTuple):
    """The outcome of the search: a preemption, or the end of the message."""

    preemption: Preemption | None
    text: str = ""
    keeps_nomination: bool = False


def search(
    pod: Pending,
    view: ClusterView,
    refused: Mapping[str, Rejection],
    budgets: Sequence[Object],
    volumes: VolumeFilter,
) -> PreemptionResult:
    """Look for pods that can make room; `refused` says for each node why it has refused the pod."""
    if pod.spec.get("preemptionPolicy") == "Never":
        return PreemptionResult(None, NEVER, keeps_nomination=True)
    if _waits(pod, view):
        return PreemptionResult(None, TERMINATING, keeps_nomination=True)
    reasons: list[Rejection] = []
    candidates: list[Preemption] = []
    for name, node in view.nodes.items():
        why = refused.get(name)
        if why is None or why.helpless:
            reasons.append(Rejection(PLUGIN, (NOT_HELPFUL,)))
            continue
        found = _victims(pod, view, node, budgets, volumes)
        if isinstance(found, Rejection):
            reasons.append(found)
        else:
            candidates.append(found)
    if not candidates:
        return PreemptionResult(None, f"preemption: {message(len(view.nodes), reasons)}")
    return PreemptionResult(min(candidates, key=_cost))


def _waits(pod: Pending, view: ClusterView) -> bool:
    """Whether pods that were preempted for this one are still ending."""
    node = view.nodes.get(pod.nominated)
    if node is None:
        return False
    return any(other.terminating and other.priority < pod.priority for other in node.pods.values())


def _importance(pod: PodFacts) -> tuple[int, str]:
    """Sorts the most important first: by priority, then those that run for longer."""
    return -pod.priority, pod.started


def _victims(
    pod: Pending, view: ClusterView, node: NodeState, budgets: Sequence[Object], volumes: VolumeFilter
) -> Preemption | Rejection:
    """The fewest pods of less priority without which the pod fits on a node."""
    weaker = sorted((one for one in node.pods.values() if one.priority < pod.priority), key=_importance)
    if not weaker:
        return Rejection(PLUGIN, (NO_VICTIMS,))
    trial = node.copy()
    for one in weaker:
        trial.remove(one.key)
    fits = _fits_on(pod, view, trial, volumes)
    if (why := fits()) is not None:
        return why
    violating, others = _by_budget(weaker, budgets)
    victims: list[PodFacts] = []
    violations = 0
    for one in (*violating, *others):
        trial.add(one)
        if fits() is not None:
            trial.remove(one.key)
            victims.append(one)
            violations += one in violating
    return Preemption(node.name, tuple(sorted(victims, key=_importance)), violations)


def _fits_on(
    pod: Pending, view: ClusterView, trial: NodeState, volumes: VolumeFilter
) -> Callable[[], Rejection | None]:
    """Why a pod does not fit on a node as it is tried; counted anew each time if other pods matter."""
    tried = view.with_node(trial)
    social = bool(pod.spread or pod.affinity or pod.anti_affinity)
    social = social or any(node.social for node in view.nodes.values())
    fit = Fit.of(pod, tried, volumes)

    def check() -> Rejection | None:
        return (Fit.of(pod, tried, volumes) if social else fit).rejects(trial)

    return check


def _by_budget(pods: Sequence[PodFacts], budgets: Sequence[Object]) -> tuple[list[PodFacts], list[PodFacts]]:
    """The pods whose disruption budgets do not allow that they go, and the others."""
    allowed = [(one.get("status") or {}).get("disruptionsAllowed", 0) for one in budgets]
    violating: list[PodFacts] = []
    others: list[PodFacts] = []
    for pod in pods:
        violates = False
        for i, budget in enumerate(budgets):
            if not pod.labels or not _concerns(budget, pod):
                continue
            if pod.name in ((budget.get("status") or {}).get("disruptedPods") or {}):
                continue
            allowed[i] -= 1
            violates = violates or allowed[i] < 0
        (violating if violates else others).append(pod)
    return violating, others


def _concerns(budget: Object, pod: PodFacts) -> bool:
    selector = (budget.get("spec") or {}).get("selector")
    return (
        budget["metadata"].get("namespace") == pod.namespace
        and bool(selector)
        and selectors.from_label_selector(selector).matches_labels(pod.labels)
    )


_LATE = "9999"


def _cost(found: Preemption) -> tuple[object, ...]:
    """Sorts the best preemption first: violations, the highest priority, the sum of priorities, the number of
    victims, and last the node whose most important victims began latest."""
    victims = found.victims
    highest = max((one.priority for one in victims), default=0)
    started = min((one.started for one in victims if one.priority == highest), default=_LATE)
    total = sum(one.priority + (1 << 31) for one in victims)
    return found.violations, highest, total, len(victims), _Latest(started)


class _Latest(str):
    """A time that sorts before earlier ones."""

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)
