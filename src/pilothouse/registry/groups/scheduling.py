"""scheduling.k8s.io/v1: priority classes."""

from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import resource
from pilothouse.registry.strategy import Strategy

GROUP = "scheduling.k8s.io"

PRIORITY_CLASS = Strategy(
    generation_on_create=1,
    validate=lambda ctx, obj, errs: rules.scheduling.validate_priority_class(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.scheduling.validate_priority_class_update(
        obj, old, errs
    ),
)

RESOURCES = [
    resource(
        GROUP,
        "PriorityClass",
        "priorityclasses",
        "1QwjyaZjj3Y=",
        PRIORITY_CLASS,
        short_names=("pc",),
    ),
]
