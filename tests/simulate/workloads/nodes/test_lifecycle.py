"""Nodes whose kubelets are silent are not ready, and tainted."""

from typing import Any

from harness import pod

NODE = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
CONTROLLER = "node-lifecycle-controller"
MERGE = {"Content-Type": "application/merge-patch+json"}


async def node(cluster: Any, name: str) -> None:
    await cluster.ok("POST", NODE, {"metadata": {"name": name}})
    await say(cluster, name, "True")
    lease = {"metadata": {"name": name}, "spec": {"holderIdentity": name, "leaseDurationSeconds": 40}}
    await cluster.ok("POST", LEASES, lease)


async def say(cluster: Any, name: str, ready: str, **others: str) -> None:
    """Write the conditions of a node as its kubelet does."""
    kinds = {"Ready": ready, **others}
    heard = {"lastHeartbeatTime": cluster.clock.stamp(), "lastTransitionTime": cluster.clock.stamp()}
    conditions = [{"type": kind, "status": status, **heard} for kind, status in kinds.items()]
    await cluster.ok("PATCH", f"{NODE}/{name}/status", {"status": {"conditions": conditions}}, headers=MERGE)
    await cluster.settle()


async def renew(cluster: Any, name: str) -> None:
    body = {"spec": {"renewTime": cluster.clock.stamp_micro()}}
    await cluster.ok("PATCH", f"{LEASES}/{name}", body, headers=MERGE)
    await cluster.settle()


async def taints(cluster: Any, name: str) -> list[str]:
    await cluster.settle()
    found = (await cluster.ok("GET", f"{NODE}/{name}"))["spec"].get("taints") or ()
    return sorted(f"{one['key'].removeprefix('node.kubernetes.io/')}:{one['effect']}" for one in found)


async def begin(cluster: Any) -> None:
    await cluster.namespace("kube-node-lease")
    await cluster.run(CONTROLLER)
    for name in ("n1", "n2"):
        await node(cluster, name)


async def test_a_silent_kubelet(cluster: Any) -> None:
    await begin(cluster)
    cluster.kubelet.hold = True
    await cluster.post("pods", pod("a", spec={"nodeName": "n1"}))
    await cluster.kubelet.ready("a")
    for _ in range(2):
        await cluster.advance(30)
        await renew(cluster, "n2")
    found = await cluster.ok("GET", f"{NODE}/n1")
    ready = next(c for c in found["status"]["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"], ready["message"]) == (
        "Unknown",
        "NodeStatusUnknown",
        "Kubelet stopped posting node status.",
    )
    assert await taints(cluster, "n1") == ["unreachable:NoExecute", "unreachable:NoSchedule"]
    assert await taints(cluster, "n2") == []
    conditions = (await cluster.get("pods/a"))["status"]["conditions"]
    assert [(c["type"], c["status"]) for c in conditions] == [("Ready", "False")]
    await say(cluster, "n1", "True")
    assert await taints(cluster, "n1") == []


async def test_conditions_become_taints(cluster: Any) -> None:
    await begin(cluster)
    await say(cluster, "n1", "False", MemoryPressure="True")
    assert await taints(cluster, "n1") == [
        "memory-pressure:NoSchedule",
        "not-ready:NoExecute",
        "not-ready:NoSchedule",
    ]
    mine = {"spec": {"unschedulable": True, "taints": [{"key": "example.com/t", "effect": "NoSchedule"}]}}
    await cluster.ok("PATCH", f"{NODE}/n1", mine, headers=MERGE)
    await say(cluster, "n1", "True")
    assert await taints(cluster, "n1") == ["example.com/t:NoSchedule", "unschedulable:NoSchedule"]


async def test_nobody_is_evicted_when_no_node_is_ready(cluster: Any) -> None:
    await begin(cluster)
    await say(cluster, "n1", "False")
    assert "not-ready:NoExecute" in await taints(cluster, "n1")
    await say(cluster, "n2", "False")
    assert await taints(cluster, "n1") == await taints(cluster, "n2") == ["not-ready:NoSchedule"]
    await say(cluster, "n2", "True")
    assert await taints(cluster, "n1") == ["not-ready:NoExecute", "not-ready:NoSchedule"]


async def test_when_most_nodes_of_a_zone_are_lost_no_further_one_loses_its_pods(cluster: Any) -> None:
    await begin(cluster)
    for name in ("n3", "n4"):
        await node(cluster, name)
    for name in ("n1", "n2", "n3"):
        await say(cluster, name, "False")
    held = [await taints(cluster, name) for name in ("n1", "n2", "n3")]
    assert held == [["not-ready:NoExecute", "not-ready:NoSchedule"]] * 2 + [["not-ready:NoSchedule"]]
    await say(cluster, "n1", "True")
    assert await taints(cluster, "n3") == ["not-ready:NoExecute", "not-ready:NoSchedule"]


async def test_a_node_that_is_heard_again_is_watched_again(cluster: Any) -> None:
    await begin(cluster)
    await cluster.advance(60)
    assert await taints(cluster, "n1") == ["unreachable:NoSchedule"]
    await say(cluster, "n1", "True")
    assert await taints(cluster, "n1") == []
    await cluster.advance(60)
    assert await taints(cluster, "n1") == ["unreachable:NoSchedule"]
