"""Validates lists of meta/v1 Condition."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d

STATUSES = ("False", "True", "Unknown")

validate_condition = d.struct(
    d.required("type", d.qualified_name, why="is required"),
    d.choice("status", *STATUSES),
    d.given("observedGeneration", d.at_least(0, "must be greater than or equal to zero")),
    d.required("lastTransitionTime"),
    d.required("reason", d.matches(names.condition_reason), d.max_bytes(1024)),
    d.text("message", d.max_bytes(32 * 1024)),
)


def validate_conditions(conditions: list[Object], path: str, errs: Errors) -> None:
    seen: set[str] = set()
    for i, condition in enumerate(conditions):
        kind = condition.get("type", "")
        if kind in seen:
            errs.duplicate(f"{path}[{i}]", {"type": kind})
        seen.add(kind)
        validate_condition(condition, f"{path}[{i}]", errs)
