"""Validates scheduling.k8s.io/v1: priority classes."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.fields import Errors, Object

HIGHEST_USER_PRIORITY = 1_000_000_000
SYSTEM_CLASSES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}

rules = Rules(__name__)


@rules
def _value(obj: Object, path: str, errs: Errors) -> None:
    name, value = (obj.get("metadata") or {}).get("name", ""), obj.get("value", 0)
    if name.startswith("system-"):
        fault = _system_fault(name, value, obj.get("globalDefault", False))
        if fault:
            why = "priority class names with 'system-' prefix are reserved for system use only. error: "
            errs.forbidden("metadata.name", why + fault)
    elif value > HIGHEST_USER_PRIORITY:
        why = f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"
        errs.forbidden("value", why)


def _system_fault(name: str, value: int, is_default: bool) -> str:
    if name not in SYSTEM_CLASSES:
        return f"{name} is not a known system priority class"
    if value != SYSTEM_CLASSES[name]:
        return f"value of {name} PriorityClass must be {SYSTEM_CLASSES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


validate_priority_class = rules.kind("scheduling.k8s.io/v1 PriorityClass")("""
    @value
    if preemptionPolicy given
      preemptionPolicy!                 PreemptLowerPriority|Never
""")
validate_priority_class_update = d.change(
    d.fixed("value", 0, forbidden="may not be changed in an update."), d.fixed("preemptionPolicy")
)
