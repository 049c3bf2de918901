"""Validates events, by the API group through which they are written (apis/core/validation events.go).

Both groups' events are validated in their stored form, which is that of core/v1.
"""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables import Rules

LIMIT = 128
NOTE_LIMIT = 1024
_FIXED = (
    "involvedObject reason message source firstTimestamp lastTimestamp count reason type"
    " eventTime action related"
)
rules = Rules()
_series = rules.kind("""
    if series given
      series.count                      at-least-two
      series.lastObservedTime!
""")
_strict = rules.kind("""
    eventTime!
    type                                known-type
    firstTimestamp+                     unset-here
    lastTimestamp+                      unset-here
    count+                              unset-here
    if source.component or source.host
      source                            unset-here
""")


@rules
def _at_least_two(count: int, path: str, errs: Errors) -> None:
    if not count or count < 2:
        errs.invalid(path, "", "should be at least 2")


@rules
def _known_type(kind: str, path: str, errs: Errors) -> None:
    if kind not in ("Normal", "Warning"):
        errs.invalid(path, "", f"has invalid value: {kind}")


@rules
def _unset_here(value: object, path: str, errs: Errors) -> None:
    errs.invalid(path, "", "needs to be unset")


def validate_event(event: Object, errs: Errors, *, strict: bool) -> None:
    """Validates a new event; `strict` if it was written through events.k8s.io."""
    _legacy(event, errs, "reportingController" if strict else "reportingComponent")
    if strict:
        _series(event, errs)
        _strict(event, errs)


def validate_event_update(event: Object, old: Object, errs: Errors, *, strict: bool) -> None:
    """Validates a changed event; through events.k8s.io only its series may change."""
    _legacy(event, errs, "reportingController" if strict else "reportingComponent")
    if not strict:
        return
    if event.get("series") != old.get("series"):
        _series(event, errs)
    _fixed(event, old, errs)


def _zero(member: str) -> object:
    if "Timestamp" in member or member in ("eventTime", "related"):
        return None
    return {"count": 0, "involvedObject": {}, "source": {}}.get(member, "")


_REFERENCE = "api.core.v1.ObjectReference"
_SHOWN = {
    "involvedObject": lambda value: go(value or {}, _REFERENCE),
    "source": lambda value: go(value or {}, "api.core.v1.EventSource"),
    "related": lambda value: go(value, _REFERENCE),
}
_fixed = d.change(
    *(
        d.fixed(member, _zero(member), show=_SHOWN.get(member, lambda value: value))
        for member in _FIXED.split()
    ),
    d.fixed("reportingComponent", "", at="reportingController"),
    d.fixed("reportingInstance", ""),
)


def _legacy(event: Object, errs: Errors, controller_field: str) -> None:
    namespace = event["metadata"].get("namespace", "")
    involved = (event.get("involvedObject") or {}).get("namespace", "")
    mismatch = "does not match event.namespace"
    if not event.get("eventTime"):
        if involved != namespace and not (not involved and namespace in ("", "default")):
            errs.invalid("involvedObject.namespace", involved, mismatch)
    else:
        if not involved and namespace not in ("default", "kube-system"):
            errs.invalid("involvedObject.namespace", involved, mismatch)
        _new_style(event, errs, controller_field)
    d.dns_subdomain(namespace, "namespace", errs)


def _new_style(event: Object, errs: Errors, controller_field: str) -> None:
    controller = event.get("reportingComponent", "")
    if not controller:
        errs.required(controller_field)
    d.qualified_name(controller, controller_field, errs)
    for member in ("reportingInstance", "action", "reason"):
        value = event.get(member, "")
        if not value:
            errs.required(member)
        if names.size(value) > LIMIT:
            errs.invalid(member, "", f"can have at most {LIMIT} characters")
    if names.size(event.get("message", "")) > NOTE_LIMIT:
        errs.invalid("message", "", f"can have at most {NOTE_LIMIT} characters")
