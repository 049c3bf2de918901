"""The spans of requests. Names, attributes and events are those
of kube-apiserver v1.36.2 for the same requests."""

import asyncio
import json
from typing import Any

import pytest
from harness import CONFIG_MAPS, Rig, config_map
from webhooks import Hooked, allow, label

from pilothouse import spans
from pilothouse.spans import MILLION, SERVER, Span, Trace

FILTERS = ["audit", "constrainedimpersonation", "priorityandfairness", "authorization"]
OWN = "POST /api/v1/namespaces/{:namespace}/configmaps"


async def trace_of(rig: Rig, *args: Any, **kwargs: Any) -> Trace:
    """The trace of a request that is sent now."""
    found: list[Trace] = []
    rig.tracer.use(MILLION, found.append)
    await rig.call(*args, **kwargs)
    (one,) = found
    return one


def paths(trace: Trace) -> list[str]:
    """The names of all spans, each behind those that it is a part of;
    without those that all requests have."""
    by_id = {span.id: span for span in trace.spans}

    def path(span: Span) -> list[str]:
        return [*(path(by_id[span.parent]) if span.parent else ()), span.name]

    whole = [path(span) for span in trace.spans]
    assert whole[:5] == [[whole[0][0], *FILTERS[:length]] for length in range(5)]
    return ["/".join(one[5:]) for one in whole[5:]]


def named(trace: Trace, name: str) -> Span:
    (found,) = [span for span in trace.spans if span.name == name]
    return found


def events(span: Span) -> list[str]:
    return [event.name for event in span.events]


async def test_a_create(rig: Rig) -> None:
    sent = config_map("a")
    headers = {"user-agent": "kubectl/v1.36", "host": "h:6443", "audit-id": "id", "accept": "*/*"}
    trace = await trace_of(rig, "POST", CONFIG_MAPS, sent, headers=headers)
    assert paths(trace) == ["Create", "Create/SerializeObject"]
    own, create = trace.spans[0], named(trace, "Create")
    assert (own.name, own.kind, own.parent, own.failed) == (OWN, SERVER, 0, False)
    size, sent_bytes = (
        own.attributes.pop("http.request.body.size"),
        own.attributes.pop("http.response.body.size"),
    )
    assert size == len(json.dumps(sent))
    assert own.attributes == {
        "server.address": "h",
        "http.request.method": "POST",
        "url.scheme": "https",
        "server.port": 6443,
        "user_agent.original": "kubectl/v1.36",
        "url.path": CONFIG_MAPS,
        "network.protocol.version": "1.1",
        "http.target": CONFIG_MAPS,
        "audit-id": "id",
        "http.response.status_code": 201,
    }
    assert list(create.attributes.items()) == [
        ("accept", "*/*"),
        ("audit-id", "id"),
        ("client", "unknown"),
        ("api-group", ""),
        ("api-version", "v1"),
        ("name", ""),
        ("subresource", ""),
        ("namespace", "default"),
        ("protocol", "HTTP/1.1"),
        ("resource", "configmaps"),
        ("scope", "resource"),
        ("url", CONFIG_MAPS),
        ("user-agent", "kubectl/v1.36"),
        ("verb", "POST"),
    ]
    assert events(create) == [
        "limitedReadBody succeeded",
        "Conversion done",
        "About to store object in database",
        "Mutating admission done",
        "Rules of the kind done",
        "Validating admission done",
        "Write to database call succeeded",
        "About to write a response",
        "Writing http response done",
    ]
    answer = named(trace, "SerializeObject")
    assert answer.attributes["mediaType"] == "application/json" and answer.events[-1].attributes == {
        "size": sent_bytes
    }
    assert own.started <= create.started <= answer.started
    assert answer.ended == create.ended == own.ended
    assert spans.current.get() is None


