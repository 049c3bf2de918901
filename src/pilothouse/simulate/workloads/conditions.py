"""Conditions of a status: set and removed as the controllers of upstream do."""

from collections.abc import Iterable

from pilothouse.api.values.fields import Object


def condition(kind: str, status: str, reason: str, message: str, now: str) -> Object:
    """A condition that has become so now."""
    return {"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}


def found(conditions: Iterable[Object] | None, kind: str) -> Object | None:
    """The condition of a type."""
    return next((one for one in conditions or () if one.get("type") == kind), None)


def with_condition(
    conditions: Iterable[Object] | None, new: Object, *, by_reason: bool = True
) -> list[Object]:
    """The conditions with a new one at the end, which keeps the time of its last transition.

    One that has the same status and, `by_reason`, the same reason stays as it is.
    """
    listed = list(conditions or ())
    old = found(listed, new["type"])
    if old is not None and old["status"] == new["status"]:
        if by_reason and old.get("reason", "") == new.get("reason", ""):
            return listed
        new = {**new, "lastTransitionTime": old.get("lastTransitionTime")}
    return [*without(listed, new["type"]), new]


def without(conditions: Iterable[Object] | None, kind: str) -> list[Object]:
    """The conditions of other types."""
    return [one for one in conditions or () if one.get("type") != kind]
