"""Validates events, by the API group through which they are written (apis/core/validation events.go).

Both groups' events are validated in their stored form, which is that of core/v1.
"""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import immutable_field, report

LIMIT = 128
NOTE_LIMIT = 1024
_FIXED = (
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "reason",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
)
_SHOWN = {"reportingComponent": "reportingController"}
_ZERO = {"count": 0, "involvedObject": {}, "source": {}}


def validate_event(event: Object, errs: Errors, *, strict: bool) -> None:
    """Validates a new event; `strict` if it was written through events.k8s.io."""
    _legacy(event, errs, "reportingController" if strict else "reportingComponent")
    if not strict:
        return
    _series(event, errs)
    if not event.get("eventTime"):
        errs.required("eventTime")
    kind = event.get("type", "")
    if kind not in ("Normal", "Warning"):
        errs.invalid("type", "", f"has invalid value: {kind}")
    for member in ("firstTimestamp", "lastTimestamp", "count"):
        if event.get(member):
            errs.invalid(member, "", "needs to be unset")
    source = event.get("source") or {}
    if source.get("component") or source.get("host"):
        errs.invalid("source", "", "needs to be unset")


def validate_event_update(event: Object, old: Object, errs: Errors, *, strict: bool) -> None:
    """Validates a changed event; through events.k8s.io only its series may change."""
    _legacy(event, errs, "reportingController" if strict else "reportingComponent")
    if not strict:
        return
    if event.get("series") != old.get("series"):
        _series(event, errs)
    for member in _FIXED:
        zero = _ZERO.get(member, None if "Timestamp" in member or member in ("eventTime", "related") else "")
        new, before = event.get(member) or zero, old.get(member) or zero
        immutable_field(new, before, _SHOWN.get(member, member), errs)


def _series(event: Object, errs: Errors) -> None:
    series = event.get("series")
    if series is None:
        return
    if series.get("count", 0) < 2:
        errs.invalid("series.count", "", "should be at least 2")
    if not series.get("lastObservedTime"):
        errs.required("series.lastObservedTime")


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
    report("namespace", namespace, names.dns_subdomain(namespace), errs)


def _new_style(event: Object, errs: Errors, controller_field: str) -> None:
    controller = event.get("reportingComponent", "")
    if not controller:
        errs.required(controller_field)
    report(controller_field, controller, names.qualified_name(controller), errs)
    for member in ("reportingInstance", "action", "reason"):
        value = event.get(member, "")
        if not value:
            errs.required(member)
        if names.size(value) > LIMIT:
            errs.invalid(member, "", f"can have at most {LIMIT} characters")
    if names.size(event.get("message", "")) > NOTE_LIMIT:
        errs.invalid("message", "", f"can have at most {NOTE_LIMIT} characters")
