"""Pods that nobody will end are deleted."""

from typing import Any

from harness import pod

from pilothouse.simulate.workloads.maker import WorkloadOptions

NODE = "/api/v1/nodes"
CONTROLLER = "pod-garbage-collector-controller"


async def names(cluster: Any) -> list[str]:
    await cluster.settle()
    return sorted(pod["metadata"]["name"] for pod in await cluster.pods())


async def test_pods_of_a_node_that_is_gone(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    for name in ("n1", "n2"):
        await cluster.ok("POST", NODE, {"metadata": {"name": name}})
        await cluster.post("pods", pod(f"on-{name}", spec={"nodeName": name}))
    watch = await cluster.watch("/api/v1/namespaces/default/pods?watch=1")
    await cluster.ok("DELETE", f"{NODE}/n1")
    await cluster.advance(30)
    assert await names(cluster) == ["on-n1", "on-n2"]
    await cluster.advance(11)
    assert await names(cluster) == ["on-n2"]
    last = watch.events()[-1]
    told = next(c for c in last["object"]["status"]["conditions"] if c["type"] == "DisruptionTarget")
    assert (last["type"], last["object"]["status"]["phase"]) == ("DELETED", "Failed")
    assert (told["reason"], told["message"]) == ("DeletionByPodGC", "PodGC: node no longer exists")
    assert told["observedGeneration"] == 1


async def test_a_node_that_comes_back_in_time(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.ok("POST", NODE, {"metadata": {"name": "n1"}})
    await cluster.post("pods", pod("a", spec={"nodeName": "n1"}))
    await cluster.ok("DELETE", f"{NODE}/n1")
    await cluster.advance(30)
    await cluster.ok("POST", NODE, {"metadata": {"name": "n1"}})
    await cluster.advance(60)
    assert await names(cluster) == ["a"]
    await cluster.ok("DELETE", f"{NODE}/n1")
    await cluster.advance(30)
    assert await names(cluster) == ["a"], "the time begins anew"


async def test_the_oldest_ended_pods(cluster: Any) -> None:
    await cluster.run(CONTROLLER, options=WorkloadOptions(ended_pods=2))
    for number in range(4):
        await cluster.post("pods", pod(f"p{number}"))
        await cluster.kubelet.finish(f"p{number}")
    assert await names(cluster) == ["p2", "p3"]


async def test_a_node_out_of_service(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.ok("POST", NODE, {"metadata": {"name": "n1"}})
    await cluster.post("pods", pod("a", spec={"nodeName": "n1"}))
    cluster.kubelet.hold = True
    await cluster.ok("DELETE", "/api/v1/namespaces/default/pods/a")
    assert await names(cluster) == ["a"]
    taints = [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]
    merge = {"Content-Type": "application/merge-patch+json"}
    await cluster.ok("PATCH", f"{NODE}/n1", {"spec": {"taints": taints}}, headers=merge)
    assert await names(cluster) == []
