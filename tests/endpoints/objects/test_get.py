"""GET of one object."""

import pytest
from harness import CONFIG_MAPS, PODS, Rig, config_map, pod


async def test_what_was_written_is_read_at_once(rig: Rig) -> None:
    made = await rig.config_map("a", data={"k": "v"})
    assert await rig.ok("GET", CONFIG_MAPS + "/a") == made
    changed = await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "w"}))
    assert await rig.ok("GET", CONFIG_MAPS + "/a") == changed
    assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


async def test_what_is_not_there(rig: Rig) -> None:
    answer = await rig.call("GET", CONFIG_MAPS + "/a")
    assert answer.status == 404
    assert answer.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "a" not found',
        "reason": "NotFound",
        "details": {"name": "a", "kind": "configmaps"},
        "code": 404,
    }
    answer = await rig.call("GET", "/apis/apps/v1/namespaces/default/deployments/x")
    assert answer.body["message"] == 'deployments.apps "x" not found'
    assert answer.body["details"] == {"name": "x", "group": "apps", "kind": "deployments"}


async def test_a_version_is_a_lower_bound(rig: Rig) -> None:
    made = await rig.config_map("a")
    revision = int(made["metadata"]["resourceVersion"])
    for asked in ("", "0", "1", str(revision)):
        assert await rig.ok("GET", f"{CONFIG_MAPS}/a?resourceVersion={asked}") == made
    answer = await rig.call("GET", f"{CONFIG_MAPS}/a?resourceVersion={revision + 1}")
    assert (answer.status, answer.headers["retry-after"]) == (504, "1")
    assert (
        answer.body["message"] == f"Timeout: Too large resource version: {revision + 1}, current: {revision}"
    )
    assert answer.body["details"] == {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }


async def test_a_version_that_is_none(rig: Rig) -> None:
    await rig.config_map("a")
    message = await rig.fail(500, "GET", CONFIG_MAPS + "/a?resourceVersion=x")
    assert message == 'resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax'


@pytest.mark.parametrize("name", ["..", "a%2Fb", "a%25b"])
async def test_a_name_that_can_be_none(rig: Rig, name: str) -> None:
    assert (await rig.call("GET", f"{CONFIG_MAPS}/{name}")).status in (400, 404)


async def test_a_subresource_that_shows_the_object(rig: Rig) -> None:
    made = await rig.ok("POST", PODS, pod("a"))
    assert await rig.ok("GET", PODS + "/a/status") == made
    assert await rig.fail(404, "GET", PODS + "/b/status") == 'pods "b" not found'


async def test_another_version_of_the_same_object(rig: Rig) -> None:
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}, "maxReplicas": 3}
    path = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
    spec["targetCPUUtilizationPercentage"] = 40
    await rig.ok("POST", path.format("v1"), {"metadata": {"name": "h"}, "spec": spec})
    one = await rig.ok("GET", path.format("v1") + "/h")
    two = await rig.ok("GET", path.format("v2") + "/h")
    assert (one["apiVersion"], two["apiVersion"]) == ("autoscaling/v1", "autoscaling/v2")
    assert one["spec"]["targetCPUUtilizationPercentage"] == 40
    assert two["spec"]["metrics"][0]["resource"]["target"] == {
        "type": "Utilization",
        "averageUtilization": 40,
    }
    assert one["metadata"]["uid"] == two["metadata"]["uid"]
