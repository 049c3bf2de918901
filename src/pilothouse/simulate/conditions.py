"""Conditions in the status of pods (podutil.UpdatePodCondition)."""

from pilothouse.api.values.fields import Object


def find(status: Object, kind: str) -> Object | None:
    """The condition of a type."""
    return next((one for one in status.get("conditions") or () if one.get("type") == kind), None)


def is_true(status: Object, kind: str) -> bool:
    """Whether a condition is True."""
    found = find(status, kind)
    return found is not None and found.get("status") == "True"


def set_condition(status: Object, condition: Object, now: str) -> None:
    """Set a condition in place; the time of its transition stays while its value does."""
    made = {"lastProbeTime": None, "lastTransitionTime": now, **condition}
    conditions = list(status.get("conditions") or ())
    for i, old in enumerate(conditions):
        if old.get("type") == condition["type"]:
            if old.get("status") == condition["status"]:
                made["lastTransitionTime"] = old.get("lastTransitionTime", now)
            conditions[i] = made
            break
    else:
        conditions.append(made)
    status["conditions"] = conditions
