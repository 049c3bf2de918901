"""Why a pod does not go on a node, and the message about all nodes (kube-scheduler FitError)."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

NO_NODES = "no nodes available to schedule pods"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_CLAIMS = "no new claims to deallocate"
"""The plugin for claims of devices, which comes before preemption, has nothing to do."""
UNPREPARED = "not found"
"""It finds no state when a pod was refused before any node was looked at, and then nobody is preempted."""
NO_VICTIMS = "No preemption victims found for incoming pod"


class Rejection(NamedTuple):
    """Why a pod does not go on a node. helpless: removing other pods from it would not help."""

    plugin: str
    reasons: tuple[str, ...]
    helpless: bool = False


def message(count: int, rejections: Iterable[Rejection], instead: str = "") -> str:
    """Tell of all nodes, of which there are `count`, how many have refused the pod for which reason.

    `instead` is told where the pod was refused before any node was looked at.
    """
    text = f"0/{count} nodes are available:"
    if instead:
        return f"{text} {instead}."
    counted = Counter(reason for one in rejections for reason in one.reasons)
    reasons = sorted(f"{number} {reason}" for reason, number in counted.items())
    return f"{text} {', '.join(reasons)}." if reasons else text
