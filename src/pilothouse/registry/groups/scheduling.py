"""scheduling.k8s.io/v1: priority classes."""

from pilothouse.api.validate import scheduling as rules
from pilothouse.registry.groups.records import on_create, on_update, resource
from pilothouse.registry.strategy import Strategy

GROUP = "scheduling.k8s.io"

PRIORITY_CLASS = Strategy(
    generation_on_create=1,
    validate=on_create(rules.validate_priority_class),
    validate_update=on_update(rules.validate_priority_class_update),
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
