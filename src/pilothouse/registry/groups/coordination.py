"""coordination.k8s.io/v1: leases."""

from pilothouse.registry.groups.records import resource
from pilothouse.registry.strategy import Strategy

GROUP = "coordination.k8s.io"

RESOURCES = [
    resource(
        GROUP,
        "v1",
        "Lease",
        "leases",
        "gqkMMb/YqFM=",
        Strategy(create_on_update=True, unconditional_update=False),
        namespaced=True,
    ),
]
