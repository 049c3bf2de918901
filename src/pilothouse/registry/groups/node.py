"""node.k8s.io/v1: runtime classes."""

from pilothouse.registry.groups.records import resource
from pilothouse.registry.strategy import Strategy

GROUP = "node.k8s.io"

RESOURCES = [
    resource(
        GROUP,
        "v1",
        "RuntimeClass",
        "runtimeclasses",
        "WQTu1GL3T2Q=",
        Strategy(create_on_update=True, unconditional_update=False),
    ),
]
