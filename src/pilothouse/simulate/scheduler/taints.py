"""Which taints a pod tolerates (component-helpers scheduling/corev1, ToleratesTaint)."""

from collections.abc import Callable, Sequence

from pilothouse.api.values.fields import Object

BLOCKING = ("NoSchedule", "NoExecute")


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether a toleration is for a taint."""
    effect, key = toleration.get("effect", ""), toleration.get("key", "")
    if effect and effect != taint.get("effect", ""):
        return False
    if key and key != taint.get("key", ""):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    have, wanted = taint.get("value", ""), toleration.get("value", "")
    if operator == "Equal":
        return bool(have == wanted)
    return operator in _COMPARED and _compared(_COMPARED[operator], have, wanted)


_COMPARED: dict[str, Callable[[int, int], bool]] = {
    "Gt": lambda have, than: have > than,
    "Lt": lambda have, than: have < than,
}
"""The operators that compare numbers (KEP-5471)."""


def _compared(compare: Callable[[int, int], bool], have: str, wanted: str) -> bool:
    try:
        return compare(int(have), int(wanted))
    except ValueError:
        return False


def untolerated(
    taints: Sequence[Object], tolerations: Sequence[Object], effects: Sequence[str] = BLOCKING
) -> int:
    """The number of taints with one of these effects that no toleration is for."""
    return sum(
        taint.get("effect") in effects and not any(tolerates(one, taint) for one in tolerations)
        for taint in taints
    )
