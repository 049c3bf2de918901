"""Requests that faults strike, through all stages."""

import asyncio

import pytest
from faults.conftest import FaultyRig
from harness import CONFIG_MAPS, config_map
from virtual_time import VirtualLoop

from pilothouse.endpoints.pipeline import Pipeline

DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/web"
MAP = f"{CONFIG_MAPS}/a"


async def test_nothing_changes_without_faults(rig: FaultyRig) -> None:
    await rig.config_map("a")
    answer = await rig.call("GET", MAP)
    assert answer.status == 200 and "x-pilothouse-fault" not in answer.headers


async def test_plans_are_put_aside_while_there_are_faults(rig: FaultyRig) -> None:
    """A GET that has a plan is answered in the parser's callback, where no fault would see it."""
    await rig.config_map("a")
    pipeline: Pipeline = rig.pipeline
    planner = pipeline.planner
    assert planner is not None
    for _ in range(2):
        await rig.ok("GET", MAP)
    assert len(planner.known) == 1
    await rig.fault(verb="get", resource="configmaps", code=503)
    assert pipeline.planner is None
    assert (await rig.call("GET", MAP)).status == 503
    await rig.ok("DELETE", "/faults/f")
    assert pipeline.planner is planner
    await rig.ok("GET", MAP)


@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [
        (403, "Forbidden", 'configmaps "a" is forbidden: the fault was asked for'),
        (404, "NotFound", 'configmaps "a" not found'),
        (
            409,
            "Conflict",
            'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your'
            " changes to the latest version and try again",
        ),
        (
            429,
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        ),
        (500, "InternalError", "Internal error occurred: the fault was asked for"),
        (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
        (504, "Timeout", "Timeout: request did not complete within the allotted timeout"),
    ],
)
async def test_codes(rig: FaultyRig, code: int, reason: str, message: str) -> None:
    made = await rig.config_map("a")
    await rig.fault("sick", verb="update", resource="configmaps", code=code, times=1)
    answer = await rig.call("PUT", MAP, made)
    assert (answer.status, answer.body["reason"], answer.body["message"]) == (code, reason, message)
    assert answer.headers["x-pilothouse-fault"] == "sick"
    assert answer.headers.get("retry-after") == ("1" if code == 429 else None)
    assert (await rig.call("PUT", MAP, made)).status == 200


async def test_a_create_that_conflicts_exists_already(rig: FaultyRig) -> None:
    await rig.fault(verb="create", code=409)
    assert (await rig.call("POST", CONFIG_MAPS, config_map("a"))).body["reason"] == "AlreadyExists"


async def test_own_words(rig: FaultyRig) -> None:
    await rig.fault(code=503, reason="Sick", message="come back later", retryAfter=7)
    answer = await rig.call("GET", MAP)
    assert (answer.body["reason"], answer.body["message"]) == ("Sick", "come back later")
    assert answer.headers["retry-after"] == "7" and answer.body["details"]["retryAfterSeconds"] == 7


async def test_a_webhook_refuses(rig: FaultyRig) -> None:
    await rig.fault(webhook="policy.example.com", message="no blue maps")
    answer = await rig.call("POST", CONFIG_MAPS, config_map("a"))
    assert answer.status == 403
    assert answer.body["message"] == 'admission webhook "policy.example.com" denied the request: no blue maps'
    assert (await rig.call("GET", CONFIG_MAPS)).status == 200


async def test_a_delay(rig: FaultyRig, virtual: VirtualLoop) -> None:
    await rig.config_map("a")
    await rig.fault("slow", verb="get", delay=20)
    began = virtual.time()
    answer = await rig.call("GET", MAP)
    assert answer.status == 200 and answer.headers["x-pilothouse-fault"] == "slow"
    assert virtual.time() - began == 20


async def test_a_delay_does_not_outlast_the_deadline(rig: FaultyRig, virtual: VirtualLoop) -> None:
    await rig.fault(delay=500)
    assert (await rig.call("GET", MAP)).status == 504


async def test_a_connection_is_dropped_before_or_after_the_write(rig: FaultyRig) -> None:
    await rig.fault(verb="create", drop=True, times=1)
    with pytest.raises(asyncio.CancelledError):
        await rig.call("POST", CONFIG_MAPS, config_map("a"))
    assert (await rig.call("GET", MAP)).status == 404
    await rig.fault(verb="create", drop=True, carryOut=True, times=1)
    with pytest.raises(asyncio.CancelledError):
        await rig.call("POST", CONFIG_MAPS, config_map("a"))
    assert (await rig.call("GET", MAP)).status == 200


