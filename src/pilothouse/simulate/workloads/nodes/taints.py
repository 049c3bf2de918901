"""The taints that follow from the conditions of a node, and which pods tolerate them."""

from collections.abc import Iterable, Sequence

from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.daemonset.fitting import tolerates
from pilothouse.simulate.workloads.pods import condition_of

PREFIX = "node.kubernetes.io/"
NOT_READY, UNREACHABLE = PREFIX + "not-ready", PREFIX + "unreachable"
CONDITIONS = (
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", PREFIX + "memory-pressure"),
    ("DiskPressure", "True", PREFIX + "disk-pressure"),
    ("PIDPressure", "True", PREFIX + "pid-pressure"),
    ("NetworkUnavailable", "True", PREFIX + "network-unavailable"),
)
"""Type and status of a condition, and the taint that keeps new pods away meanwhile."""
MANAGED = {key for _, _, key in CONDITIONS} | {PREFIX + "unschedulable"}


def wanted(node: Object, *, evicts: bool) -> list[tuple[str, str]]:
    """The taints that a node should have of those that are managed: keys and effects.

    `evicts`: pods are evicted from a node that is not ready.
    """
    out = []
    for kind, status, key in CONDITIONS:
        if condition_of(node, kind).get("status") == status:
            out.append((key, "NoSchedule"))
            if kind == "Ready" and evicts:
                out.append((key, "NoExecute"))
    if (node.get("spec") or {}).get("unschedulable"):
        out.append((PREFIX + "unschedulable", "NoSchedule"))
    return out


def settled(have: Iterable[Object], needed: Sequence[tuple[str, str]], now: str) -> list[Object]:
    """The taints of a node with those that are managed as they should be."""
    kept = [one for one in have if one["key"] not in MANAGED or (one["key"], one["effect"]) in needed]
    there = {(one["key"], one["effect"]) for one in kept}
    added: list[Object] = [{"key": k, "effect": e} for k, e in needed if (k, e) not in there]
    for one in added:
        if one["effect"] == "NoExecute":
            one["timeAdded"] = now
    return [*kept, *added]


def tolerated_for(tolerations: Sequence[Object], taints: Sequence[Object]) -> float | None:
    """Seconds for which a pod stays on a node with taints that evict: 0 not at all, None for ever."""
    shortest: float | None = None
    for taint in taints:
        matching = [one for one in tolerations if tolerates([one], taint)]
        if not matching:
            return 0.0
        asked = matching[0].get("tolerationSeconds")
        if asked is not None:
            least = max(float(asked), 0.0)
            shortest = least if shortest is None else min(shortest, least)
    return shortest
