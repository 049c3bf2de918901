"""Pods leave nodes with taints that they do not tolerate."""

from typing import Any

from harness import pod

NODE = "/api/v1/nodes"
MERGE = {"Content-Type": "application/merge-patch+json"}
KEY = "node.kubernetes.io/unreachable"


async def taint(cluster: Any, *keys: str) -> None:
    listed = [{"key": key, "effect": "NoExecute"} for key in keys]
    await cluster.ok("PATCH", f"{NODE}/n1", {"spec": {"taints": listed}}, headers=MERGE)
    await cluster.settle()


def tolerating(name: str, seconds: int | None) -> Any:
    one: Any = {"key": KEY, "operator": "Exists", "effect": "NoExecute"}
    if seconds is not None:
        one["tolerationSeconds"] = seconds
    return pod(name, spec={"nodeName": "n1", "tolerations": [one]})


async def names(cluster: Any) -> list[str]:
    await cluster.settle()
    pods = await cluster.pods()
    return sorted(pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"])


async def test_pods_leave_at_once_later_or_never(cluster: Any) -> None:
    await cluster.run("taint-eviction-controller")
    await cluster.ok("POST", NODE, {"metadata": {"name": "n1"}})
    await cluster.post("pods", pod("now", spec={"nodeName": "n1"}))
    await cluster.post("pods", tolerating("later", 300))
    await cluster.post("pods", tolerating("never", None))
    cluster.kubelet.hold = True
    await taint(cluster, KEY)
    assert await names(cluster) == ["later", "never"]
    gone = await cluster.get("pods/now")
    [told] = [c for c in gone["status"]["conditions"] if c["type"] == "DisruptionTarget"]
    assert (told["status"], told["reason"]) == ("True", "DeletionByTaintManager")
    assert told["observedGeneration"] == 1
    assert ("TaintManagerEviction", "Marking for deletion Pod default/now") in await cluster.events("Pod")
    await cluster.advance(290)
    assert await names(cluster) == ["later", "never"]
    await cluster.advance(11)
    assert await names(cluster) == ["never"]
    await taint(cluster, KEY, "example.com/other")
    assert await names(cluster) == []


async def test_a_node_that_recovers_keeps_its_pods(cluster: Any) -> None:
    await cluster.run("taint-eviction-controller")
    await cluster.ok("POST", NODE, {"metadata": {"name": "n1"}})
    await cluster.post("pods", tolerating("later", 300))
    await taint(cluster, KEY)
    await cluster.advance(200)
    await taint(cluster)
    await cluster.advance(200)
    assert await names(cluster) == ["later"]
    assert ("TaintManagerEviction", "Cancelling deletion of Pod default/later") in await cluster.events("Pod")
    await taint(cluster, KEY)
    await cluster.advance(200)
    assert await names(cluster) == ["later"], "the time begins anew"


async def test_a_new_pod_on_such_a_node(cluster: Any) -> None:
    await cluster.run("taint-eviction-controller")
    await cluster.ok("POST", NODE, {"metadata": {"name": "n1"}})
    await taint(cluster, KEY)
    await cluster.post("pods", pod("now", spec={"nodeName": "n1"}))
    assert await names(cluster) == []
