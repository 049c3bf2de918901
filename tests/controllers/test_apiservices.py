"""APIServices of local group versions; the tests of the aggregator cover those of other servers."""

import asyncio
from typing import Any

import pytest
from eventually import aeventually
from harness import Rig

from pilothouse.controllers.apiservices import MANAGED, APIServices
from pilothouse.controllers.remote_discovery import RemoteDiscovery
from pilothouse.registry.conventions import CUSTOM
from pilothouse.registry.resource import Resource

PATH = "/apis/apiregistration.k8s.io/v1/apiservices"
SPEC = {"group": "a.example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 100}
MERGE = {"Content-Type": "application/merge-patch+json"}


def custom() -> Resource:
    return Resource(
        group="a.example.com",
        version="v1",
        plural="fans",
        kind="Fan",
        singular="fan",
        namespaced=True,
        verbs=("get", "list"),
        key_prefix="/registry/a.example.com/fans/",
        conventions=CUSTOM,
    )


pytestmark = pytest.mark.usefixtures("virtual")


@pytest.fixture
def following(rig: Any, runner: asyncio.Runner) -> Any:
    remote = RemoteDiscovery(rig.outbound, rig.resolver)
    controller = APIServices(rig.client("kube-apiserver"), rig.discovery, remote)

    async def start() -> None:
        controller.start()

    runner.run(start())
    yield controller
    runner.run(controller.close())


async def until(rig: Any, status: int) -> Any:
    async def reached() -> Any:
        answer = await rig.call("GET", f"{PATH}/v1.a.example.com")
        return answer.body if answer.status == status else None

    return await aeventually(reached, f"status {status}")


async def test_a_custom_group_version_has_one(rig: Rig, following: Any) -> None:
    rig.catalog.add(custom())
    made = await until(rig, 200)
    assert made["spec"] == SPEC and made["metadata"]["labels"] == {MANAGED: "true"}
    assert made["status"]["conditions"][0]["reason"] == "Local"
    rig.catalog.remove("a.example.com", "v1", "fans")
    await until(rig, 404)


async def test_it_comes_back_and_is_mended(rig: Rig, following: Any) -> None:
    rig.catalog.add(custom())
    await until(rig, 200)
    await rig.ok("DELETE", f"{PATH}/v1.a.example.com")
    await until(rig, 200)
    await rig.ok("PATCH", f"{PATH}/v1.a.example.com", {"spec": {"versionPriority": 5}}, headers=MERGE)

    async def fixed() -> bool:
        return (await until(rig, 200))["spec"] == SPEC

    await aeventually(fixed, "it is fixed")


async def test_one_without_the_label_is_left_alone(rig: Rig, following: Any) -> None:
    rig.catalog.add(custom())
    await until(rig, 200)
    patch = {"metadata": {"labels": None}, "spec": {"versionPriority": 5}}
    await rig.ok("PATCH", f"{PATH}/v1.a.example.com", patch, headers=MERGE)
    rig.catalog.remove("a.example.com", "v1", "fans")
    await rig.settle()
    assert (await until(rig, 200))["spec"]["versionPriority"] == 5


async def test_local_ones_are_in_the_plain_lists(rig: Rig, following: Any) -> None:
    await rig.ok("POST", PATH, {"metadata": {"name": "v1.a.example.com"}, "spec": SPEC})
    groups = (await rig.ok("GET", "/apis"))["groups"]
    assert groups[-1]["name"] == "a.example.com"
    assert "/apis/a.example.com/v1" in (await rig.ok("GET", "/"))["paths"]
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    items = (await rig.ok("GET", "/apis", headers={"Accept": accept}))["items"]
    assert "a.example.com" not in [i["metadata"]["name"] for i in items]
    assert (await rig.call("GET", "/apis/a.example.com/v1")).status == 404


async def test_it_is_counted_how_often_a_server_becomes_unavailable(rig: Any, following: Any) -> None:
    metrics = following.metrics
    name, service = "v1.far.example.com", {"namespace": "default", "name": "far"}
    spec = {**SPEC, "group": "far.example.com", "service": service}
    await rig.ok("POST", PATH, {"metadata": {"name": name}, "spec": spec})
    await rig.settle()
    assert metrics.unavailable.values[name,] == 1
    assert metrics.became_unavailable.values == {}  # it has never been available
    condition = {"type": "Available", "status": "True", "lastTransitionTime": None}
    await rig.ok("PATCH", f"{PATH}/{name}/status", {"status": {"conditions": [condition]}}, headers=MERGE)
    await rig.settle()
    assert metrics.became_unavailable.values == {(name, "ServiceNotFound"): 1}
    await rig.ok("DELETE", f"{PATH}/{name}")
    await rig.settle()
    assert (name,) not in metrics.unavailable.values
