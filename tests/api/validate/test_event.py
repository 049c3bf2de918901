"""Validation of events through core/v1 and, more strictly,
through events.k8s.io/v1 (core validation, events.go)."""

from functools import partial

from rules import GONE, below, put, table

from pilothouse.api.validate import event as rules

OLD_STYLE = {"metadata": {"name": "e", "namespace": "n"}, "involvedObject": {"namespace": "n"}}
NEW_STYLE = put(OLD_STYLE, {"eventTime": "2026-01-01T00:00:00.000000Z", "reportingComponent": "example.com/c", "reportingInstance": "c-1", "action": "Do", "reason": "Done", "type": "Normal"})
LOOSE, STRICT = partial(rules.validate_event, strict=False), partial(rules.validate_event, strict=True)
LOOSE_UPDATE, STRICT_UPDATE = partial(rules.validate_event_update, strict=False), partial(rules.validate_event_update, strict=True)
SERIES = {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}

test_events = table([
    (LOOSE, OLD_STYLE, []),
    (LOOSE, put(OLD_STYLE, {"involvedObject.namespace": "m"}), ['involvedObject.namespace: Invalid value: "m": does not match event.namespace']),
    (LOOSE, put(OLD_STYLE, {"involvedObject": {}}), ['involvedObject.namespace: Invalid value: "": does not match event.namespace']),
    (LOOSE, put(OLD_STYLE, {"involvedObject": {}, "metadata.namespace": "default"}), []),
    (LOOSE, put(OLD_STYLE, {"involvedObject.namespace": "N_", "metadata.namespace": "N_"}), ['namespace: Invalid value: "N_": <RFC 1123 subdomain>']),
    (LOOSE, NEW_STYLE, []),
    (LOOSE, put(NEW_STYLE, {"involvedObject": {}}), ['involvedObject.namespace: Invalid value: "": does not match event.namespace']),
    (LOOSE, put(NEW_STYLE, {"involvedObject": {}, "metadata.namespace": "kube-system"}), []),
    (LOOSE, put(NEW_STYLE, {"reportingComponent": GONE}), below("reportingComponent", ": Required value", ': Invalid value: "": name part must be non-empty', ': Invalid value: "": <name part>')),
    (LOOSE, put(NEW_STYLE, {"reportingInstance": GONE, "action": GONE, "reason": ""}), ["reportingInstance: Required value", "action: Required value", "reason: Required value"]),
    (LOOSE, put(NEW_STYLE, {"action": "a" * 129, "message": "m" * 1025}), ['action: Invalid value: "": can have at most 128 characters',
        'message: Invalid value: "": can have at most 1024 characters']),
    (STRICT, NEW_STYLE, []),
    (STRICT, OLD_STYLE, ["eventTime: Required value", 'type: Invalid value: "": has invalid value: ']),
    (STRICT, put(NEW_STYLE, {"reportingComponent": GONE, "type": "Odd"}), ["reportingController: Required value", 'reportingController: Invalid value: "": name part must be non-empty',
        'reportingController: Invalid value: "": <name part>', 'type: Invalid value: "": has invalid value: Odd']),
    (STRICT, put(NEW_STYLE, {"series": SERIES}), []),
    (STRICT, put(NEW_STYLE, {"series": {"count": 1}}), ['series.count: Invalid value: "": should be at least 2', "series.lastObservedTime: Required value"]),
    (STRICT, put(NEW_STYLE, {"count": 1, "firstTimestamp": "t", "lastTimestamp": "t"}), ['firstTimestamp: Invalid value: "": needs to be unset', 'lastTimestamp: Invalid value: "": needs to be unset',
        'count: Invalid value: "": needs to be unset']),
    (STRICT, put(NEW_STYLE, {"source": {"component": "c"}}), ['source: Invalid value: "": needs to be unset']),
    (LOOSE_UPDATE, (put(OLD_STYLE, {"reason": "Other"}), OLD_STYLE), []),
    (STRICT_UPDATE, (NEW_STYLE, NEW_STYLE), []),
    (STRICT_UPDATE, (put(NEW_STYLE, {"series": SERIES}), NEW_STYLE), []),
    (STRICT_UPDATE, (put(NEW_STYLE, {"series": {"count": 1}}), NEW_STYLE), ['series.count: Invalid value: "": should be at least 2', "series.lastObservedTime: Required value"]),
    (STRICT_UPDATE, (put(NEW_STYLE, {"message": "m", "count": 2, "action": "Undo"}), NEW_STYLE), ['message: Invalid value: "m": field is immutable', "count: Invalid value: 2: field is immutable",
        'action: Invalid value: "Undo": field is immutable']),
    (STRICT_UPDATE, (put(NEW_STYLE, {"reportingComponent": "example.com/d"}), NEW_STYLE), ['reportingController: Invalid value: "example.com/d": field is immutable']),
    (LOOSE, {"metadata": {"name": "e", "namespace": "a"}, "involvedObject": {"namespace": "b"}}, ['involvedObject.namespace: Invalid value: "b": does not match event.namespace']),
])  # fmt: skip
