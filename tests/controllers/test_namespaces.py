"""A deleted namespace is emptied and then removed."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Rig, config_map, pod

from pilothouse.controllers.namespaces import NamespaceDeletion

PATH = "/api/v1/namespaces/n"
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
def controller(rig: Rig, runner: asyncio.Runner) -> Iterator[Any]:
    controller = NamespaceDeletion(rig.client("namespace-controller"))

    async def start() -> None:
        controller.start()
        await rig.namespace("n")

    async def stop() -> None:
        await controller.close()
        await rig.settle()

    runner.run(start())
    yield controller
    runner.run(stop())


async def delete(rig: Rig) -> None:
    await rig.ok("DELETE", PATH)
    await rig.settle()


async def gone(rig: Rig, path: str = PATH) -> bool:
    return (await rig.call("GET", path)).status == 404


async def test_an_empty_namespace_goes_at_once(rig: Rig, controller: Any) -> None:
    await delete(rig)
    assert await gone(rig)


async def test_a_namespace_that_is_not_deleted_stays(rig: Rig, controller: Any) -> None:
    await rig.ok("POST", PATH + "/configmaps", config_map("a"))
    controller.queue.add("n")
    controller.queue.add("none")
    await rig.settle()
    assert not await gone(rig, PATH + "/configmaps/a")


async def test_its_contents_go_with_it_and_no_others(rig: Rig, controller: Any) -> None:
    for n in range(5):
        await rig.ok("POST", PATH + "/configmaps", config_map(f"c{n}"))
    await rig.ok("POST", PATH + "/secrets", {"metadata": {"name": "s"}})
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
    await rig.ok("POST", "/apis/coordination.k8s.io/v1/namespaces/n/leases", lease)
    await rig.namespace("n2")
    await rig.ok("POST", "/api/v1/namespaces/n2/configmaps", config_map("other"))
    await delete(rig)
    assert await gone(rig)
    for path in ("/api/v1/configmaps", "/api/v1/secrets", "/apis/coordination.k8s.io/v1/leases"):
        left = (await rig.ok("GET", path))["items"]
        assert [i["metadata"]["name"] for i in left] == (["other"] if path.endswith("configmaps") else [])


async def test_what_keeps_it_is_told(rig: Rig, controller: Any) -> None:
    await rig.ok("POST", PATH + "/configmaps", config_map("a", finalizers=["example.com/f"]))
    await rig.ok("POST", PATH + "/configmaps", config_map("b"))
    await delete(rig)
    namespace = await rig.ok("GET", PATH)
    assert namespace["status"]["phase"] == "Terminating"
    told = {c["type"]: (c["status"], c["reason"], c["message"]) for c in namespace["status"]["conditions"]}
    assert told == {
        "NamespaceDeletionDiscoveryFailure": (
            "False",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        "NamespaceDeletionGroupVersionParsingFailure": (
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        "NamespaceDeletionContentFailure": (
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        "NamespaceContentRemaining": (
            "True",
            "SomeResourcesRemain",
            "Some resources are remaining: configmaps. has 1 resource instances",
        ),
        "NamespaceFinalizersRemaining": (
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: example.com/f in 1 resource instances",
        ),
    }
    before = rig.storage.revision
    controller.queue.add("n")
    await rig.settle()
    assert rig.storage.revision == before, "nothing new to tell"
    await rig.ok("PATCH", PATH + "/configmaps/a", {"metadata": {"finalizers": None}}, headers=MERGE)
    controller.queue.add("n")
    await rig.settle()
    assert await gone(rig)


async def test_finalizers_of_others_keep_the_namespace(rig: Rig, controller: Any) -> None:
    live = await rig.ok("GET", PATH)
    live["spec"]["finalizers"] = ["example.com/mine", "kubernetes"]
    await rig.ok("PUT", PATH + "/finalize", live)
    await rig.ok("POST", PATH + "/configmaps", config_map("a"))
    await delete(rig)
    live = await rig.ok("GET", PATH)
    assert live["spec"]["finalizers"] == ["example.com/mine"]
    assert (await rig.ok("GET", PATH + "/configmaps"))["items"] == []
    live["spec"] = {}
    await rig.ok("PUT", PATH + "/finalize", live)
    assert await gone(rig)


async def test_finalizers_in_the_metadata_keep_it_too(rig: Rig, controller: Any) -> None:
    await rig.ok("PATCH", PATH, {"metadata": {"finalizers": ["example.com/f"]}}, headers=MERGE)
    await delete(rig)
    live = await rig.ok("GET", PATH)
    assert not live["spec"].get("finalizers") and live["metadata"]["finalizers"] == ["example.com/f"]
    await rig.ok("PATCH", PATH, {"metadata": {"finalizers": None}}, headers=MERGE)
    assert await gone(rig)


async def test_pods_end_gracefully_where_somebody_can_end_them(rig: Rig, controller: Any) -> None:
    await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "here"}})
    await rig.ok("POST", PATH + "/pods", pod("running", spec={"nodeName": "here"}))
    await rig.ok("POST", PATH + "/pods", pod("lost", spec={"nodeName": "nowhere"}))
    await rig.ok("POST", PATH + "/pods", pod("pending"))
    await delete(rig)
    (left,) = (await rig.ok("GET", PATH + "/pods"))["items"]
    assert left["metadata"]["name"] == "running" and left["metadata"]["deletionGracePeriodSeconds"] == 30
    await rig.ok("DELETE", PATH + "/pods/running", {"gracePeriodSeconds": 0})
    controller.queue.add("n")
    await rig.settle()
    assert await gone(rig)


async def test_a_namespace_that_was_deleted_before_the_start(rig: Rig) -> None:
    await rig.namespace("n")
    await rig.ok("DELETE", PATH)
    controller = NamespaceDeletion(rig.client())
    controller.start()
    await rig.settle()
    assert await gone(rig)
    await controller.close()
