"""Daemon sets keep one pod on each node that fits."""

from typing import Any

APPS = "/apis/apps/v1"
CONTROLLER = "daemonset-controller"
NODE = "/api/v1/nodes"
MERGE = {"Content-Type": "application/merge-patch+json"}


def daemon_set(pod: Any = None, image: str = "a:1", **spec: Any) -> Any:
    template = {
        "metadata": {"labels": {"app": "d"}},
        "spec": {"containers": [{"name": "c", "image": image}], **(pod or {})},
    }
    selector = {"matchLabels": {"app": "d"}}
    return {"metadata": {"name": "d"}, "spec": {"selector": selector, "template": template, **spec}}


def image(text: str) -> Any:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": text}]}}}}


async def nodes(cluster: Any, *names: str, **labels: str) -> None:
    for name in names:
        await cluster.ok("POST", NODE, {"metadata": {"name": name, "labels": labels}})
    await cluster.settle()


async def taint(cluster: Any, node: str, effect: str) -> None:
    body = {"spec": {"taints": [{"key": "example.com/t", "value": "v", "effect": effect}]}}
    await cluster.ok("PATCH", f"{NODE}/{node}", body, headers=MERGE)
    await cluster.settle()


def place(pod: Any) -> str:
    """The node that a pod is for."""
    required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    name: str = required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]
    return name


async def placed(cluster: Any) -> list[tuple[str, str]]:
    """Node and image of each pod."""
    await cluster.settle()
    return sorted((place(pod), pod["spec"]["containers"][0]["image"]) for pod in await cluster.pods())


async def status(cluster: Any) -> Any:
    await cluster.settle()
    return (await cluster.get("daemonsets/d", APPS))["status"]


