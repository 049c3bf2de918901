"""Wrong answers of a conversion webhook are refused, in upstream's words; some servers give no answer."""

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest
from aiohttp import web
from conversion_server import FIRST, META, Hooked, setting
from converters import GROUP, V1, V2, path
from virtual_time import VirtualLoop

Object = dict[str, Any]

SIZE = {"width": 2, "height": 3}
SOME = f"conversion webhook for {V1}, Kind=Box"
CALL, MALFORMED, PARTIAL, INVALID = (
    f"conversion_webhook_{name}_failure"
    for name in ("call", "malformed_response", "partial_response", "invalid_converted_object")
)
LABELS = "a valid label must be an empty string or consist of alphanumeric characters"


@pytest.mark.parametrize(
    ("alter", "kind", "why"),
    [
        (
            setting("apiVersion", value="apiextensions.k8s.io/v1beta1"),
            CALL,
            " failed: converting (v1beta1.ConversionReview) to (v1.ConversionReview): unknown conversion",
        ),
        (
            setting("kind", value="Other"),
            CALL,
            (
                ' failed: no kind "Other" is registered for version "apiextensions.k8s.io/v1" in scheme'
                ' "pkg/util/webhook/client.go:74"'
            ),
        ),
        (
            setting("kind", value=...),
            MALFORMED,
            (
                " failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got"
                " apiextensions.k8s.io/v1, Kind="
            ),
        ),
        (
            setting("apiVersion", value=...),
            MALFORMED,
            (
                " failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got /,"
                " Kind=ConversionReview"
            ),
        ),
        (setting("response", value=None), MALFORMED, " failed: no response provided"),
        (
            setting("response", value=[]),
            MALFORMED,
            (
                " failed: json: cannot unmarshal array into Go struct field ConversionReview.response of type"
                " v1.ConversionResponse"
            ),
        ),
        (setting("response", "uid", value="x"), MALFORMED, ' failed: expected response.uid="'),
        (
            setting("response", "result", value={}),
            MALFORMED,
            " failed: response.result.status was '', not 'Success'",
        ),
        (
            setting("response", "result", value={"status": "Failure", "message": "no"}),
            MALFORMED,
            " failed: no",
        ),
        (setting("response", "convertedObjects", value=None), PARTIAL, " returned 0 objects, expected 1"),
        (setting("response", "convertedObjects", value=[{}, {}]), PARTIAL, " returned 2 objects, expected 1"),
        (
            setting(*FIRST, "apiVersion", value=V1),
            INVALID,
            f" returned invalid object at index 0: invalid groupVersion (expected {V2}, received {V1})",
        ),
        (
            setting(*FIRST, "kind", value="Crate"),
            INVALID,
            " returned invalid object at index 0: invalid kind (expected Box, received Crate)",
        ),
        (
            setting(*META, "name", value="b"),
            INVALID,
            " returned invalid object: must have the same name: a != b",
        ),
        (
            setting(*META, "namespace", value=...),
            INVALID,
            " returned invalid object: must have the same namespace: default != ",
        ),
        (setting(*META, "uid", value="u"), INVALID, " returned invalid object: must have the same UID: "),
        (
            setting(*META, "labels", value={"a": 1}),
            INVALID,
            (
                " returned invalid metadata: metadata.labels[a] must be a string, but is int64 in converted"
                " object"
            ),
        ),
        (
            setting(*META, "labels", value={"a": "-"}),
            INVALID,
            f' returned invalid metadata: metadata.labels: Invalid value: "-": {LABELS}',
        ),
        (
            setting(*META, "annotations", value=[]),
            INVALID,
            (
                " returned invalid metadata: invalid metadata.annotations of type []interface {} in converted"
                " object"
            ),
        ),
        (
            setting(*META, "annotations", value={"a b": ""}),
            INVALID,
            (
                ' returned invalid metadata: metadata.annotation: Invalid value: "a b": name part must'
                " consist of"
            ),
        ),
    ],
)
async def test_answers_that_are_refused(
    rig: Any, runner: Any, boxes: Hooked, alter: Any, kind: str, why: str
) -> None:
    await boxes.fill("a")
    boxes.hook.alter = alter
    answer = await rig.call("GET", path(name="a"))
    assert answer.status == 500 and "reason" not in answer.body
    assert answer.body["message"].startswith(SOME + why), answer.body["message"]
    assert boxes.counted() == {kind: 1}
    boxes.hook.alter = lambda answer: None
    assert (await rig.ok("GET", path(name="a")))["spec"] == SIZE, "a failure is not remembered"
    series = boxes.webhooks.metrics.definitions.counts()
    name = f"boxes.{GROUP}"
    assert series == {(name, "v1", "false", "v2"): 1, (name, "v1", "true", "v2"): 1}
    assert boxes.webhooks.metrics.seconds.counts() == {(kind, "failure"): 1, ("", "success"): 1}


async def test_an_object_that_is_none(rig: Any, runner: Any, boxes: Hooked) -> None:
    await boxes.fill("a", "b")
    boxes.hook.alter = setting(*FIRST, value="text")
    assert await rig.fail(500, "GET", path(name="a")) == "Object 'Kind' is missing in '\"text\"'"
    boxes.hook.alter = setting("response", "convertedObjects", 1, value=None)
    why = await rig.fail(500, "GET", path())
    assert why == f"{SOME} returned invalid converted object at index 1: Object 'Kind' is missing in 'null'"


