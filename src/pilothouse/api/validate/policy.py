"""Validates policy/v1: pod disruption budgets."""

from functools import cache

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.apps import validate_at_most_100_percent, validate_int_or_percent
from pilothouse.api.validate.conditions import validate_conditions
from pilothouse.api.validate.shown import go


def _not_both(spec: Object, path: str, errs: Errors) -> None:
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        shown = go(spec, "policy.v1.PodDisruptionBudgetSpec")
        errs.invalid(path, shown, "minAvailable and maxUnavailable cannot be both set")


@cache
def _budget(any_value: bool) -> d.Whole:
    """`any_value` if the stored budget's selector has invalid values."""
    return d.whole(
        d.inside("spec", _not_both),
        d.given("spec.minAvailable", validate_int_or_percent, validate_at_most_100_percent),
        d.given("spec.maxUnavailable", validate_int_or_percent, validate_at_most_100_percent),
        d.given("spec.selector", d.selector(any_value)),
        d.given("spec.unhealthyPodEvictionPolicy", d.one_of("AlwaysAllow", "IfHealthyBudget")),
    )


def validate_budget(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new budget; with `old`, a changed one, whose selector may keep invalid label values."""
    _budget(d.finds_fault(d.label_selector, d.found(old, ("spec", "selector"))))(obj, errs)


validate_budget_status = d.anew(
    d.whole(
        d.given("status.conditions", validate_conditions),
        d.given("status.disruptionsAllowed", d.nonnegative),
        d.given("status.currentHealthy", d.nonnegative),
        d.given("status.desiredHealthy", d.nonnegative),
        d.given("status.expectedPods", d.nonnegative),
    )
)