async def test_each_node_has_a_pod(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await nodes(cluster, "n1", "n2")
    await cluster.post("daemonsets", daemon_set(), APPS)
    assert await placed(cluster) == [("n1", "a:1"), ("n2", "a:1")]
    assert await status(cluster) == {
        "observedGeneration": 1,
        "currentNumberScheduled": 2,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 2,
        "numberReady": 2,
        "updatedNumberScheduled": 2,
        "numberAvailable": 2,
    }
    pod = (await cluster.pods())[0]
    assert pod["metadata"]["labels"]["pod-template-generation"] == "1"
    [held] = (await cluster.get("controllerrevisions", APPS))["items"]
    code = pod["metadata"]["labels"]["controller-revision-hash"]
    assert held["metadata"]["name"] == f"d-{code}"
    assert {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"} in pod[
        "spec"
    ]["tolerations"]
    await nodes(cluster, "n3")
    assert len(await placed(cluster)) == 3
    await cluster.ok("DELETE", f"{NODE}/n3")
    assert await placed(cluster) == [("n1", "a:1"), ("n2", "a:1")]


async def test_nodes_by_selector_and_affinity(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await nodes(cluster, "n1", disk="ssd")
    await nodes(cluster, "n2", disk="hdd")
    term = {"matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["hdd"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    await cluster.post("daemonsets", daemon_set({"affinity": {"nodeAffinity": required}}), APPS)
    assert await placed(cluster) == [("n1", "a:1")]
    await cluster.ok("PATCH", f"{NODE}/n1", {"metadata": {"labels": {"disk": "hdd"}}}, headers=MERGE)
    assert await placed(cluster) == [], "it may not stay there"


async def test_taints(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await nodes(cluster, "n1", "n2", "n3")
    await taint(cluster, "n1", "NoSchedule")
    tolerations = [{"key": "example.com/t", "operator": "Equal", "value": "v", "effect": "NoSchedule"}]
    await cluster.post("daemonsets", daemon_set(), APPS)
    assert await placed(cluster) == [("n2", "a:1"), ("n3", "a:1")]
    await taint(cluster, "n2", "NoSchedule")
    await taint(cluster, "n3", "NoExecute")
    assert await placed(cluster) == [("n2", "a:1")], "a pod that runs stays unless it is evicted"
    found = await status(cluster)
    assert (found["desiredNumberScheduled"], found["numberMisscheduled"]) == (0, 1)
    await cluster.patch("daemonsets/d", {"spec": {"template": {"spec": {"tolerations": tolerations}}}}, APPS)
    assert (await status(cluster))["desiredNumberScheduled"] == 2


async def test_a_roll_leaves_one_node_at_a_time(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await nodes(cluster, "n1", "n2", "n3")
    await cluster.post("daemonsets", daemon_set(), APPS)
    await placed(cluster)
    cluster.kubelet.hold = True
    await cluster.patch("daemonsets/d", image("a:2"), APPS)
    found = await placed(cluster)
    assert (
        sorted(text for _, text in found) == ["a:1", "a:1", "a:2"] and len({node for node, _ in found}) == 3
    )
    found = await status(cluster)
    assert (found["updatedNumberScheduled"], found["numberUnavailable"]) == (1, 1)
    for _ in range(3):
        for pod in await cluster.pods():
            if pod["status"]["phase"] == "Pending":
                await cluster.kubelet.ready(pod["metadata"]["name"])
        await cluster.settle()
    assert {text for _, text in await placed(cluster)} == {"a:2"}
    found = await status(cluster)
    assert (found["updatedNumberScheduled"], found["numberAvailable"]) == (3, 3)


async def test_a_roll_with_a_second_pod_on_the_node(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await nodes(cluster, "n1", "n2")
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await cluster.post("daemonsets", daemon_set(updateStrategy=strategy), APPS)
    await placed(cluster)
    cluster.kubelet.hold = True
    await cluster.patch("daemonsets/d", image("a:2"), APPS)
    found = await placed(cluster)
    assert [text for _, text in found].count("a:1") == 2 and len(found) == 3
    cluster.kubelet.hold = False
    for pod in await cluster.pods():
        cluster.kubelet.queue.add("default/" + pod["metadata"]["name"])
    assert await placed(cluster) == [("n1", "a:2"), ("n2", "a:2")]


async def test_a_former_pod_that_is_not_ready_makes_way_for_the_second_one(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await nodes(cluster, "n1", "n2")
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    await cluster.post("daemonsets", daemon_set(updateStrategy=strategy), APPS)
    await placed(cluster)
    for pod in await cluster.pods():
        await cluster.kubelet.ready(pod["metadata"]["name"], "False")
    cluster.kubelet.hold = True
    await cluster.patch("daemonsets/d", image("a:2"), APPS)
    stay = [pod for pod in await cluster.pods() if not pod["metadata"].get("deletionTimestamp")]
    assert sorted((place(pod), pod["spec"]["containers"][0]["image"]) for pod in stay) == [
        ("n1", "a:2"),
        ("n2", "a:2"),
    ]


async def test_the_second_pod_is_waited_for_until_it_counts_as_available(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await nodes(cluster, "n1")
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await cluster.post("daemonsets", daemon_set(updateStrategy=strategy, minReadySeconds=5), APPS)
    await cluster.advance(10)
    await cluster.patch("daemonsets/d", image("a:2"), APPS)
    assert await placed(cluster) == [("n1", "a:1"), ("n1", "a:2")]
    await cluster.advance(6)
    assert await placed(cluster) == [("n1", "a:2")]


async def test_pods_that_are_updated_when_they_are_deleted(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await nodes(cluster, "n1", "n2")
    await cluster.post("daemonsets", daemon_set(updateStrategy={"type": "OnDelete"}), APPS)
    await cluster.patch("daemonsets/d", image("a:2"), APPS)
    assert await placed(cluster) == [("n1", "a:1"), ("n2", "a:1")]
    name = next(pod["metadata"]["name"] for pod in await cluster.pods() if place(pod) == "n1")
    await cluster.ok("DELETE", f"/api/v1/namespaces/default/pods/{name}")
    assert await placed(cluster) == [("n1", "a:2"), ("n2", "a:1")]


async def test_a_pod_that_fails_again_and_again(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await nodes(cluster, "n1")
    await cluster.post("daemonsets", daemon_set(), APPS)
    for wait in (0, 2, 4):
        [pod] = await cluster.pods()
        await cluster.kubelet.finish(pod["metadata"]["name"], 1)
        await cluster.settle()
        [after] = await cluster.pods()
        assert (after["metadata"]["uid"] == pod["metadata"]["uid"]) == bool(wait)
        await cluster.advance(wait + 1)
        [after] = await cluster.pods()
        assert after["metadata"]["uid"] != pod["metadata"]["uid"]
    name = pod["metadata"]["name"]
    note = f"Found failed daemon pod default/{name} on node n1, will try to kill it"
    assert ("FailedDaemonPod", note) in await cluster.events("DaemonSet")
