"""Validates policy/v1: pod disruption budgets."""

from functools import cache

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.apps import validate_at_most_100_percent, validate_int_or_percent
from pilothouse.api.validate.conditions import validate_conditions
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables import Rules

rules = Rules(validate_int_or_percent, validate_at_most_100_percent, conditions=validate_conditions)


@cache
def _budget(any_value: bool) -> d.Whole:
    """`any_value` if the stored budget's selector has invalid values."""
    return rules.kind(f"""
    if spec.minAvailable given and spec.maxUnavailable given
      spec                              not-both
    spec.minAvailable?                  int-or-percent at-most-100-percent
    spec.maxUnavailable?                int-or-percent at-most-100-percent
    spec.selector?                      {"any-selector" if any_value else "label-selector"}
    spec.unhealthyPodEvictionPolicy?    AlwaysAllow|IfHealthyBudget
    """)


@rules
def _not_both(spec: Object, path: str, errs: Errors) -> None:
    shown = go(spec, "api.policy.v1.PodDisruptionBudgetSpec")
    errs.invalid(path, shown, "minAvailable and maxUnavailable cannot be both set")


def validate_budget(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new budget; with `old`, a changed one, whose selector may keep invalid label values."""
    _budget(d.finds_fault(d.label_selector, d.found(old, ("spec", "selector"))))(obj, errs)


validate_budget_status = rules.change("""
    status.conditions?                  conditions
    status.disruptionsAllowed           >=0
    status.currentHealthy               >=0
    status.desiredHealthy               >=0
    status.expectedPods                 >=0
""")
