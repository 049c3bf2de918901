"""Nodes, scheduler, kubelets and the controllers of workloads together, in virtual time."""

from typing import Any

from eventually import aeventually
from simulate.simulated import NODES, PODS, SIMULATE, Simulated, condition, holds

from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.tolerations import DefaultTolerationSeconds
from pilothouse.simulate.clock import Clock

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PLUGINS = (NamespaceLifecycle(), DefaultTolerationSeconds())


def deployment(replicas: int) -> dict[str, Any]:
    labels = {"app": "web"}
    spec = {"containers": [{"name": "c", "image": "nginx"}]}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


async def ready_on(rig: Simulated) -> list[str]:
    """The nodes of the pods that are ready and stay."""
    pods = (await rig.ok("GET", PODS))["items"]
    staying = [one for one in pods if holds(one, "Ready") and not one["metadata"].get("deletionTimestamp")]
    return sorted(one["spec"]["nodeName"] for one in staying)


async def all_ready(rig: Simulated, *nodes: str) -> None:
    """Wait until pods are ready on just these nodes."""

    async def reached() -> bool:
        return await ready_on(rig) == list(nodes)

    await aeventually(reached, f"pods are ready on {nodes}")


async def test_nodes_stay_ready_however_far_the_clock_moves(clock: Clock) -> None:
    async with Simulated(clock, "nodes=3", plugins=PLUGINS) as rig:
        before = [node["status"] for node in (await rig.ok("GET", NODES))["items"]]
        for seconds in (7200, 60, 7200):
            await rig.pass_time(seconds)
            nodes = (await rig.ok("GET", NODES))["items"]
            assert [node["status"] for node in nodes] == before, "nobody has taken them for lost"
            assert not any(node["spec"].get("taints") for node in nodes)


async def test_pods_leave_a_node_that_is_lost_and_come_back_elsewhere(clock: Clock) -> None:
    async with Simulated(clock, "nodes=2", plugins=PLUGINS) as rig:
        await rig.ok("POST", DEPLOYMENTS, deployment(2))
        await all_ready(rig, "node-0", "node-1")
        whole = (await rig.ok("GET", f"{NODES}/node-1"))["status"]
        lost = {"metadata": {"annotations": {f"{SIMULATE}state": "Unreachable"}}}
        await rig.edit(f"{NODES}/node-0", lost)
        await rig.pass_time(30)
        assert holds(await rig.ok("GET", f"{NODES}/node-0"), "Ready")
        await rig.pass_time(60)
        node = await rig.ok("GET", f"{NODES}/node-0")
        assert condition(node, "Ready")["status"] == "Unknown"
        assert "node.kubernetes.io/unreachable" in {taint["key"] for taint in node["spec"]["taints"]}
        assert (await rig.ok("GET", f"{NODES}/node-1"))["status"] == whole
        await rig.pass_time(310)
        await all_ready(rig, "node-1", "node-1")
        await rig.edit(f"{NODES}/node-0", {"metadata": {"annotations": {f"{SIMULATE}state": None}}})

        async def back() -> bool:
            node = await rig.ok("GET", f"{NODES}/node-0")
            return holds(node, "Ready") and not node["spec"].get("taints")

        await rig.pass_time(30)
        await aeventually(back, "the node is back")


async def test_pods_of_a_node_that_is_deleted_are_replaced(clock: Clock) -> None:
    async with Simulated(clock, "nodes=2", plugins=PLUGINS) as rig:
        await rig.ok("POST", DEPLOYMENTS, deployment(2))
        await all_ready(rig, "node-0", "node-1")
        await rig.ok("DELETE", f"{NODES}/node-0")
        for _ in range(4):
            await rig.pass_time(30)
        await all_ready(rig, "node-1", "node-1")
        assert len((await rig.ok("GET", PODS))["items"]) == 2


async def test_a_stateful_set_with_claims_comes_up_in_order(clock: Clock) -> None:
    async with Simulated(clock, "nodes=3", plugins=PLUGINS) as rig:
        await rig.ok(
            "POST",
            "/apis/storage.k8s.io/v1/storageclasses",
            {
                "metadata": {"name": "disk"},
                "provisioner": "x.y/z",
                "volumeBindingMode": "WaitForFirstConsumer",
            },
        )
        wish = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "disk",
            "resources": {"requests": {"storage": "1Gi"}},
        }
        made = deployment(3)
        made["spec"] |= {
            "serviceName": "web",
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": wish}],
        }
        await rig.ok("POST", "/apis/apps/v1/namespaces/default/statefulsets", made)

        async def up() -> bool:
            found = await rig.ok("GET", "/apis/apps/v1/namespaces/default/statefulsets/web")
            return bool(found["status"].get("readyReplicas") == 3)

        await aeventually(up, "all three are ready")
        claims = (await rig.ok("GET", "/api/v1/namespaces/default/persistentvolumeclaims"))["items"]
        for number, one in enumerate(claims):
            assert one["status"]["phase"] == "Bound"
            node = one["metadata"]["annotations"]["volume.kubernetes.io/selected-node"]
            assert (await rig.pod(f"web-{number}"))["spec"]["nodeName"] == node


async def test_a_job_that_fails_is_tried_again_and_given_up(clock: Clock) -> None:
    async with Simulated(clock, plugins=PLUGINS) as rig:
        made = deployment(1)
        made["spec"] = {
            "backoffLimit": 1,
            "template": {
                "metadata": {"annotations": {f"{SIMULATE}exit-code": "3"}},
                "spec": {**made["spec"]["template"]["spec"], "restartPolicy": "Never"},
            },
        }
        await rig.ok("POST", "/apis/batch/v1/namespaces/default/jobs", made)
        for _ in range(6):
            await rig.pass_time(30)
        job = await rig.ok("GET", "/apis/batch/v1/namespaces/default/jobs/web")
        assert condition(job, "Failed")["reason"] == "BackoffLimitExceeded"
        assert job["status"]["failed"] == 2
