"""/faults: who may ask, and what is answered."""

import asyncio

from faults.conftest import FaultyRig
from harness import CONFIG_MAPS, Rig

from pilothouse.endpoints.dispatch import Dispatcher

RBAC = "/apis/rbac.authorization.k8s.io/v1"


async def test_a_fault_from_its_beginning_to_its_end(rig: FaultyRig) -> None:
    rule = {"verb": "list", "code": 503, "times": 1}
    answer = await rig.call("PUT", "/faults/lists", rule)
    assert answer.status == 201 and answer.body["rule"] == {"verb": ["list"], "code": 503, "times": 1}
    refused = await rig.call("GET", CONFIG_MAPS, headers={"User-Agent": "c/1"})
    assert (await rig.call("GET", CONFIG_MAPS)).status == 200
    found = await rig.ok("GET", "/faults/lists")
    assert (found["hits"], found["matched"]) == (1, 1)
    [hit] = found["requests"]
    assert hit.pop("time").endswith("Z")
    assert hit == {
        "auditID": refused.headers["audit-id"],
        "verb": "list",
        "path": CONFIG_MAPS,
        "user": "admin",
        "userAgent": "c/1",
    }
    assert [one["name"] for one in (await rig.ok("GET", "/faults"))["faults"]] == ["lists"]
    assert (await rig.call("PUT", "/faults/lists", rule)).status == 200
    assert (await rig.ok("DELETE", "/faults/lists"))["hits"] == 0
    assert (await rig.ok("GET", "/faults"))["faults"] == []


async def test_all_at_once(rig: FaultyRig) -> None:
    await rig.fault("a", code=503)
    await rig.fault("b", drop=True)
    assert [one["name"] for one in (await rig.ok("DELETE", "/faults"))["faults"]] == ["a", "b"]
    assert (await rig.call("GET", CONFIG_MAPS)).status == 200


async def test_what_is_refused(rig: FaultyRig) -> None:
    assert await rig.fail(404, "GET", "/faults/none") == 'fault "none" not found'
    assert await rig.fail(404, "DELETE", "/faults/none") == 'fault "none" not found'
    assert (await rig.call("POST", "/faults", {})).status == 405
    assert (await rig.call("PUT", "/faults", {})).status == 405
    assert await rig.fail(422, "PUT", "/faults/a", {"code": 1}) == (
        'Fault.faults.pilothouse.dev "a" is invalid: code: must be from 400 to 599'
    )
    assert (await rig.call("GET", "/faults", headers={"Accept": "text/html"})).status == 406


async def test_who_may(rig: FaultyRig) -> None:
    for method, path in (("GET", "/faults"), ("PUT", "/faults/a"), ("DELETE", "/faults")):
        for user in ("jane", ""):
            assert (await rig.call(method, path, {"code": 503}, user=user)).status == 403
    rule = {"nonResourceURLs": ["/faults", "/faults/*"], "verbs": ["get", "put"]}
    await rig.ok("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "breaker"}, "rules": [rule]})
    binding = {
        "metadata": {"name": "breakers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "breaker"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await rig.ok("POST", f"{RBAC}/clusterrolebindings", binding)
    assert (await rig.call("PUT", "/faults/a", {"code": 503, "verb": "watch"}, user="jane")).status == 201
    assert (await rig.call("DELETE", "/faults/a", user="jane")).status == 403


def test_without_the_flag_there_is_no_such_path() -> None:
    async def main() -> None:
        async with Rig() as rig:
            assert rig.handlers.faults is None
            assert type(rig.pipeline.stages.dispatcher) is Dispatcher
            assert (await rig.call("GET", "/faults")).status == 404

    asyncio.run(main())
