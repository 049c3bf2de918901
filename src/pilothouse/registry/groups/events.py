"""events.k8s.io/v1: events, a converted form of the stored core events."""

from pilothouse.api.convert.kinds import convert
from pilothouse.api.values.fields import Errors, Object
from pilothouse.registry.conversion import Conversion
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.core import resources as core
from pilothouse.registry.groups.core.strategies import EVENT as CORE_EVENT
from pilothouse.registry.groups.records import resource
from pilothouse.registry.strategy import Strategy, WriteContext

GROUP = "events.k8s.io"

_REGARDING = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _validate(ctx: WriteContext, event: Object, errs: Errors) -> None:
    rules.event.validate_event(event, errs, strict=True)


def _validate_update(ctx: WriteContext, event: Object, old: Object, errs: Errors) -> None:
    rules.event.validate_event_update(event, old, errs, strict=True)


EVENT = Strategy(
    create_on_update=True,
    garbage_collection="unsupported",
    validate=_validate,
    validate_update=_validate_update,
    ttl=CORE_EVENT.ttl,
)

EVENTS = resource(
    GROUP,
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
    storage=core.EVENTS,
    siblings=core.EVENT_VERSIONS,
    conversion=Conversion(
        present=lambda event: convert(event, "Event", GROUP, "v1"),
        store=lambda event: convert(event, "Event", "", "v1"),
    ),
)
"""The resource of events.k8s.io. Its selectable fields are read from the stored form,
which is a core event."""

core.EVENT_VERSIONS.update({record.api_version: record for record in (core.EVENTS, EVENTS)})

RESOURCES = [EVENTS]