@pytest.mark.parametrize(
    ("method", "path", "body", "tree", "told"),
    [
        (
            "GET", "/a", None, ["Get", "Get/cacher.Get", "Get/SerializeObject"],
            ["About to Get from storage", "About to write a response", "Writing http response done"],
        ),
        ("GET", "", None, ["List", "List/cacher.GetList", "List/SerializeObject"], []),
        (
            "PATCH", "/a", {"data": {"a": "b"}},
            ["Patch", "Patch/SerializeObject"],
            ["limitedReadBody succeeded", "About to apply patch", "Object stored in database"],
        ),
        (
            "PUT", "/a", config_map("a", data={"x": "y"}),
            ["Update", "Update/SerializeObject"],
            ["limitedReadBody succeeded", "Conversion done", "Write to database call succeeded"],
        ),
        (
            "DELETE", "/a", None, ["Delete", "Delete/SerializeObject"],
            ["limitedReadBody succeeded", "About to delete object from database",
             "Object deleted from database"],
        ),
        ("DELETE", "", None, ["Delete", "Delete/SerializeObject"], []),
    ],
)  # fmt: skip
async def test_the_other_verbs(
    rig: Rig, method: str, path: str, body: Any, tree: list[str], told: list[str]
) -> None:
    await rig.config_map("a")
    headers = {"content-type": "application/merge-patch+json"} if method == "PATCH" else None
    trace = await trace_of(rig, method, CONFIG_MAPS + path, body, headers=headers)
    assert paths(trace) == tree
    assert [name for name in told if name not in events(named(trace, tree[0]))] == []
    own = trace.spans[0].name
    assert own == f"{method} /api/v1/namespaces/{{:namespace}}/configmaps{'/{:name}' if path else ''}"


async def test_requests_that_are_refused(rig: Rig) -> None:
    trace = await trace_of(rig, "GET", f"{CONFIG_MAPS}/none")
    assert paths(trace) == ["Get", "Get/SerializeObject"]
    assert events(named(trace, "Get")) == ["About to Get from storage"]
    trace = await trace_of(rig, "GET", f"{CONFIG_MAPS}/none", user="jane")
    assert paths(trace) == [] and trace.spans[0].attributes["http.response.status_code"] == 403
    trace = await trace_of(rig, "POST", CONFIG_MAPS, config_map("_"))
    (failed,) = [event for event in named(trace, "Create").events if "failed" in event.name]
    assert failed.name == "Write to database call failed" and "_" in str(failed.attributes["err"])
    trace = await trace_of(rig, "POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "_"}})
    (failed,) = [event for event in named(trace, "Create").events if "failed" in event.name]
    assert "err" not in failed.attributes, "it may show what is secret"


async def test_requests_without_a_verb(rig: Rig) -> None:
    trace = await trace_of(rig, "GET", "/version")
    assert paths(trace) == [] and trace.spans[0].name == "GET"
    rig.verbs.store = None
    trace = await trace_of(rig, "GET", f"{CONFIG_MAPS}/a")
    assert trace.spans[0].failed, "a bug"


async def test_a_watch_ends_its_trace_when_it_ends(rig: Rig) -> None:
    found: list[Trace] = []
    rig.tracer.use(MILLION, found.append)
    stream = await rig.watch(f"{CONFIG_MAPS}?watch=1")
    assert found == []
    stream.close()
    assert [span.name for span in found[0].spans] == ["GET " + OWN[5:], *FILTERS]


def test_webhooks_take_part(runner: asyncio.Runner, tmp_path: Any) -> None:
    """A span for each call, and within it that of the request, whose id the webhook gets."""

    async def main() -> None:
        async with Hooked(tmp_path) as hooked:
            await hooked.mutating("/m", label("x"))
            await hooked.validating("/v", allow)
            trace = await trace_of(hooked.rig, "POST", CONFIG_MAPS, config_map("a"))
            assert paths(trace) == [
                "Create",
                "Create/Call mutating webhook",
                "Create/Call mutating webhook/HTTP POST",
                "Create/Call validating webhook",
                "Create/Call validating webhook/HTTP POST",
                "Create/SerializeObject",
            ]

    runner.run(main())


async def test_a_trace_that_has_ended_takes_no_more(rig: Rig) -> None:
    trace = await trace_of(rig, "GET", CONFIG_MAPS)
    count = len(trace.spans)
    trace.spans[0].child("late")
    assert len(trace.spans) == count
