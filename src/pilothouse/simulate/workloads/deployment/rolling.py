"""The sizes of replica sets on the way from one template to the next. Nothing here reads or writes."""

from collections.abc import Sequence

from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.deployment.revisions import DESIRED, MAXIMUM, by_age, counts, size
from pilothouse.simulate.workloads.numbers import rolling_bounds

Sizes = list[tuple[Object, int]]
"""Replica sets and the sizes that they are to have."""


def bounds(deployment: Object) -> tuple[int, int]:
    """How many pods a deployment may have above its number, and how many may be missing."""
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") != "RollingUpdate":
        return 0, 0
    surge, missing = rolling_bounds(strategy.get("rollingUpdate") or {}, size(deployment))
    return surge, min(missing, size(deployment))


def total(sets: Sequence[Object]) -> int:
    """The pods that sets ask for together."""
    return sum(map(size, sets))


def new_size(deployment: Object, new: Object | None, sets: Sequence[Object]) -> int:
    """The next size of the new set (NewRSNewReplicas and reconcileNewReplicaSet)."""
    wanted, have = size(deployment), 0 if new is None else size(new)
    if (deployment["spec"].get("strategy") or {}).get("type") != "RollingUpdate" or have >= wanted:
        return wanted
    room = wanted + bounds(deployment)[0] - total(sets)
    return have + min(max(room, 0), wanted - have)


def old_sizes(deployment: Object, new: Object, old: Sequence[Object]) -> Sizes:
    """The next sizes of the old sets: first without what is not healthy,
    then as few as availability allows."""
    at_least = size(deployment) - bounds(deployment)[1]
    unavailable = size(new) - counts(new, "availableReplicas")
    spare = total(old) + size(new) - at_least - unavailable
    if total(old) == 0 or spare <= 0:
        return []
    left = {one["metadata"]["uid"]: size(one) for one in old}
    for one in by_age(old):
        uid = one["metadata"]["uid"]
        down = min(spare, max(left[uid] - counts(one, "availableReplicas"), 0))
        left[uid] -= down
        spare -= down
    spare = sum(counts(one, "availableReplicas") for one in (*old, new)) - at_least
    for one in by_age(old):
        down = min(max(spare, 0), left[one["metadata"]["uid"]])
        left[one["metadata"]["uid"]] -= down
        spare -= down
    return [(one, left[one["metadata"]["uid"]]) for one in old if left[one["metadata"]["uid"]] != size(one)]


def was_scaled(deployment: Object, sets: Sequence[Object]) -> bool:
    """Whether the deployment has another size than its sets remember."""
    texts = ((one["metadata"].get("annotations") or {}).get(DESIRED, "") for one in sets if size(one))
    return any(text.isdecimal() and int(text) != size(deployment) for text in texts)


def proportional(deployment: Object, new: Object | None, old: Sequence[Object]) -> Sizes:
    """The sizes after the deployment was scaled: each set that has pods takes its share."""
    every = [*old, *([new] if new is not None else [])]
    active = [one for one in every if size(one)]
    if len(active) <= 1:
        newest = active or [new or by_age(old)[-1]] if every else []
        return [(one, size(deployment)) for one in newest]
    if new is not None and _saturated(deployment, new):
        return [(one, 0) for one in old if size(one)]
    if (deployment["spec"].get("strategy") or {}).get("type") != "RollingUpdate":
        return [(one, size(one)) for one in active]
    allowed = size(deployment) + bounds(deployment)[0] if size(deployment) else 0
    missing = allowed - total(active)
    ordered = by_age(active)
    if missing > 0:  # among sets of one size the newer one comes first
        ordered.reverse()
    ordered.sort(key=size, reverse=True)
    added, planned = 0, list[tuple[Object, int]]()
    for one in ordered:
        share = _share(deployment, one, missing - added, missing) if missing != added else 0
        added += share
        planned.append((one, size(one) + share))
    largest, number = planned[0]
    return [(largest, max(number + missing - added, 0)), *planned[1:]]


def _saturated(deployment: Object, new: Object) -> bool:
    """Whether the new set has all pods of the deployment, available."""
    text = (new["metadata"].get("annotations") or {}).get(DESIRED, "")
    wanted = size(deployment)
    return size(new) == counts(new, "availableReplicas") == wanted and text == str(wanted)


def _share(deployment: Object, one: Object, left: int, missing: int) -> int:
    """The pods by which a set grows or shrinks, at most those that are left."""
    before = (one["metadata"].get("annotations") or {}).get(MAXIMUM, "")
    largest = int(before) if before.isdecimal() else counts(deployment, "replicas")
    if not size(deployment):
        share = -size(one)
    else:
        whole = size(one) * (size(deployment) + bounds(deployment)[0])
        share = int(whole / (largest or 1) + 0.5) - size(one)
    return min(share, left) if missing > 0 else max(share, left)
