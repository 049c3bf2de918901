"""Replica sets keep as many pods as they ask for."""

from typing import Any

from harness import plug

from pilothouse import errors
from pilothouse.admission.about import About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.registry.admission import AdmissionAttributes

APPS = "/apis/apps/v1"
CONTROLLER = "replicaset-controller"


def replica_set(name: str, replicas: int, **spec: Any) -> Any:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    selector = {"matchLabels": {"app": name}}
    return {
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": selector, "template": template, **spec},
    }


async def status(cluster: Any, name: str) -> Any:
    await cluster.settle()
    return (await cluster.get(f"replicasets/{name}", APPS))["status"]


async def test_pods_are_made_and_counted(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("replicasets", replica_set("a", 3), APPS)
    pods = await cluster.pods()
    assert len(pods) == 3
    owner = (await cluster.get("replicasets/a", APPS))["metadata"]
    assert pods[0]["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": "a",
            "uid": owner["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert pods[0]["metadata"]["generateName"] == "a-"
    assert await status(cluster, "a") == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
        "observedGeneration": 1,
    }
    names = {pod["metadata"]["name"] for pod in pods}
    told = await cluster.events("ReplicaSet")
    assert sorted(told) == sorted(("SuccessfulCreate", f"Created pod: {name}") for name in names)


async def test_a_pod_that_is_lost_or_has_failed_is_replaced(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("replicasets", replica_set("a", 2), APPS)
    first, second = (pod["metadata"]["name"] for pod in await cluster.pods())
    await cluster.ok("DELETE", f"/api/v1/namespaces/default/pods/{first}")
    await cluster.kubelet.finish(second, 1)
    await cluster.settle()
    pods = await cluster.pods()
    assert len([pod for pod in pods if pod["status"]["phase"] == "Running"]) == 2
    assert (await status(cluster, "a"))["replicas"] == 2


async def test_surplus_pods_that_do_least_go_first(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("replicasets", replica_set("a", 4), APPS)
    names = sorted(pod["metadata"]["name"] for pod in await cluster.pods())
    await cluster.kubelet.ready(names[0], "False")
    for name, cost in ((names[0], "100"), (names[1], "-5")):
        note = {"controller.kubernetes.io/pod-deletion-cost": cost}
        await cluster.patch(f"pods/{name}", {"metadata": {"annotations": note}})
    await cluster.patch("replicasets/a", {"spec": {"replicas": 2}}, APPS)
    assert sorted(pod["metadata"]["name"] for pod in await cluster.pods()) == names[2:]
    assert ("SuccessfulDelete", f"Deleted pod: {names[0]}") in await cluster.events("ReplicaSet")


async def test_strays_are_adopted_and_others_released(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    stray = {
        "metadata": {"name": "stray", "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    await cluster.post("pods", stray)
    await cluster.post("replicasets", replica_set("a", 2), APPS)
    assert len(await cluster.pods()) == 2
    assert (await cluster.get("pods/stray"))["metadata"]["ownerReferences"][0]["name"] == "a"
    await cluster.patch("pods/stray", {"metadata": {"labels": {"app": "b"}}})
    assert "ownerReferences" not in (await cluster.get("pods/stray"))["metadata"]
    assert len(await cluster.pods("app=a")) == 2
    await cluster.patch("pods/stray", {"metadata": {"labels": {"app": "a"}}})
    assert len(await cluster.pods("app=a")) == 2, "it was adopted again, and one is too many"


async def test_pods_become_available_by_the_clock(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("replicasets", replica_set("a", 2, minReadySeconds=30), APPS)
    found = await status(cluster, "a")
    assert found["readyReplicas"] == 2 and "availableReplicas" not in found
    await cluster.advance(31)
    assert (await status(cluster, "a"))["availableReplicas"] == 2


class NoPods(AdmissionPlugin):
    """Refuses every pod."""

    about = (About(("CREATE",), ("pods",)),)

    def validate(self, a: AdmissionAttributes) -> None:
        raise errors.forbidden("", "pods", "", "no pods today")


async def test_why_pods_are_not_made(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    plugin = plug(cluster.chain, NoPods())
    await cluster.post("replicasets", replica_set("a", 1), APPS)
    found = await status(cluster, "a")
    assert [(c["type"], c["status"], c["reason"], c["message"]) for c in found["conditions"]] == [
        ("ReplicaFailure", "True", "FailedCreate", "pods is forbidden: no pods today")
    ]
    told = await cluster.events("ReplicaSet")
    assert told == [("FailedCreate", "Error creating: pods is forbidden: no pods today")]
    cluster.chain.validators.remove(plugin)
    cluster.chain._steps.clear()
    cluster.running[CONTROLLER].queue.add("default/a")
    assert "conditions" not in await status(cluster, "a")


async def test_a_namespace_that_ends_is_left_alone(cluster: Any) -> None:
    await cluster.namespace("other")
    await cluster.run(CONTROLLER)
    path = f"{APPS}/namespaces/other/replicasets"
    held = replica_set("a", 2)
    held["metadata"]["finalizers"] = ["example.com/slow"]
    await cluster.ok("POST", path, held)
    await cluster.settle()
    await cluster.ok("DELETE", "/api/v1/namespaces/other")
    before = (await cluster.ok("GET", "/api/v1/namespaces/other/events"))["items"]
    for pod in (await cluster.ok("GET", "/api/v1/namespaces/other/pods"))["items"]:
        await cluster.ok("DELETE", f"/api/v1/namespaces/other/pods/{pod['metadata']['name']}")
    await cluster.settle()
    found = (await cluster.ok("GET", f"{path}/a"))["status"]
    assert "conditions" not in found and found["replicas"] == 0
    assert len((await cluster.ok("GET", "/api/v1/namespaces/other/events"))["items"]) == len(before)
    assert not cluster.running[CONTROLLER].queue._failures
