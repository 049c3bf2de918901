"""Which pods of a daemon set are replaced next, and where pods are added before that (daemon/update.go)."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.numbers import scaled
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.revisions import LABEL


class Replacement(NamedTuple):
    """Pods to delete, and nodes on which to make one."""

    delete: list[IndexedPod]
    create: list[str]


def bounds(obj: Object, desired: int) -> tuple[int, int]:
    """How many nodes may have two pods, and how many may have none."""
    strategy = obj["spec"].get("updateStrategy") or {}
    if strategy.get("type") != "RollingUpdate":
        return 0, 0
    rolling = strategy.get("rollingUpdate") or {}
    surge = scaled(rolling.get("maxSurge"), desired, up=True)
    missing = scaled(rolling.get("maxUnavailable"), desired, up=True)
    return surge, 1 if desired and surge == missing == 0 else missing


def replacement(
    nodes: Mapping[str, Sequence[IndexedPod]],
    code: str,
    limits: tuple[int, int],
    is_available: Callable[[IndexedPod], bool],
) -> Replacement:
    """The next step of an update; `nodes` are those that should have a pod, with the pods that they have."""
    surge, missing = limits
    split = {
        node: (
            [p for p in pods if p.labels.get(LABEL) == code],
            [p for p in pods if p.labels.get(LABEL) != code],
        )
        for node, pods in nodes.items()
    }
    if surge:
        return _surging(split, surge, is_available)
    unavailable = 0
    broken: list[IndexedPod] = []
    candidates: list[IndexedPod] = []
    for new, old in split.values():
        if len(new) > 1 or len(old) > 1 or bool(new) == bool(old):
            unavailable += 1
        elif new:
            unavailable += not is_available(new[0])
        elif not is_available(old[0]):
            broken.append(old[0])
        else:
            candidates.append(old[0])
    chosen = [*broken, *candidates[: max(missing - unavailable - len(broken), 0)]]
    return Replacement([pod for pod in chosen if not pod.deleting], [])


def _surging(
    split: Mapping[str, tuple[list[IndexedPod], list[IndexedPod]]],
    surge: int,
    is_available: Callable[[IndexedPod], bool],
) -> Replacement:
    used = 0
    delete: list[IndexedPod] = []
    broken: list[str] = []
    candidates: list[str] = []
    for node, (new, old) in split.items():
        if new and old:
            if is_available(new[0]):
                delete += [pod for pod in old if not pod.deleting]
            else:
                used += 1
        elif old:
            (candidates if is_available(old[0]) else broken).append(node)
    return Replacement(delete, [*broken, *candidates[: max(surge - used, 0)]])
