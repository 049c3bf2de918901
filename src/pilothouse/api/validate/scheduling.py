"""Validates scheduling.k8s.io/v1: priority classes."""

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import immutable_field

HIGHEST_USER_PRIORITY = 1_000_000_000
SYSTEM_CLASSES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
_PREEMPTION = ("PreemptLowerPriority", "Never")


def validate_priority_class(obj: Object, errs: Errors) -> None:
    name, value = (obj.get("metadata") or {}).get("name", ""), obj.get("value", 0)
    if name.startswith("system-"):
        fault = _system_fault(name, value, obj.get("globalDefault", False))
        if fault:
            why = (
                f"priority class names with 'system-' prefix are reserved for system use only. error: {fault}"
            )
            errs.forbidden("metadata.name", why)
    elif value > HIGHEST_USER_PRIORITY:
        why = f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"
        errs.forbidden("value", why)
    policy = obj.get("preemptionPolicy")
    if policy == "":
        errs.required("preemptionPolicy")
    elif policy is not None and policy not in _PREEMPTION:
        errs.not_supported("preemptionPolicy", policy, _PREEMPTION)


def _system_fault(name: str, value: int, is_default: bool) -> str:
    if name not in SYSTEM_CLASSES:
        return f"{name} is not a known system priority class"
    if value != SYSTEM_CLASSES[name]:
        return f"value of {name} PriorityClass must be {SYSTEM_CLASSES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


def validate_priority_class_update(obj: Object, old: Object, errs: Errors) -> None:
    if obj.get("value", 0) != old.get("value", 0):
        errs.forbidden("value", "may not be changed in an update.")
    immutable_field(obj.get("preemptionPolicy"), old.get("preemptionPolicy"), "preemptionPolicy", errs)
