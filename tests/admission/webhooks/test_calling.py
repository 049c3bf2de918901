"""Calls of webhooks: which are called, their failures, and the counts."""

import asyncio
import base64
import json
import pathlib
from typing import Any

import pytest
from aiohttp import web
from aiohttp.payload import Payload
from harness import CONFIG_MAPS, config_map
from webhooks import MUTATING, RULE, VALIDATING, Hooked, allow, deny, hang

from pilothouse.admission.webhooks import breaker
from pilothouse.admission.webhooks.calling import ANSWER_BYTES
from pilothouse.metrics.instruments import MetricsRegistry

NOTHING = config_map("a", data={"a": "b"})
LEAD = 'Internal error occurred: failed calling webhook "a.example.com": failed to call webhook: '


def answer(body: Any = b"", **more: Any) -> Any:
    """A webhook with an HTTP answer of its own."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda request: web.Response(body=data, **{"content_type": "application/json", **more})


class Endless(Payload):
    """A body of which nothing follows after the first byte."""

    def __init__(self) -> None:
        super().__init__(None)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return ""

    async def write(self, writer: Any) -> None:
        await writer.write(b"{")
        await asyncio.Event().wait()


STATUS = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "I am a Status", "code": 409}
REVIEW = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}

BROKEN = {
    "an error with a text": (
        answer(b"boom\n", status=500, content_type="text/plain"),
        'an error on the server ("boom") has prevented the request from succeeding',
        "500",
    ),
    "a Status": (answer(STATUS, status=409), "I am a Status", "409"),
    "a Status as a success": (
        answer(STATUS),
        "converting (v1.Status) to (v1.AdmissionReview): unknown conversion",
        "503",
    ),
    "a redirect": (
        answer(status=302, headers={"Location": "https://127.0.0.1/else"}),
        "the server responded with the status code 302 but did not return more information",
        "302",
    ),
    "not found": (answer(status=404), "the server could not find the requested resource", "404"),
    "too many": (
        answer(status=429),
        "the server has received too many requests and has asked us to try again later",
        "429",
    ),
    "nothing": (
        answer(),
        "0-length response with status code: 200 and content type: application/json",
        "503",
    ),
    "no JSON": (
        answer(b"<html>", content_type="text/html"),
        "couldn't get version/kind; json parse error: invalid character '<' looking for beginning of value",
        "503",
    ),
    "another kind": (
        answer({"kind": "Pod", "apiVersion": "v1"}),
        'no kind "Pod" is registered for version "v1" in scheme "pkg/util/webhook/client.go:74"',
        "503",
    ),
    "another version": (
        answer({**REVIEW, "apiVersion": "admission.k8s.io/v1beta1"}),
        "converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion",
        "503",
    ),
    "another type": (
        answer({**REVIEW, "response": {"allowed": "yes"}}),
        "json: cannot unmarshal string into Go struct field AdmissionReview.response.allowed of type bool",
        "503",
    ),
    "10 MB": (
        answer(b" " * 10_000_000),
        (
            "unexpected error when reading response body. Please retry. Original error: the answer is longer"
            f" than {ANSWER_BYTES} bytes"
        ),
        "503",
    ),
    "a deep answer": (answer(b"[" * 100_000), "couldn't get version/kind; json parse error: ", "503"),
}


@pytest.mark.parametrize("case", list(BROKEN))
async def test_broken_answers(hooked: Hooked, case: str) -> None:
    hook, why, code = BROKEN[case]
    await hooked.validating("/a", hook)
    message = await hooked.rig.fail(500, "POST", CONFIG_MAPS, NOTHING)
    assert message.startswith(LEAD + why) and (message == LEAD + why or case == "a deep answer")
    assert hooked.counts("webhook_requests") == {(code, "a.example.com", "CREATE", "true", "validating"): 1}
    await hooked.rig.ok("DELETE", f"{VALIDATING}/a")
    await hooked.mutating("/a", failurePolicy="Ignore")
    await hooked.rig.ok("POST", CONFIG_MAPS, NOTHING)
    assert hooked.counts("webhook_fail_open") == {("a.example.com", "admit"): 1}
    assert len(hooked.server.reviews) == 2, "neither is asked twice"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"response": None}, "webhook response was absent"),
        ({"response": {"allowed": True}}, 'expected response.uid="{uid}", got ""'),
        (
            {"kind": ""},
            (
                "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got"
                " admission.k8s.io/v1, Kind="
            ),
        ),
        (
            {"apiVersion": None},
            (
                "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /,"
                " Kind=AdmissionReview"
            ),
        ),
    ],
)
async def test_reviews_that_break_a_rule(hooked: Hooked, change: Any, why: str) -> None:
    def hook(request: Any) -> Any:
        return web.json_response({**REVIEW, "response": {"uid": request["uid"], "allowed": True}, **change})

    await hooked.validating("/a", hook)
    message = await hooked.rig.fail(500, "POST", CONFIG_MAPS, NOTHING)
    (request,) = hooked.server.asked("/a")
    assert message == LEAD.replace(
        "failed to call webhook: ", f"received invalid webhook response: {why.format(uid=request['uid'])}"
    )


async def test_v1beta1_verifies_nothing(hooked: Hooked) -> None:
    data = base64.b64encode(b'[{"op":"add","path":"/data/new","value":"x"}]').decode()
    await hooked.mutating(
        "/a",
        lambda request: web.json_response({"response": {"allowed": True, "patch": data}}),
        admissionReviewVersions=["v2", "v1beta1", "v1"],
    )
    made = await hooked.rig.ok("POST", CONFIG_MAPS, NOTHING)
    assert made["data"] == {"a": "b", "new": "x"}


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
async def test_time_outs(virtual: Any, runner: asyncio.Runner, hooked: Hooked, policy: str) -> None:
    await hooked.validating("/a", hang, failurePolicy=policy, timeoutSeconds=1)
    started = virtual.time()
    got = await hooked.rig.call("POST", CONFIG_MAPS, NOTHING)
    assert virtual.time() - started == pytest.approx(1)
    assert (got.status, len(hooked.server.reviews)) == (201 if policy == "Ignore" else 500, 1)
    if policy == "Fail":
        url = f"https://127.0.0.1:{hooked.server.port}/a?timeout=1s"
        assert got.body["message"] == f'{LEAD}Post "{url}": context deadline exceeded'


async def test_an_answer_that_never_ends(virtual: Any, runner: asyncio.Runner, hooked: Hooked) -> None:
    async def trickle(request: Any) -> Any:
        return web.Response(body=Endless(), headers={"Content-Length": "1000"})

    await hooked.validating("/a", trickle, timeoutSeconds=2)
    assert (
        await hooked.rig.fail(500, "POST", CONFIG_MAPS, NOTHING)
        == f"{LEAD}unexpected error when reading response body. Please retry. Original error: context"
        " deadline exceeded"
    )


async def test_a_webhook_that_is_dead_or_not_trusted(hooked: Hooked) -> None:
    server = hooked.server
    good = server.client_config("/a")
    for change, why in (
        ({"url": "https://127.0.0.1:1/a"}, "dial tcp 127.0.0.1:1: connect: connection refused"),
        ({"caBundle": ""}, "tls: failed to verify certificate: x509: "),
        ({"caBundle": base64.b64encode(b"no certificate").decode()}, "tls: "),
        (
            {"url": f"https://localhost:{server.port}/a"},
            "tls: failed to verify certificate: x509: ",
        ),
        (
            {"service": {"name": "none", "namespace": "default", "port": 7}, "url": None},
            'service "none" not found',
        ),
    ):
        config = {k: v for k, v in {**good, **change}.items() if v is not None}
        await hooked.validating("/a", allow, clientConfig=config)
        message = await hooked.rig.fail(500, "POST", CONFIG_MAPS, NOTHING)
        assert message.startswith(f'{LEAD}Post "https://') and why in message, message
        await hooked.rig.ok("DELETE", f"{VALIDATING}/a")
    assert not server.reviews


async def test_match_conditions(hooked: Hooked) -> None:
    conditions = [
        {"name": "not-free", "expression": "!object.metadata.name.startsWith('free')"},
        {"name": "data", "expression": "object.data.a == 'b'"},
    ]
    await hooked.mutating("/a", deny, matchConditions=conditions, rules=[{**RULE, "operations": ["CREATE"]}])
    rig = hooked.rig
    await rig.ok("POST", CONFIG_MAPS, config_map("free", data={"a": "b"}))
    await rig.ok("POST", CONFIG_MAPS, config_map("free-too")), "a false one decides, whatever the others say"
    await rig.fail(400, "POST", CONFIG_MAPS, NOTHING)
    message = await rig.fail(403, "POST", CONFIG_MAPS, config_map("c", data={"x": ""}))
    assert message == (
        "configmaps \"c\" is forbidden: expression 'object.data.a == 'b'' resulted in error: no such key: a"
    )
    labels = ("webhook", "a.example.com", "CREATE", "admit")
    assert hooked.counts("condition_exclusions") == {labels: 2}
    assert hooked.counts("condition_errors") == {labels: 2}
    assert hooked.counts("condition_seconds") == {labels: 4}
    await rig.ok("DELETE", f"{MUTATING}/a")
    await hooked.mutating("/a", matchConditions=conditions, failurePolicy="Ignore")
    await rig.ok("POST", CONFIG_MAPS, config_map("c", data={"x": ""}))


async def test_match_conditions_that_cost_too_much_or_ask_for_rights(
    runner: asyncio.Runner, tmp_path: pathlib.Path
) -> None:
    class Judge:
        async def authorize(self, attributes: Any) -> Any:
            class Answer:
                allowed, reason = attributes.verb == "breakglass", ""

            return Answer()

    async with Hooked(tmp_path, authorizer=Judge()) as hooked:
        may = "!authorizer.group('x.io').resource('y').check('%s').allowed()"
        await hooked.validating("/a", deny, matchConditions=[{"name": "x", "expression": may % "breakglass"}])
        await hooked.rig.ok("POST", CONFIG_MAPS, config_map("one", data={"a": "b"}))
        await hooked.rig.ok("DELETE", f"{VALIDATING}/a")
        ten = "[1,2,3,4,5,6,7,8,9,10]"
        much = (
            f"{ten}.all(a, {ten}.all(b, {ten}.all(c, {ten}.all(d, {ten}.all(e, {ten}.all(f, a+b+c+d+e+f >"
            " 0))))))"
        )
        await hooked.validating("/a", matchConditions=[{"name": "x", "expression": much}])
        message = await hooked.rig.fail(403, "POST", CONFIG_MAPS, NOTHING)
        assert "out of cost budget" in message or "cost limit exceeded" in message


async def test_metrics_have_upstreams_names(hooked: Hooked) -> None:
    await hooked.validating("/a", deny)
    await hooked.rig.fail(400, "POST", CONFIG_MAPS, NOTHING)
    await hooked.validating("/b", hang, failurePolicy="Ignore")
    registry = MetricsRegistry()
    registry.add(hooked.metrics)
    lines = (await registry.expose()).decode().splitlines()
    labels = 'name="a.example.com",operation="CREATE"'
    for line in (
        (
            "apiserver_admission_webhook_admission_duration_seconds_count"
            f'{{{labels},rejected="true",type="validating"}} 1'
        ),
        (
            f'apiserver_admission_webhook_request_total{{code="400",{labels},'
            'rejected="true",type="validating"} 1'
        ),
        (
            'apiserver_admission_webhook_rejection_count{error_type="no_error",'
            f'{labels},rejection_code="400",type="validating"}} 1'
        ),
    ):
        assert line in lines
    assert sum("webhook_admission_duration_seconds_bucket" in line for line in lines) == 9


async def test_a_dead_webhook_is_not_called_for_a_while(
    virtual: Any, runner: asyncio.Runner, hooked: Hooked
) -> None:
    """kubernetes#128162."""
    await hooked.mutating("/a", hang, failurePolicy="Ignore", timeoutSeconds=10)
    rig = hooked.rig
    source: Any = rig.chain.mutators[-1]
    (hook,) = source._source.hooks if source._source is not None else source._followed(rig.readers).hooks
    hook.breaker._clock = virtual.time
    for i in range(breaker.FAILURES):
        await rig.ok("POST", CONFIG_MAPS, config_map(f"slow{i}"))
    started = virtual.time()
    for i in range(5):
        await rig.ok("POST", CONFIG_MAPS, config_map(f"fast{i}"))
    assert virtual.time() == started and len(hooked.server.reviews) == breaker.FAILURES
    assert hooked.counts("webhook_skipped") == {("a.example.com", "admit"): 5}
    hooked.server.hooks["/a"] = allow
    await virtual.advance(breaker.FIRST + 1)
    for i in range(2):
        await rig.ok("POST", CONFIG_MAPS, config_map(f"well{i}"))
    assert len(hooked.server.reviews) == breaker.FAILURES + 2


async def test_a_clients_own_haste_does_not_switch_a_webhook_off(
    virtual: Any, runner: asyncio.Runner, hooked: Hooked
) -> None:
    await hooked.mutating("/a", hang, failurePolicy="Ignore", timeoutSeconds=10)
    for i in range(breaker.FAILURES + 2):
        await hooked.rig.ok("POST", f"{CONFIG_MAPS}?timeout=1s", config_map(f"hasty{i}"))
    assert len(hooked.server.reviews) == breaker.FAILURES + 2


async def test_a_webhook_that_must_be_asked_always_is(
    virtual: Any, runner: asyncio.Runner, hooked: Hooked
) -> None:
    await hooked.mutating("/a", hang, timeoutSeconds=1)
    for _ in range(breaker.FAILURES + 2):
        await hooked.rig.fail(500, "POST", CONFIG_MAPS, NOTHING)
    assert len(hooked.server.reviews) == breaker.FAILURES + 2
