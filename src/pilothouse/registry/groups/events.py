"""events.k8s.io/v1: another face of core events, over the same stored objects."""

from pilothouse.registry.groups.records import resource
from pilothouse.registry.strategy import Strategy

GROUP = "events.k8s.io"

EVENT = Strategy(create_on_update=True)

_REGARDING = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

EVENTS = resource(
    GROUP,
    "v1",
    "Event",
    "events",
    "r2yiGXH7wu8=",
    EVENT,
    namespaced=True,
    short_names=("ev",),
    selectable={
        "reason": ("reason",),
        "reportingController": ("reportingComponent",),
        "type": ("type",),
        **{f"regarding.{member}": ("involvedObject", member) for member in _REGARDING},
    },
    field_error="field label not supported: {label}",
)
"""The selectable fields are read from the stored form, a core event."""

RESOURCES = [EVENTS]