# Servers that do not behave


@pytest.mark.parametrize(
    ("status", "body", "kind", "why"),
    [
        (404, "", "text/plain", "the server could not find the requested resource"),
        (
            500,
            "no disk",
            "text/plain",
            'an error on the server ("no disk") has prevented the request from succeeding',
        ),
        (
            500,
            "{}",
            "application/json",
            'an error on the server ("unknown") has prevented the request from succeeding',
        ),
        (403, "not you", "text/plain", "not you"),
        (
            400,
            '{"kind":"Status","apiVersion":"v1","status":"Failure","message":"bad"}',
            "application/json",
            "bad",
        ),
        (
            302,
            "",
            "text/plain",
            "the server responded with the status code 302 but did not return more information",
        ),
        (
            200,
            "",
            "application/json",
            "0-length response with status code: 200 and content type: application/json",
        ),
        (
            200,
            "nonsense",
            "text/plain",
            (
                "couldn't get version/kind; json parse error: invalid character 'o' in literal null"
                " (expecting 'u')"
            ),
        ),
        (
            200,
            "[1]",
            "application/json",
            "couldn't get version/kind; json parse error: json: cannot unmarshal array",
        ),
        (200, "[" * 5000, "application/json", "couldn't get version/kind; json parse error: "),
        (
            200,
            " " * (10 << 20),
            "application/json",
            (
                "unexpected error when reading response body. Please retry. Original error: the answer is"
                " longer than"
            ),
        ),
    ],
)
async def test_answers_that_are_no_reviews(
    rig: Any, runner: Any, boxes: Hooked, status: int, body: str, kind: str, why: str
) -> None:
    async def respond(review: Object) -> web.StreamResponse:
        headers = {"Location": f"{boxes.hook.url}/else", "Content-Type": kind}
        return web.Response(status=status, body=body.encode(), headers=headers)

    await boxes.fill("a")
    boxes.hook.respond = respond
    assert (await rig.fail(500, "GET", path(name="a"))).startswith(f"{SOME} failed: {why}")
    assert len(boxes.hook.reviews) == 1, "no redirect is followed"
    assert boxes.counted() == {CALL: 1}


async def test_a_webhook_that_sleeps(rig: Any, virtual: VirtualLoop, runner: Any, boxes: Hooked) -> None:
    """Requests that wait for the same object are told at the same time;
    the time stands still until the request has come."""
    await boxes.fill("a")
    held = ExitStack()
    held.enter_context(virtual.hold())

    async def sleep(review: Object) -> web.StreamResponse:
        held.close()
        await asyncio.Event().wait()
        raise AssertionError

    boxes.hook.respond = sleep
    late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    why = f'{SOME} failed: Post "{boxes.hook.url}?timeout=30s": {late}'
    began = virtual.time()
    asked = [asyncio.ensure_future(rig.fail(500, "GET", path(name="a"))) for _ in range(3)]
    assert [await one for one in asked] == [why] * 3
    assert virtual.time() == pytest.approx(began + 30) and len(boxes.hook.reviews) == 1


async def test_a_webhook_that_stops_in_the_middle(
    rig: Any, virtual: VirtualLoop, runner: Any, boxes: Hooked
) -> None:
    await boxes.fill("a")
    held = ExitStack()
    held.enter_context(virtual.hold())

    async def drip(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"{")
        held.close()
        await asyncio.Event().wait()
        return answer

    boxes.hook.handler = drip
    late = "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
    why = f"{SOME} failed: unexpected error when reading response body. Please retry. Original error: {late}"
    assert await rig.fail(500, "GET", path(name="a")) == why


async def test_a_delete_does_not_wait_for_a_webhook_that_sleeps(
    rig: Any, virtual: VirtualLoop, runner: Any, boxes: Hooked
) -> None:
    await boxes.fill("a", finalizers=["x/y"])
    held = ExitStack()
    held.enter_context(virtual.hold())

    async def sleep(review: Object) -> web.StreamResponse:
        held.close()
        await asyncio.Event().wait()
        raise AssertionError

    boxes.hook.respond = sleep
    began = virtual.time()
    told = await rig.ok("DELETE", path(name="a"))
    assert (told["kind"], told["status"], told["details"]["name"]) == ("Status", "Success", "a")
    assert virtual.time() == pytest.approx(began + 5) and boxes.stored("a")["metadata"]["deletionTimestamp"]


async def test_a_connection_that_was_kept_and_closed_is_made_anew(
    rig: Any, runner: Any, boxes: Hooked
) -> None:
    await boxes.fill("a")
    convert, calls = boxes.hook.handler, []

    async def handler(request: web.Request) -> web.StreamResponse:
        calls.append(request)
        if len(calls) in (1, 3, 4):
            assert request.transport is not None
            request.transport.abort()
            raise ConnectionResetError
        return await convert(request)

    boxes.hook.handler = handler
    assert (await rig.ok("GET", path(name="a")))["spec"] == SIZE
    boxes.webhooks.known.clear()
    why = await rig.fail(500, "GET", path(name="a"))
    assert why == f'{SOME} failed: Post "{boxes.hook.url}?timeout=30s": EOF'
