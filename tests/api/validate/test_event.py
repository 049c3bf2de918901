"""Validation of events through core/v1 and, more strictly, through events.k8s.io/v1 (core validation, events.go)."""

from functools import partial

from rules import GONE, put, table, valid

from pilothouse.api.validate import event as rules

OLD_STYLE = {"metadata": {"name": "e", "namespace": "n"}, "involvedObject": {"namespace": "n"}}
NEW_STYLE = put(OLD_STYLE, {"eventTime": "2026-01-01T00:00:00.000000Z", "reportingComponent": "example.com/c", "reportingInstance": "c-1", "action": "Do", "reason": "Done", "type": "Normal"})
LOOSE, STRICT = partial(rules.validate_event, strict=False), partial(rules.validate_event, strict=True)
LOOSE_UPDATE, STRICT_UPDATE = partial(rules.validate_event_update, strict=False), partial(rules.validate_event_update, strict=True)
SERIES = {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}

test_events = table([
    *valid(LOOSE, OLD_STYLE, put(OLD_STYLE, {"involvedObject": {}, "metadata.namespace": "default"}), NEW_STYLE, put(NEW_STYLE, {"involvedObject": {}, "metadata.namespace": "kube-system"})),
    (LOOSE, put(OLD_STYLE, {"involvedObject.namespace": "m"}), "involvedObject.namespace : does not match event.namespace"),
    (LOOSE, put(OLD_STYLE, {"involvedObject": {}}), 'involvedObject.namespace="" : does not match event.namespace'),
    (LOOSE, put(OLD_STYLE, {"involvedObject.namespace": "N_", "metadata.namespace": "N_"}), 'namespace="N_" : <RFC 1123 subdomain>'),
    (LOOSE, put(NEW_STYLE, {"involvedObject": {}}), 'involvedObject.namespace="" : does not match event.namespace'),
    (LOOSE, put(NEW_STYLE, {"reportingComponent": GONE}), "reportingComponent!", 'reportingComponent="" : name part must be non-empty', 'reportingComponent="" : <name part>'),
    (LOOSE, put(NEW_STYLE, {"reportingInstance": GONE, "action": GONE, "reason": ""}), "reportingInstance!", "action!", "reason!"),
    (LOOSE, put(NEW_STYLE, {"action": "a" * 129, "message": "m" * 1025}), 'action="" : can have at most 128 characters', 'message="" : can have at most 1024 characters'),
    *valid(STRICT, NEW_STYLE, put(NEW_STYLE, {"series": SERIES})),
    (STRICT, OLD_STYLE, "eventTime!", 'type="" : has invalid value: '),
    (STRICT, put(NEW_STYLE, {"reportingComponent": GONE, "type": "Odd"}), "reportingController!", 'reportingController="" : name part must be non-empty', 'reportingController="" : <name part>',
        'type="" : has invalid value: Odd'),
    (STRICT, put(NEW_STYLE, {"series": {"count": 1}}), 'series.count="" : should be at least 2', "series.lastObservedTime!"),
    (STRICT, put(NEW_STYLE, {"count": 1, "firstTimestamp": "t", "lastTimestamp": "t"}), 'firstTimestamp="" : needs to be unset', 'lastTimestamp="" : needs to be unset',
        'count="" : needs to be unset'),
    (STRICT, put(NEW_STYLE, {"source": {"component": "c"}}), 'source="" : needs to be unset'),
    (LOOSE_UPDATE, (put(OLD_STYLE, {"reason": "Other"}), OLD_STYLE)),
    *valid(STRICT_UPDATE, (NEW_STYLE, NEW_STYLE), (put(NEW_STYLE, {"series": SERIES}), NEW_STYLE)),
    (STRICT_UPDATE, (put(NEW_STYLE, {"series": {"count": 1}}), NEW_STYLE), 'series.count="" : should be at least 2', "series.lastObservedTime!"),
    (STRICT_UPDATE, (put(NEW_STYLE, {"message": "m", "count": 2, "action": "Undo"}), NEW_STYLE), "message fixed", "count fixed", "action fixed"),
    (STRICT_UPDATE, (put(NEW_STYLE, {"reportingComponent": "example.com/d"}), NEW_STYLE), 'reportingController="example.com/d" fixed'),
])  # fmt: skip
