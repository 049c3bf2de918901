"""discovery.k8s.io/v1: endpoint slices."""

from pilothouse.registry.groups.records import resource
from pilothouse.registry.strategy import Strategy

GROUP = "discovery.k8s.io"

SLICE = Strategy(
    generation_on_create=1,
    generation_fields=(("addressType",), ("endpoints",), ("ports",), ("metadata", "labels")),
)

RESOURCES = [
    resource(GROUP, "v1", "EndpointSlice", "endpointslices", "qgS0xkrxYAI=", SLICE, namespaced=True),
]
