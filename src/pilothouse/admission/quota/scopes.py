"""The scopes of a quota, and how a scope selector judges names of classes."""

from collections.abc import Sequence

from pilothouse.api.values.fields import Object


def requirements(quota: Object) -> list[Object]:
    """The requirements that an object must meet to be counted:
    the scopes as requirements, and those of the scope selector."""
    spec = quota.get("spec") or {}
    out: list[Object] = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    out += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return out


def selects(requirement: Object, classes: Sequence[str]) -> bool:
    """Whether one of the classes that an object names meets the requirement; an object may name none."""
    operator, values = requirement.get("operator"), requirement.get("values") or ()
    if operator == "Exists":
        return bool(classes)
    if operator == "DoesNotExist":
        return not classes
    if operator == "In":
        return any(name in values for name in classes)
    if operator == "NotIn":
        return not classes or any(name not in values for name in classes)
    return False
