"""One scheduling cycle: which node a pod gets, or why none (kube-scheduler schedulePod, then preemption)."""

from collections.abc import Sequence
from typing import NamedTuple

from pilothouse.api.values.fields import Object
from pilothouse.registry.readers import Readers
from pilothouse.simulate.scheduler import preemption
from pilothouse.simulate.scheduler.belonging import selector_of
from pilothouse.simulate.scheduler.cluster import ClusterView, NodeState
from pilothouse.simulate.scheduler.filters import Fit
from pilothouse.simulate.scheduler.pods import Pending
from pilothouse.simulate.scheduler.preemption import Preemption
from pilothouse.simulate.scheduler.rejection import NO_CLAIMS, NO_NODES, UNPREPARED, Rejection, message
from pilothouse.simulate.scheduler.scores import best
from pilothouse.simulate.scheduler.volumes import PLUGIN, ClaimVolumes, VolumeChoice

BUDGETS = "poddisruptionbudgets.policy"


class SchedulingDecision(NamedTuple):
    """The outcome for a pod: its node; or a message, and a preemption that will make room."""

    node: str = ""
    choices: Sequence[VolumeChoice] = ()
    """The volumes that its claims get."""
    message: str = ""
    plugins: frozenset[str] = frozenset()
    """The plugins that have refused the pod."""
    preemption: Preemption | None = None
    keeps_nomination: bool = False
    """Whether room that was made for the pod is still meant for it."""


def decide(
    pod: Pending, view: ClusterView, readers: Readers, nominated: Sequence[Pending]
) -> SchedulingDecision:
    """Find a node for a pod. `nominated` are those for which others were preempted: they count as if they
    were on their nodes for pods that are not more important."""
    if not view.nodes:
        return SchedulingDecision(message=NO_NODES)
    volumes = ClaimVolumes(readers, pod)
    count = len(view.nodes)
    if volumes.problem:
        return SchedulingDecision(
            message=f"{message(count, (), volumes.problem)} {UNPREPARED}", plugins=frozenset((PLUGIN,))
        )
    fit = Fit.of(pod, view, volumes)
    refused: dict[str, Rejection] = {}
    fitting: list[NodeState] = []
    expected = _expected(pod, nominated)
    for name, node in view.nodes.items():
        why = fit.rejects(node)
        if why is None and name in expected:
            why = _with(pod, view, node, expected[name], volumes)
        if why is None:
            fitting.append(node)
        else:
            refused[name] = why
    if fitting:
        chosen = next((node for node in fitting if node.name == pod.nominated), None)
        if chosen is None:
            owner = selector_of(readers, pod) if not pod.spread and len(fitting) > 1 else None
            chosen = best(pod, view, fitting, owner)
        return SchedulingDecision(node=chosen.name, choices=volumes.choices(chosen) or ())
    budgets: Sequence[Object] = list(readers.list(BUDGETS))
    found = preemption.search(pod, view, refused, budgets, volumes)
    text = message(count, refused.values())
    return SchedulingDecision(
        message=f"{text} {NO_CLAIMS}, {found.text}" if found.text else text,
        plugins=frozenset(one.plugin for one in refused.values()),
        preemption=found.preemption,
        keeps_nomination=found.keeps_nomination,
    )


def _expected(pod: Pending, nominated: Sequence[Pending]) -> dict[str, list[Pending]]:
    """Node -> the other pods that will come there and are not less important."""
    out: dict[str, list[Pending]] = {}
    for other in nominated:
        if other.key != pod.key and other.priority >= pod.priority:
            out.setdefault(other.nominated, []).append(other)
    return out


def _with(
    pod: Pending, view: ClusterView, node: NodeState, others: Sequence[Pending], volumes: ClaimVolumes
) -> Rejection | None:
    """Why a pod does not fit on a node once others have come there."""
    trial = node.copy()
    for other in others:
        trial.add(other)
    return Fit.of(pod, view.with_node(trial), volumes).rejects(trial)
