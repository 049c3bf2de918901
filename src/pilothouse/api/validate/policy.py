"""Validates policy/v1: pod disruption budgets."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate import percent
from pilothouse.api.validate.conditions import validate_conditions
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.fields import Errors, Object

rules = Rules(__name__, percent.rules, conditions=validate_conditions)
_budget = rules.kind("policy/v1 PodDisruptionBudget")("""
    if spec.minAvailable given and spec.maxUnavailable given
      spec
        invalid                         show:api.policy.v1.PodDisruptionBudgetSpec : minAvailable and maxUnavailable cannot be both set
    spec.minAvailable                   int-or-percent at-most-100-percent
    spec.maxUnavailable                 int-or-percent at-most-100-percent
    spec.selector                       $?any-selector:label-selector
    spec.unhealthyPodEvictionPolicy     AlwaysAllow|IfHealthyBudget
""")
validate_budget_status = rules.change("policy/v1 PodDisruptionBudget")("""
    status.conditions                   conditions
    status.disruptionsAllowed           >=0
    status.currentHealthy               >=0
    status.desiredHealthy               >=0
    status.expectedPods                 >=0
""")


def validate_budget(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new budget; with `old`, a changed one, whose selector may keep invalid label values."""
    _budget(obj, errs, d.finds_fault(d.label_selector, d.found(old, ("spec", "selector"))))
