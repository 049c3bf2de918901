"""Validates lists of meta/v1 Condition (apimachinery meta/v1 validation ValidateConditions)."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.tables import Rules

rules = Rules(reason=d.matches(names.condition_reason))
validate_condition = rules.table(f"""
    type                                qualified-name
    status                              False|True|Unknown
    observedGeneration?                 >=0 : must be greater than or equal to zero
    lastTransitionTime!
    reason!                             reason max:1024
    message                             max:{32 * 1024}
""")


def validate_conditions(conditions: list[Object], path: str, errs: Errors) -> None:
    seen: set[str] = set()
    for i, condition in enumerate(conditions):
        kind = condition.get("type", "")
        if kind in seen:
            errs.duplicate(f"{path}[{i}].type", kind)
        seen.add(kind)
        validate_condition(condition, f"{path}[{i}]", errs)
