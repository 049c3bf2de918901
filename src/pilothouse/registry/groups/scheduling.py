"""scheduling.k8s.io/v1: priority classes."""

from pilothouse.registry.groups.records import resource
from pilothouse.registry.strategy import Strategy

GROUP = "scheduling.k8s.io"

RESOURCES = [
    resource(
        GROUP,
        "v1",
        "PriorityClass",
        "priorityclasses",
        "1QwjyaZjj3Y=",
        Strategy(generation_on_create=1),
        short_names=("pc",),
    ),
]
