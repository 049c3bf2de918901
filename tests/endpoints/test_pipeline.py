"""The stages of every request: authentication, authorization, errors, time-outs."""

import asyncio
import json
import logging
from dataclasses import replace
from inspect import isawaitable
from typing import Any, cast

import pytest
from example_scale import SCALE
from harness import CONFIG_MAPS, PODS, Rig, Stream, config_map, pod
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import VirtualLoop

from pilothouse import errors
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values import _requestinfo as requestinfo
from pilothouse.authz.authorizer import Decision
from pilothouse.endpoints.request.attributes import attributes_of
from pilothouse.endpoints.request.context import Context
from pilothouse.server.request import Request, Response


class Trip(AdmissionPlugin):
    """Fails as it is told, by the name of the object."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = False

    def mutate(self, a: Any) -> Any:
        if a.name == "bug":
            raise KeyError("secret detail")
        if a.name == "value":
            raise ValueError("secret detail")
        if a.name == "deep":
            raise RecursionError("secret detail")
        if a.name == "teapot":
            raise errors.TooManyRequests("later", headers=[("Retry-After", "7")])
        return self._wait() if a.name in ("slow", "soon") else None

    async def _wait(self) -> None:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def tripping(scene: Any) -> None:
    """Run a scene on a rig with the plugin above, in virtual time."""

    async def main() -> None:
        trip = Trip()
        async with Rig([trip]) as rig:
            await scene(rig, trip)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


async def test_a_read_needs_no_task(rig: Rig) -> None:
    await rig.config_map("a")
    for target in (CONFIG_MAPS, CONFIG_MAPS + "/a", CONFIG_MAPS + "/b", "/api", "/version", "/nowhere"):
        assert isinstance(rig.handle("GET", target), Response), target
    assert isinstance(rig.handle("GET", CONFIG_MAPS + "?watch=1"), Response)
    assert isinstance(rig.handle("GET", CONFIG_MAPS, user="jane"), Response)


async def test_unauthorized(rig: Rig) -> None:
    message = await rig.fail(401, "GET", CONFIG_MAPS, user="nobody")
    assert message == "Unauthorized"
    answer = await rig.call("POST", CONFIG_MAPS, config_map("a"), user="nobody")
    assert answer.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Unauthorized",
        "reason": "Unauthorized",
        "code": 401,
    }


def test_without_anonymous_requests_a_token_is_needed() -> None:
    async def main() -> None:
        async with Rig(anonymous=False) as rig:
            await rig.fail(401, "GET", CONFIG_MAPS, user="")
            assert (await rig.call("GET", CONFIG_MAPS)).status == 200

    asyncio.run(main())


async def test_forbidden_tells_who_and_what(rig: Rig) -> None:
    answer = await rig.call("GET", CONFIG_MAPS + "/a", user="jane")
    assert (answer.status, answer.body["reason"]) == (403, "Forbidden")
    assert answer.body["message"] == (
        'configmaps "a" is forbidden: User "jane" cannot get resource "configmaps" in API group "" '
        'in the namespace "default"'
    )
    assert answer.body["details"] == {"name": "a", "kind": "configmaps"}
    message = await rig.fail(403, "GET", "/metrics", user="")
    assert message == 'forbidden: User "system:anonymous" cannot get path "/metrics"'


async def test_forbidden_comes_before_not_found(rig: Rig) -> None:
    """A user who may not ask learns nothing about the objects that are there."""
    assert (await rig.call("GET", "/apis/none.example/v1/x", user="jane")).status == 403
    assert (await rig.call("GET", CONFIG_MAPS + "?limit=x", user="jane")).status == 403
    assert (await rig.call("PUT", CONFIG_MAPS + "/a", b"{", user="jane")).status == 403


async def test_a_head_is_judged_before_its_body_is_read(rig: Rig) -> None:
    for user, target, status, caller in (
        ("admin", CONFIG_MAPS, None, "admin"),
        ("jane", CONFIG_MAPS, 403, "jane"),
        ("", CONFIG_MAPS, 403, ""),
        ("nobody", CONFIG_MAPS, 401, ""),
        ("admin", "/%zz", 400, ""),
        ("admin", CONFIG_MAPS + "?timeout=x", 400, ""),
    ):
        request = rig.request("POST", target, user=user)
        found = rig.pipeline.admit(request)
        found = await found if isawaitable(found) else found
        assert (found and found.status) == status and request.caller == caller, (user, target)
        if status is not None:
            answer = rig.answer(found)
            assert answer == (await rig.call("POST", target, user=user))._replace(headers=answer.headers)


async def test_every_answer_has_an_audit_id_and_is_not_cached(rig: Rig) -> None:
    for target in (CONFIG_MAPS, CONFIG_MAPS + "/none", "/nowhere", "/version"):
        answer = await rig.call("GET", target)
        assert len(answer.headers["audit-id"]) == 36, target
        assert answer.headers["cache-control"] == "no-cache, private", target
    answer = await rig.call("GET", CONFIG_MAPS, headers={"Audit-Id": "mine"})
    assert answer.headers["audit-id"] == "mine"


async def test_impersonation(rig: Rig) -> None:
    acting = {"Impersonate-User": "jane"}
    assert 'User "jane" cannot list' in await rig.fail(403, "GET", CONFIG_MAPS, headers=acting)
    message = await rig.fail(403, "GET", CONFIG_MAPS, user="jane", headers={"Impersonate-User": "admin"})
    assert 'User "jane" cannot impersonate' in message


def test_a_bug_becomes_a_status_without_details(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(rig: Rig, trip: Any) -> None:
        for name in ("bug", "deep"):
            answer = await rig.call("POST", CONFIG_MAPS, config_map(name))
            assert (answer.status, answer.body["kind"], answer.body["reason"]) == (
                500,
                "Status",
                "InternalError",
            )
            assert "secret" not in str(answer) and "Traceback" not in str(answer)
            assert len(answer.headers["audit-id"]) == 36
        assert (await rig.call("GET", CONFIG_MAPS)).body["items"] == []

    with caplog.at_level(logging.CRITICAL, "pilothouse.endpoints.pipeline"):
        tripping(scene)


def test_a_status_error_keeps_its_code_and_headers() -> None:
    async def scene(rig: Rig, trip: Any) -> None:
        answer = await rig.call("POST", CONFIG_MAPS, config_map("teapot"))
        assert (answer.status, answer.headers["retry-after"]) == (429, "7")

    tripping(scene)


def test_what_takes_too_long_times_out() -> None:
    async def scene(rig: Rig, trip: Any) -> None:
        answer = await rig.call("POST", CONFIG_MAPS + "?timeout=20s", config_map("slow"))
        assert (answer.status, answer.body["reason"]) == (504, "Timeout")
        assert "request did not complete within" in answer.body["message"]
        assert trip.cancelled
        assert len(answer.headers["audit-id"]) == 36

    tripping(scene)


@pytest.mark.parametrize(
    ("text", "why"), [("x", 'time: invalid duration "x"'), ("5", 'missing unit in duration "5"')]
)
async def test_a_timeout_is_a_duration(rig: Rig, text: str, why: str) -> None:
    message = await rig.fail(400, "GET", f"{CONFIG_MAPS}?timeout={text}")
    assert message.startswith("invalid timeout specified in the request URL - ") and why in message


def test_a_peer_that_goes_away_cancels_its_request() -> None:
    async def scene(rig: Rig, trip: Any) -> None:
        task = asyncio.ensure_future(rig.handle("POST", CONFIG_MAPS, config_map("slow")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert trip.cancelled
        assert (await rig.call("GET", CONFIG_MAPS + "/slow")).status == 404

    tripping(scene)


async def test_a_judge_that_waits(rig: Rig) -> None:
    class Remote:
        async def authorize(self, attributes: Any) -> Decision:
            await asyncio.sleep(0)
            return Decision(attributes.verb == "get", reason="asked far away")

    rig.pipeline.stages = replace(rig.pipeline.stages, authorizer=Remote())
    await rig.fail(404, "GET", CONFIG_MAPS + "/a")
    assert (await rig.fail(403, "GET", CONFIG_MAPS)).endswith(": asked far away")


async def test_a_selected_name_counts_as_the_name_for_the_judge(rig: Rig) -> None:
    asked = []

    class Judge:
        async def authorize(self, attributes: Any) -> Decision:
            asked.append(attributes)
            return Decision(True)

    rig.pipeline.stages = replace(rig.pipeline.stages, authorizer=Judge())
    await rig.call("GET", f"{PODS}?fieldSelector=metadata.name%3Da&labelSelector=x%3D1")
    (found,) = asked
    assert (found.verb, found.name) == ("list", "a")
    assert (found.field_selector, found.label_selector) == ("metadata.name=a", "x=1")
    await rig.call("GET", f"{PODS}/a?labelSelector=x%3D1")
    assert asked[-1].label_selector == ""


def test_a_wrong_value_inside_is_no_fault_of_the_client(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(rig: Rig, trip: Any) -> None:
        answer = await rig.call("POST", CONFIG_MAPS, config_map("value"))
        assert (answer.status, answer.body["reason"]) == (500, "InternalError")

    with caplog.at_level(logging.CRITICAL, "pilothouse.endpoints.pipeline"):
        tripping(scene)


async def test_the_server_s_own_deadline(rig: Rig, virtual: Any) -> None:
    class Slow:
        async def authorize(self, attributes: Any) -> None:
            await asyncio.Event().wait()

    rig.pipeline.stages = replace(rig.pipeline.stages, authorizer=Slow())
    began = virtual.time()
    message = await rig.fail(504, "GET", CONFIG_MAPS + "?timeout=1h")
    assert message == "Timeout: request did not complete within the allotted timeout"
    assert virtual.time() - began == rig.config.requests.request_timeout == 60
    watch = asyncio.ensure_future(rig.handle("GET", CONFIG_MAPS + "?watch=1&timeout=no"))
    done, _ = await asyncio.wait([watch], timeout=86400)
    assert not done, "nothing ends what runs long"
    watch.cancel()


@pytest.mark.parametrize("target", ["/api/v1/%zz", "/%"])
async def test_a_path_that_is_no_path(rig: Rig, target: str) -> None:
    answer = await rig.call("GET", target)
    assert answer.status == 400 and answer.headers["content-type"].startswith("text/plain")


async def test_requests_are_counted(rig: Rig) -> None:
    await rig.call("GET", CONFIG_MAPS)
    text = (await rig.metrics.expose()).decode()
    assert 'apiserver_request_total{code="200"' in text and 'resource="configmaps"' in text


def words(text: str) -> Any:
    return text.split()


SEGMENTS = st.sampled_from(
    [
        *words(
            "api apis v1 v2 apps autoscaling policy namespaces default pods configmaps nodes deployments "
            "services"
        ),
        *words(
            "serviceaccounts a p status scale watch binding eviction log finalize token proxy .. %2e %ff é"
        ),
        *("", "x" * 300),
    ]
)
CORE = "/api/v1/namespaces/default"
KNOWN = st.sampled_from(
    [
        *(CONFIG_MAPS, CONFIG_MAPS + "/a", PODS, PODS + "/p"),
        *(f"{PODS}/p/{sub}" for sub in ("status", "eviction", "binding")),
        *(CORE + "/finalize", CORE + "/services", CORE + "/events"),
        *("/api/v1/namespaces", "/api/v1/nodes", "/api/v1/componentstatuses"),
        "/apis/apps/v1/namespaces/default/deployments",
        "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
        "/apis/batch/v1/namespaces/default/cronjobs",
        "/apis/events.k8s.io/v1/namespaces/default/events",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    ]
)
NAMES = st.sampled_from(
    [
        *words(
            "resourceVersion resourceVersionMatch limit continue labelSelector fieldSelector watch dryRun "
            "timeout"
        ),
        *words(
            "timeoutSeconds sendInitialEvents allowWatchBookmarks fieldManager fieldValidation pretty force"
        ),
        *words("propagationPolicy gracePeriodSeconds orphanDependents includeObject"),
    ]
)
VALUES = st.sampled_from(
    [
        *words(
            "0 1 -1 5 true false All Exact NotOlderThan x a%3Db metadata.name%3Da %00 %ff Orphan Foreground"
        ),
        *words("Strict 1s a+in+(b !a eyJ2IjoibWV0YSJ9 %F0%9F%98%80"),
        *("", "9" * 30, "9" * 5000),
    ]
)
ACCEPTS = st.sampled_from(
    [
        *words(
            "application/json application/yaml application/vnd.kubernetes.protobuf */* text/html ; a/b;q=x"
        ),
        "application/json;as=Table;g=meta.k8s.io;v=v1",
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        "",
    ]
)
TYPES = st.sampled_from(
    [
        *words(
            "application/json application/yaml application/vnd.kubernetes.protobuf "
            "application/apply-patch+yaml"
        ),
        *(f"application/{kind}+json" for kind in ("merge-patch", "json-patch", "strategic-merge-patch")),
        *("x", ""),
    ]
)
MEMBERS = st.sampled_from(
    [
        *words(
            "metadata name spec status data labels kind apiVersion uid finalizers ownerReferences containers"
        ),
        *words("image replicas selector template rules ports resourceVersion annotations items"),
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from(["", "a", "p", "v1", "\x00", "é", 1.5, "1Gi"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=8,
)
BODIES = st.binary(max_size=8) | JSON.map(lambda v: json.dumps(v).encode()) | st.just(b"")


@settings(max_examples=40 * SCALE)
@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
    KNOWN | st.lists(SEGMENTS, max_size=8).map(lambda parts: "/" + "/".join(parts)),
    st.lists(st.tuples(NAMES, VALUES), max_size=3),
    ACCEPTS,
    TYPES,
    BODIES,
)
def test_no_request_is_the_server_s_fault(
    method: Any, path: Any, query: Any, accept: Any, content_type: Any, body: Any
) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.config_map("a", data={"k": "v"})
            await rig.ok("POST", PODS, pod("p"))
            target = path + ("?" + "&".join(f"{k}={v}" for k, v in query) if query else "")
            headers = {"Accept": accept, "Content-Type": content_type}
            response = rig.handle(method, target, body, headers={k: v for k, v in headers.items() if v})
            response = response if isinstance(response, Response) else await response
            assert 200 <= response.status < 600
            if response.start is not None:
                response.start(Stream())
            elif response.status >= 500:
                data = response.body if isinstance(response.body, bytes) else b"".join(response.body)
                assert b"Internal error occurred" not in data

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("GET", CONFIG_MAPS + "?fieldSelector=metadata.name%3Da", "a"),
        ("GET", CONFIG_MAPS + "?fieldSelector=metadata.name%3D%3Da", "a"),
        ("GET", CONFIG_MAPS + "?watch=1&fieldSelector=data%3Dx,metadata.name%3Da", "a"),
        ("GET", CONFIG_MAPS + "?fieldSelector=metadata.name!%3Da", ""),
        ("GET", CONFIG_MAPS + "?fieldSelector=metadata.name", ""),
        ("GET", CONFIG_MAPS + "?fieldSelector=metadata.name%3Da%5C", ""),
        ("GET", CONFIG_MAPS + "?fieldSelector=metadata.name%3Da/b", ""),
        ("GET", CONFIG_MAPS + "?fieldSelector=spec.metadata.name%3Da", ""),
        ("GET", CONFIG_MAPS + "?fieldSelector=&fieldSelector=metadata.name%3Da", ""),
        ("DELETE", CONFIG_MAPS + "?fieldSelector=metadata.name%3Da", ""),
        ("GET", "/api/v1/watch/namespaces/default/configmaps?fieldSelector=metadata.name%3Da", ""),
        ("GET", "/api/v1/namespaces/watch/configmaps?watch&fieldSelector=metadata.name%3Da", "a"),
        ("GET", "/apis/apps/v1/watch/deployments?fieldSelector=metadata.name%3Da", ""),
    ],
)
def test_the_name_that_a_field_selector_stands_for(method: str, target: Any, name: str) -> None:
    request = Request(method, target, {}, [])
    query = requestinfo.parse_query(request.query)
    info = requestinfo.parse(method, requestinfo.unescape_path(request.path), query)
    assert attributes_of(Context(request, info, query, "")).name == name


@pytest.mark.parametrize(("chance", "kept"), [(0.0, True), (1.0, False)])
async def test_a_chance_that_a_client_is_sent_elsewhere(rig: Rig, chance: float, kept: bool) -> None:
    rig.pipeline.goaway_chance = chance
    request = rig.request("GET", CONFIG_MAPS)
    rig.pipeline.handle(request)
    assert request.keep_alive is kept


async def test_while_a_server_goes_every_client_is_sent_elsewhere(rig: Rig) -> None:
    rig.pipeline.draining = True
    request = rig.request("GET", CONFIG_MAPS)
    rig.pipeline.handle(request)
    assert not request.keep_alive


@pytest.mark.parametrize("target", ["/api/v1/proxy", "/api/v1/watch?a=<b>&c"])
async def test_a_path_that_says_too_little(rig: Rig, target: str) -> None:
    response = await rig.respond("GET", target)
    shown = target.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert (response.status, cast("bytes", response.body).decode()) == (
        500,
        (
            f'Internal Server Error: "{shown}": failed to create RequestInfo: unable to determine kind and'
            f" namespace from url, {shown}\n"
        ),
    )