async def test_an_answer_that_lies(rig: FaultyRig) -> None:
    await rig.fault(verb="create", code=500, carryOut=True)
    assert (await rig.call("POST", CONFIG_MAPS, config_map("a"))).status == 500
    assert (await rig.call("GET", MAP)).status == 200


async def test_a_list_is_as_old_as_the_fault(rig: FaultyRig) -> None:
    before = await rig.config_map("a")
    await rig.fault(resource="configmaps", stale=True)
    await rig.config_map("b")

    async def names(query: str) -> list[str]:
        return [one["metadata"]["name"] for one in (await rig.ok("GET", CONFIG_MAPS + query))["items"]]

    assert await names("?resourceVersion=0&limit=1") == ["a"]
    assert await names("") == ["a", "b"]
    assert await names("?resourceVersion=1") == ["a", "b"]
    stale = await rig.call("GET", f"{CONFIG_MAPS}?resourceVersion=0")
    assert stale.body["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert stale.headers["x-pilothouse-fault"] == "f"
    seen = await rig.watch(
        f"{CONFIG_MAPS}?watch=1&resourceVersion={stale.body['metadata']['resourceVersion']}"
    )
    assert seen.seen() == [("ADDED", "b")]


async def test_lists_that_are_too_old(rig: FaultyRig) -> None:
    for name in ("a", "b"):
        await rig.config_map(name)
    page = await rig.ok("GET", f"{CONFIG_MAPS}?limit=1")
    await rig.fault(verb="list", code=410)
    message = await rig.fail(410, "GET", f"{CONFIG_MAPS}?limit=1&continue={page['metadata']['continue']}")
    assert message.startswith("The provided continue parameter is too old")
    revision = page["metadata"]["resourceVersion"]
    answer = await rig.call("GET", f"{CONFIG_MAPS}?resourceVersion={revision}&resourceVersionMatch=Exact")
    assert answer.status == 410 and answer.body["reason"] == "Expired"
    assert (await rig.call("GET", CONFIG_MAPS)).status == 200
    assert await rig.hits() == 2


async def test_by_user_agent_and_user(rig: FaultyRig) -> None:
    await rig.fault(userAgent="controller/*", code=503)
    assert (await rig.call("GET", CONFIG_MAPS, headers={"User-Agent": "controller/v1"})).status == 503
    assert (await rig.call("GET", CONFIG_MAPS)).status == 200
    await rig.fault(user="jane", code=503)
    assert (await rig.call("GET", CONFIG_MAPS, user="jane")).status == 403, "rights come first"


async def test_health_and_the_faults_themselves_are_spared(rig: FaultyRig) -> None:
    await rig.fault(path="*", code=503)
    assert "x-pilothouse-fault" not in (await rig.call("GET", "/readyz")).headers
    assert (await rig.call("GET", "/faults")).status == 200
    assert (await rig.call("GET", "/version")).status == 503


async def test_it_is_explained(rig: FaultyRig, virtual: VirtualLoop) -> None:
    await rig.fault("sick", resource="secrets", code=409, message="seen by all")
    audit_id = (await rig.call("GET", "/api/v1/namespaces/default/secrets/s")).headers["audit-id"]
    [found] = (await rig.ok("GET", f"/debug/requests/{audit_id}"))["requests"]
    assert found["why"] == 'The fault "sick" answered it with 409 Conflict.' and found["fault"] == "sick"
    assert found["answer"]["message"] == "seen by all"
    await rig.fault("slow", verb="create", delay=3)
    audit_id = (await rig.call("POST", CONFIG_MAPS, config_map("a"))).headers["audit-id"]
    [found] = (await rig.ok("GET", f"/debug/requests/{audit_id}"))["requests"]
    assert found["why"] == 'The fault "slow" delayed it.'
    stages = [stage["name"] for stage in found["stages"]]
    assert stages[2:4] == ["fault slow: delay", "body"] and "commit" in stages
    listed = (await rig.ok("GET", "/debug/requests?verb=create&resource=configmaps"))["requests"]
    assert listed[0]["fault"] == "slow"


async def test_it_is_counted(rig: FaultyRig) -> None:
    await rig.fault(code=503, resource="configmaps")
    await rig.call("GET", MAP)
    metrics = (await rig.call("GET", "/metrics")).body
    assert 'pilothouse_faults_total{effect="error"} 1' in metrics
    assert 'apiserver_request_total{code="503"' in metrics and 'resource="configmaps"' in metrics
