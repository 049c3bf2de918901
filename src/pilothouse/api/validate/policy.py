"""Validates policy/v1: pod disruption budgets."""

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.apps import validate_at_most_100_percent, validate_int_or_percent
from pilothouse.api.validate.common import (
    validate_conditions,
    validate_label_selector,
    validate_nonnegative,
)
from pilothouse.api.validate.shown import label_selector

_EVICTION_POLICIES = ("AlwaysAllow", "IfHealthyBudget")


def validate_budget(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new budget; with `old`, a changed one, whose selector may keep invalid label values."""
    spec = obj.get("spec") or {}
    available, unavailable = spec.get("minAvailable"), spec.get("maxUnavailable")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if available is not None and unavailable is not None:
        shown = {
            "MinAvailable": available,
            "Selector": label_selector(spec.get("selector")),
            "MaxUnavailable": unavailable,
            "UnhealthyPodEvictionPolicy": policy,
        }
        errs.invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for member in ("minAvailable", "maxUnavailable"):
        if spec.get(member) is not None:
            validate_int_or_percent(spec[member], f"spec.{member}", errs)
            validate_at_most_100_percent(spec[member], f"spec.{member}", errs)
    excuse = _has_bad_selector(old)
    validate_label_selector(spec.get("selector"), "spec.selector", errs, allow_invalid_values=excuse)
    if policy is not None and policy not in _EVICTION_POLICIES:
        errs.not_supported("spec.unhealthyPodEvictionPolicy", policy, _EVICTION_POLICIES)


def _has_bad_selector(old: Object | None) -> bool:
    errs = Errors()
    if old is not None:
        validate_label_selector((old.get("spec") or {}).get("selector"), "", errs)
    return bool(errs)


def validate_budget_status(obj: Object, old: Object, errs: Errors) -> None:
    status = obj.get("status") or {}
    validate_conditions(status.get("conditions"), "status.conditions", errs)
    for member in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
        validate_nonnegative(status.get(member, 0), f"status.{member}", errs)
