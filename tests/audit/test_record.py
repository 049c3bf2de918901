"""The record of a request: what makes its events special."""

import json
import time
from typing import Any

from audit.kept import Kept, auditor

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.audit import record as module
from pilothouse.audit.event import ObjectEvent
from pilothouse.audit.record import LARGEST, Record
from pilothouse.server.request import Request, Response

JANE = User("jane", groups=("dev",))


def begun(level: str = "RequestResponse", verb: str = "get", **more: Any) -> tuple[Record, Kept]:
    made, kept = auditor({"level": level}, **more)
    attributes = AuthorizationAttributes(JANE, verb, "/x", True, "", "v1", "pods", "", "default", "p")
    request = Request("GET", "/api/v1/x", {}, [], b"", ("1.2.3.4", 5))
    return made.begin(request, JANE, attributes, "id", time.perf_counter(), 0.001), kept


def ended(record: Record, kept: Kept) -> Any:
    record.complete()
    return kept.events()[-1]


def test_an_annotation_is_set_once() -> None:
    record, kept = begun()
    shared = {"b": "plugin"}
    record.share(shared)
    record.annotate("a", "1")
    record.annotate("a", "2")
    shared.update(a="3", c="later")
    record.authorized((True, "because"), 0.25)
    assert ended(record, kept)["annotations"] == {
        "a": "1",
        "authorization.k8s.io/decision": "allow",
        "authorization.k8s.io/reason": "because",
        "b": "plugin",
        "c": "later",
    }


def test_slow_requests_say_what_took_how_long() -> None:
    record, _ = begun()
    record.authorized((True, ""), 0.25)
    record.queued = 0.1
    record.answered(Response(200))
    record.closing(None, record.received_at + 600_000_000)
    annotations = json.loads(record.event("ResponseComplete", 0).line)["annotations"]
    prefix = module.LATENCY
    assert annotations[prefix + "authentication"] == "1ms"
    assert annotations[prefix + "authorization"] == "250ms"
    assert annotations[prefix + "apf-queue-wait"] == "100ms"
    assert annotations[prefix + "total"] == "600ms"
    assert prefix + "impersonation" not in annotations


def test_watches_and_quick_requests_do_not() -> None:
    for verb, took in (("watch", 10_000_000_000), ("get", 400_000_000)):
        record, _ = begun(verb=verb)
        record.answered(Response(200))
        record.closing(None, record.received_at + took)
        assert b"latency" not in record.event("ResponseComplete", 0).line


def test_a_deprecated_version_with_its_end() -> None:
    record, kept = begun()
    record.answered(Response(200))
    record.complete("1.40")
    assert kept.events()[-1]["annotations"] == {"k8s.io/deprecated": "true", "k8s.io/removed-release": "1.40"}


def test_objects_above_the_limit_are_left_out() -> None:
    record, kept = begun()
    record.request_object({"kind": "Pod", "data": "x" * LARGEST})
    record.answered(Response(200))
    event = ended(record, kept)
    assert "requestObject" not in event and event["annotations"] == {"audit.k8s.io/truncated": "true"}

    record, kept = begun()
    record.shows_body()
    record.answered(Response(200, [b"x" * LARGEST, b"y"]))
    event = ended(record, kept)
    assert "responseObject" not in event and event["annotations"] == {"audit.k8s.io/truncated": "true"}


def test_what_is_no_json_is_not_a_patch() -> None:
    record, kept = begun()
    record.request_patch(b"{nonsense", yaml_form=False)
    record.request_patch(b"a: [", yaml_form=True)
    record.answered(Response(200))
    assert "requestObject" not in ended(record, kept)
    record, kept = begun()
    record.request_patch(b"null", yaml_form=False)
    record.answered(Response(200))
    assert ended(record, kept)["requestObject"] is None


def test_bodies_that_show_no_object_are_not_recorded() -> None:
    record, kept = begun()
    record.answered(Response(200, b"ok", "text/plain"))
    assert "responseObject" not in ended(record, kept)


def test_levels_below_take_no_objects() -> None:
    record, kept = begun("Metadata")
    record.request_object({"kind": "Pod", "metadata": {"name": "p", "uid": "u"}})
    record.shows({"kind": "Status", "apiVersion": "v1", "status": "Success"})
    record.answered(Response(201))
    event = ended(record, kept)
    assert event["objectRef"]["uid"] == "u"
    assert event["responseStatus"] == {"metadata": {}, "status": "Success", "code": 201}
    assert not event.keys() & {"requestObject", "responseObject"}


def test_an_answer_in_parts_is_made_when_the_event_is_written() -> None:
    made: list[int] = []

    class Parts:
        size = 10

        def __iter__(self) -> Any:
            made.append(1)
            yield b'{"a":1}'

    record, kept = begun()
    record.shows_parts(Parts())
    record.answered(Response(200, content_type="application/vnd.kubernetes.protobuf"))
    record.complete()
    (event,) = kept.made
    assert isinstance(event, ObjectEvent) and made == [] and event.objects == 10
    assert json.loads(event.line)["responseObject"] == {"a": 1}
    assert event.line is event.line and made == [1]


def test_odd_status_codes() -> None:
    record, kept = begun("Metadata")
    record.answered(Response(999))
    assert ended(record, kept)["responseStatus"] == {"metadata": {}, "code": 999}
