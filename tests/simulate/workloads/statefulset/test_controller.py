"""Stateful sets keep pods with names, one after the other."""

from typing import Any

APPS = "/apis/apps/v1"
CONTROLLER = "statefulset-controller"


def stateful_set(replicas: int = 3, image: str = "a:1", **spec: Any) -> Any:
    pod = {"containers": [{"name": "c", "image": image}]}
    return {
        "metadata": {"name": "db"},
        "spec": {
            "serviceName": "db",
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": pod},
            **spec,
        },
    }


def image(text: str) -> Any:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": text}]}}}}


def rolling(**members: Any) -> Any:
    return {"type": "RollingUpdate", "rollingUpdate": members}


CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


async def status(cluster: Any) -> Any:
    await cluster.settle()
    return (await cluster.get("statefulsets/db", APPS))["status"]


async def images(cluster: Any) -> dict[str, str]:
    await cluster.settle()
    return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in await cluster.pods()}


async def names(cluster: Any) -> list[str]:
    return sorted(await images(cluster))


async def test_pods_come_one_after_the_other(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    cluster.kubelet.hold = True
    await cluster.post("statefulsets", stateful_set(), APPS)
    assert await names(cluster) == ["db-0"]
    await cluster.kubelet.ready("db-0")
    assert await names(cluster) == ["db-0", "db-1"]
    found = await status(cluster)
    assert (found["replicas"], found["readyReplicas"], found["availableReplicas"]) == (2, 1, 1)
    await cluster.kubelet.ready("db-1")
    await cluster.settle()
    await cluster.kubelet.ready("db-2")
    found = await status(cluster)
    revision = found.pop("currentRevision")
    assert found == {
        "observedGeneration": 1,
        "replicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "currentReplicas": 3,
        "updatedReplicas": 3,
        "updateRevision": revision,
        "collisionCount": 0,
    }
    pod = await cluster.get("pods/db-1")
    assert pod["metadata"]["labels"] == {
        "app": "db",
        "statefulset.kubernetes.io/pod-name": "db-1",
        "apps.kubernetes.io/pod-index": "1",
        "controller-revision-hash": revision,
    }
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("db-1", "db")
    note = "Create Pod db-0 in StatefulSet db successful"
    assert ("SuccessfulCreate", note) in await cluster.events("StatefulSet")
    held = await cluster.get(f"controllerrevisions/{revision}", APPS)
    assert held["revision"] == 1 and held["data"]["spec"]["template"]["$patch"] == "replace"


async def test_parallel_pods_come_at_once(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    cluster.kubelet.hold = True
    spec: Any = {"podManagementPolicy": "Parallel", "ordinals": {"start": 5}}
    await cluster.post("statefulsets", stateful_set(**spec), APPS)
    assert await names(cluster) == ["db-5", "db-6", "db-7"]


async def test_a_roll_goes_backwards_and_waits_for_each(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("statefulsets", stateful_set(), APPS)
    before = await status(cluster)
    cluster.kubelet.hold = True
    await cluster.patch("statefulsets/db", image("a:2"), APPS)
    assert await images(cluster) == {"db-0": "a:1", "db-1": "a:1", "db-2": "a:2"}
    found = await status(cluster)
    assert found["currentRevision"] == before["currentRevision"] != found["updateRevision"]
    assert (found["currentReplicas"], found["updatedReplicas"]) == (2, 1)
    await cluster.kubelet.ready("db-2")
    assert await images(cluster) == {"db-0": "a:1", "db-1": "a:2", "db-2": "a:2"}
    await cluster.kubelet.ready("db-1")
    await cluster.settle()
    await cluster.kubelet.ready("db-0")
    found = await status(cluster)
    assert await images(cluster) == dict.fromkeys(("db-0", "db-1", "db-2"), "a:2")
    assert found["currentRevision"] == found["updateRevision"] and found["currentReplicas"] == 3


async def test_a_parallel_set_is_updated_one_pod_at_a_time(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("statefulsets", stateful_set(podManagementPolicy="Parallel"), APPS)
    await status(cluster)
    cluster.kubelet.hold = True
    await cluster.patch("statefulsets/db", image("a:2"), APPS)
    assert await images(cluster) == {"db-0": "a:1", "db-1": "a:1", "db-2": "a:2"}


async def test_a_partition_keeps_the_lower_pods(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("statefulsets", stateful_set(updateStrategy=rolling(partition=2)), APPS)
    await cluster.patch("statefulsets/db", image("a:2"), APPS)
    assert await images(cluster) == {"db-0": "a:1", "db-1": "a:1", "db-2": "a:2"}
    await cluster.ok("DELETE", "/api/v1/namespaces/default/pods/db-0")
    assert (await images(cluster))["db-0"] == "a:1", "made again by the former template"
    await cluster.patch("statefulsets/db", {"spec": {"updateStrategy": rolling(partition=0)}}, APPS)
    assert set((await images(cluster)).values()) == {"a:2"}


async def test_pods_that_are_updated_when_they_are_deleted(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("statefulsets", stateful_set(updateStrategy={"type": "OnDelete"}), APPS)
    await cluster.patch("statefulsets/db", image("a:2"), APPS)
    assert set((await images(cluster)).values()) == {"a:1"}
    await cluster.ok("DELETE", "/api/v1/namespaces/default/pods/db-1")
    assert await images(cluster) == {"db-0": "a:1", "db-1": "a:2", "db-2": "a:1"}


async def test_an_undo_brings_the_revision_to_the_front(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("statefulsets", stateful_set(revisionHistoryLimit=1), APPS)
    first = (await status(cluster))["currentRevision"]
    await cluster.patch("statefulsets/db", image("a:2"), APPS)
    await cluster.patch("statefulsets/db", image("a:1"), APPS)
    assert (await status(cluster))["currentRevision"] == first
    assert (await cluster.get(f"controllerrevisions/{first}", APPS))["revision"] == 3
    for number in (3, 4):
        await cluster.patch("statefulsets/db", image(f"a:{number}"), APPS)
    await cluster.settle()
    held = (await cluster.get("controllerrevisions", APPS))["items"]
    assert sorted(one["revision"] for one in held) == [4, 5]


async def test_pods_and_revisions_that_a_former_set_has_left_are_adopted(cluster: Any) -> None:
    await cluster.run(CONTROLLER, garbage=True)
    await cluster.post("statefulsets", stateful_set(), APPS)
    before = await status(cluster)
    pods = {pod["metadata"]["uid"] for pod in await cluster.pods()}
    await cluster.ok("DELETE", f"{APPS}/namespaces/default/statefulsets/db?propagationPolicy=Orphan")
    await cluster.settle()
    assert all("ownerReferences" not in pod["metadata"] for pod in await cluster.pods())
    await cluster.post("statefulsets", stateful_set(), APPS)
    assert (await status(cluster))["currentRevision"] == before["currentRevision"]
    assert {pod["metadata"]["uid"] for pod in await cluster.pods()} == pods
    assert all(pod["metadata"]["ownerReferences"] for pod in await cluster.pods())


async def test_a_pod_that_has_failed_is_made_again(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("statefulsets", stateful_set(), APPS)
    before = (await cluster.get("pods/db-1"))["metadata"]["uid"]
    await cluster.kubelet.finish("db-1", 1)
    assert await names(cluster) == ["db-0", "db-1", "db-2"]
    assert (await cluster.get("pods/db-1"))["metadata"]["uid"] != before
    note = "StatefulSet default/db is recreating failed Pod db-1"
    assert ("RecreatingFailedPod", note) in await cluster.events("StatefulSet")


async def test_surplus_pods_go_from_the_end_one_by_one(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("statefulsets", stateful_set(), APPS)
    await cluster.patch("pods/db-2", {"metadata": {"finalizers": ["example.com/slow"]}})
    await cluster.patch("statefulsets/db", {"spec": {"replicas": 1}}, APPS)
    assert await names(cluster) == ["db-0", "db-1", "db-2"]
    await cluster.patch("pods/db-2", {"metadata": {"finalizers": None}})
    assert await names(cluster) == ["db-0"]
    assert (await status(cluster))["replicas"] == 1


async def test_pods_count_as_available_by_the_clock(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("statefulsets", stateful_set(minReadySeconds=30), APPS)
    assert await names(cluster) == ["db-0"]
    await cluster.advance(31)
    assert await names(cluster) == ["db-0", "db-1"]
    assert (await status(cluster))["availableReplicas"] == 1


async def claims(cluster: Any) -> dict[str, list[str]]:
    """The owners of each claim, which control it."""
    await cluster.settle()
    items = (await cluster.get("persistentvolumeclaims"))["items"]
    return {
        one["metadata"]["name"]: [
            o["kind"] for o in one["metadata"].get("ownerReferences") or () if o.get("controller")
        ]
        for one in items
    }


async def test_claims_stay(cluster: Any) -> None:
    await cluster.run(CONTROLLER, garbage=True)
    await cluster.post("statefulsets", stateful_set(2, volumeClaimTemplates=[CLAIM]), APPS)
    assert await claims(cluster) == {"data-db-0": [], "data-db-1": []}
    pod = await cluster.get("pods/db-1")
    assert pod["spec"]["volumes"][0] == {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-1"}}
    labels = (await cluster.get("persistentvolumeclaims/data-db-0"))["metadata"]["labels"]
    assert labels == {"app": "db"}
    await cluster.patch("statefulsets/db", {"spec": {"replicas": 1}}, APPS)
    assert sorted(await claims(cluster)) == ["data-db-0", "data-db-1"]


async def test_claims_that_go_with_their_pods_or_the_set(cluster: Any) -> None:
    await cluster.run(CONTROLLER, garbage=True)
    policy: Any = {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Delete"}}
    await cluster.post("statefulsets", stateful_set(2, volumeClaimTemplates=[CLAIM], **policy), APPS)
    assert await claims(cluster) == {"data-db-0": ["StatefulSet"], "data-db-1": ["StatefulSet"]}
    await cluster.patch("statefulsets/db", {"spec": {"replicas": 1}}, APPS)
    assert await claims(cluster) == {"data-db-0": ["StatefulSet"]}
    await cluster.ok("DELETE", f"{APPS}/namespaces/default/statefulsets/db?propagationPolicy=Background")
    assert await claims(cluster) == {}
