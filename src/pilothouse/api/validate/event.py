"""Validates events, by the API group through which they are written (apis/core/validation events.go).

Both groups' events are validated in their stored form, which is that of core/v1.
"""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object

LIMIT = 128
NOTE_LIMIT = 1024
_FIXED = (
    "involvedObject reason message source firstTimestamp lastTimestamp count reason type"
    " eventTime action related"
)
_REFERENCE = "api.core.v1.ObjectReference"
_SHOWN = {
    "involvedObject": lambda value: go(value or {}, _REFERENCE),
    "source": lambda value: go(value or {}, "api.core.v1.EventSource"),
    "related": lambda value: go(value, _REFERENCE),
}
rules = Rules(__name__)


@rules
def _known_type(kind: str, path: str, errs: Errors) -> None:
    if kind not in ("Normal", "Warning"):
        errs.invalid(path, "", f"has invalid value: {kind}")


def _at_most(limit: int) -> d.Rule:
    def check(text: str, path: str, errs: Errors) -> None:
        if names.size(text) > limit:
            errs.invalid(path, "", f"can have at most {limit} characters")

    return check


rules.add("short", _at_most(LIMIT))
rules.add("short-note", _at_most(NOTE_LIMIT))
_series = rules.kind("v1 Event")("""
    if series given
      series.count                      >=2 show: : should be at least 2
      series.lastObservedTime!
""")
_strict = rules.kind("v1 Event")("""
    eventTime!
    type                                known-type
    firstTimestamp+                     never show: : needs to be unset
    lastTimestamp+                      never show: : needs to be unset
    count+                              never show: : needs to be unset
    if source.component or source.host
      source                            never show: : needs to be unset
""")
_reported = rules.kind("v1 Event")("""
    if $
      reportingComponent!               as:reportingController
      reportingComponent                qualified-name as:reportingController
    else
      reportingComponent!
      reportingComponent                qualified-name
    reportingInstance!,action!,reason!  short
    message                             short-note
""")
"""The members that events with a time must have; `around` is whether they come through events.k8s.io."""


def _zero(member: str) -> object:
    if "Timestamp" in member or member in ("eventTime", "related"):
        return None
    return {"count": 0, "involvedObject": {}, "source": {}}.get(member, "")


_fixed = d.change(
    *(
        d.fixed(member, _zero(member), show=_SHOWN.get(member, lambda value: value))
        for member in _FIXED.split()
    ),
    d.fixed("reportingComponent", "", at="reportingController"),
    d.fixed("reportingInstance", ""),
)


def validate_event(event: Object, errs: Errors, *, strict: bool) -> None:
    """Validates a new event; `strict` if it was written through events.k8s.io."""
    _legacy(event, errs, strict=strict)
    if strict:
        _series(event, errs)
        _strict(event, errs)


def validate_event_update(event: Object, old: Object, errs: Errors, *, strict: bool) -> None:
    """Validates a changed event; through events.k8s.io only its series may change."""
    _legacy(event, errs, strict=strict)
    if not strict:
        return
    if event.get("series") != old.get("series"):
        _series(event, errs)
    _fixed(event, old, errs)


def _legacy(event: Object, errs: Errors, *, strict: bool) -> None:
    namespace = event["metadata"].get("namespace", "")
    involved, new_style = d.found(event, ("involvedObject", "namespace"), ""), bool(event.get("eventTime"))
    homes = ("default", "kube-system") if new_style else ("", "default")
    if (involved != namespace and involved and not new_style) or (not involved and namespace not in homes):
        errs.invalid("involvedObject.namespace", involved, "does not match event.namespace")
    if new_style:
        _reported(event, errs, strict)
    d.dns_subdomain(namespace, "namespace", errs)
