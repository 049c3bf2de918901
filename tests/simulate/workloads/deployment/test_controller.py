"""Deployments move from one template to the next, and tell how far they are."""

from typing import Any

APPS = "/apis/apps/v1"
CONTROLLERS = ("deployment-controller", "replicaset-controller")
REVISION = "deployment.kubernetes.io/revision"


def deployment(name: str = "web", replicas: int = 3, image: str = "a:1", **spec: Any) -> Any:
    pod = {"containers": [{"name": "c", "image": image}]}
    return {
        "metadata": {"name": name, "annotations": {"team": "x"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            **spec,
        },
    }


def image(text: str) -> Any:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": text}]}}}}


async def get(cluster: Any, name: str = "web") -> Any:
    await cluster.settle()
    return await cluster.get(f"deployments/{name}", APPS)


async def sets(cluster: Any) -> dict[str, Any]:
    """The replica sets by their images."""
    items = (await cluster.get("replicasets", APPS))["items"]
    return {one["spec"]["template"]["spec"]["containers"][0]["image"]: one for one in items}


def condition(obj: Any, kind: str) -> tuple[str, str, str]:
    one = next(c for c in obj["status"]["conditions"] if c["type"] == kind)
    return one["status"], one["reason"], one["message"]


async def test_a_rollout_ends(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("deployments", deployment(), APPS)
    found = await get(cluster)
    one = (await sets(cluster))["a:1"]
    code = one["metadata"]["labels"]["pod-template-hash"]
    assert one["metadata"]["name"] == f"web-{code}"
    assert one["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": code}
    assert one["metadata"]["annotations"] == {
        "team": "x",
        REVISION: "1",
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
    }
    assert found["metadata"]["annotations"] == {"team": "x", REVISION: "1"}
    conditions = found["status"].pop("conditions")
    assert found["status"] == {
        "observedGeneration": 1,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
    }
    assert {(c["type"], c["status"], c["reason"], c["message"]) for c in conditions} == {
        ("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        (
            "Progressing",
            "True",
            "NewReplicaSetAvailable",
            f'ReplicaSet "web-{code}" has successfully progressed.',
        ),
    }
    assert await cluster.events("Deployment") == [
        ("ScalingReplicaSet", f"Scaled up replica set web-{code} from 0 to 3")
    ]


async def test_a_rolling_update_keeps_to_its_bounds(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    await cluster.post("deployments", deployment(replicas=6, strategy=strategy), APPS)
    await get(cluster)
    seen = []

    def watch(key: str, new: Any, old: Any) -> None:
        pods = [pod for pod in cluster.readers.list("pods") if not pod["metadata"].get("deletionTimestamp")]
        seen.append((len(pods), sum(pod["status"]["phase"] == "Running" for pod in pods)))

    cluster.readers.subscribe("pods", watch)
    del seen[:]
    await cluster.patch("deployments/web", image("a:2"), APPS)
    found = await get(cluster)
    assert max(number for number, _ in seen) <= 7 and min(running for _, running in seen) >= 5
    assert max(number for number, _ in seen) == 7, "the surge is used"
    assert found["status"]["updatedReplicas"] == found["status"]["replicas"] == 6
    assert {image: one["spec"]["replicas"] for image, one in (await sets(cluster)).items()} == {
        "a:1": 0,
        "a:2": 6,
    }
    assert found["metadata"]["annotations"][REVISION] == "2"


async def test_recreate_waits_for_the_old_pods(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("deployments", deployment(strategy={"type": "Recreate"}), APPS)
    for pod in await cluster.pods():
        path = f"pods/{pod['metadata']['name']}"
        await cluster.patch(path, {"metadata": {"finalizers": ["example.com/slow"]}})
    await cluster.patch("deployments/web", image("a:2"), APPS)
    assert "a:2" not in await sets(cluster)
    found = await get(cluster)
    assert "replicas" not in found["status"] and found["status"]["terminatingReplicas"] == 3
    for pod in await cluster.pods():
        await cluster.patch(f"pods/{pod['metadata']['name']}", {"metadata": {"finalizers": None}})
    assert (await get(cluster))["status"]["updatedReplicas"] == 3
    assert (await sets(cluster))["a:1"]["spec"]["replicas"] == 0


async def test_an_undo_is_a_new_revision_of_the_old_set(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("deployments", deployment(), APPS)
    await cluster.patch("deployments/web", image("a:2"), APPS)
    await cluster.patch("deployments/web", image("a:1"), APPS)
    assert (await get(cluster))["metadata"]["annotations"][REVISION] == "3"
    held = await sets(cluster)
    assert {name: one["metadata"]["annotations"][REVISION] for name, one in held.items()} == {
        "a:1": "3",
        "a:2": "2",
    }
    assert held["a:1"]["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    assert {name: one["spec"]["replicas"] for name, one in held.items()} == {"a:1": 3, "a:2": 0}


async def test_a_paused_deployment_is_scaled_but_not_rolled(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("deployments", deployment(), APPS)
    await cluster.patch("deployments/web", {"spec": {"paused": True}}, APPS)
    assert condition(await get(cluster), "Progressing") == (
        "Unknown",
        "DeploymentPaused",
        "Deployment is paused",
    )
    await cluster.patch("deployments/web", image("a:2") | {}, APPS)
    await cluster.patch("deployments/web", {"spec": {"replicas": 5}}, APPS)
    held = await sets(cluster)
    assert {name: one["spec"]["replicas"] for name, one in held.items()} == {"a:1": 5}
    await cluster.patch("deployments/web", {"spec": {"paused": False}}, APPS)
    found = await get(cluster)
    assert found["status"]["updatedReplicas"] == 5
    assert condition(found, "Progressing")[1] == "NewReplicaSetAvailable"


async def test_the_set_of_a_paused_deployment_follows_its_annotations(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("deployments", deployment(), APPS)
    await cluster.patch("deployments/web", image("a:2"), APPS)
    await cluster.patch("deployments/web", {"spec": {"paused": True}}, APPS)
    back = image("a:1") | {"metadata": {"annotations": {"team": "y"}}}
    await cluster.patch("deployments/web", back, APPS)
    found = await get(cluster)
    old = (await sets(cluster))["a:1"]
    assert (old["metadata"]["annotations"]["team"], old["metadata"]["annotations"][REVISION]) == ("y", "3")
    assert found["metadata"]["annotations"][REVISION] == "3"
    assert old["spec"]["replicas"] == 0


async def test_the_time_until_pods_count_as_available_is_handed_on(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("deployments", deployment(minReadySeconds=5), APPS)
    assert (await sets(cluster))["a:1"]["spec"]["minReadySeconds"] == 5
    await cluster.patch("deployments/web", {"spec": {"minReadySeconds": 0}}, APPS)
    await cluster.settle()
    assert "minReadySeconds" not in (await sets(cluster))["a:1"]["spec"]


async def test_a_set_that_is_refused(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    full = deployment()  # the annotations that the set gets as well are too many for it
    full["metadata"]["annotations"] = {"team": "x" * (256 * 1024 - len("team"))}
    await cluster.post("deployments", full, APPS)
    found = await get(cluster)
    assert condition(found, "Progressing")[:2] == ("False", "ReplicaSetCreateError")
    told = [message for reason, message in await cluster.events() if reason == "ReplicaSetCreateError"]
    assert told == [condition(found, "Progressing")[2]]


async def test_old_sets_beyond_the_limit_are_deleted(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("deployments", deployment(revisionHistoryLimit=1), APPS)
    for number in (2, 3, 4):
        await cluster.patch("deployments/web", image(f"a:{number}"), APPS)
    await get(cluster)
    assert sorted(await sets(cluster)) == ["a:3", "a:4"]


async def test_a_rollout_that_stands_still_is_late(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    cluster.kubelet.hold = True
    await cluster.post("deployments", deployment(progressDeadlineSeconds=60), APPS)
    assert condition(await get(cluster), "Progressing")[:2] == ("True", "ReplicaSetUpdated")
    await cluster.advance(50)
    assert condition(await get(cluster), "Progressing")[0] == "True"
    await cluster.advance(15)
    name = (await sets(cluster))["a:1"]["metadata"]["name"]
    assert condition(await get(cluster), "Progressing") == (
        "False",
        "ProgressDeadlineExceeded",
        f'ReplicaSet "{name}" has timed out progressing.',
    )
    for pod in await cluster.pods():
        await cluster.kubelet.ready(pod["metadata"]["name"])
    assert condition(await get(cluster), "Progressing")[:2] == ("True", "NewReplicaSetAvailable")


async def test_a_deployment_grows_in_the_proportion_of_its_sets(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    await cluster.post("deployments", deployment(replicas=10, strategy=strategy), APPS)
    cluster.kubelet.hold = True
    await cluster.patch("deployments/web", image("a:2"), APPS)
    held = await sets(cluster)
    assert {name: one["spec"]["replicas"] for name, one in held.items()} == {"a:1": 8, "a:2": 5}
    await cluster.patch("deployments/web", {"spec": {"replicas": 15}}, APPS)
    held = await sets(cluster)
    assert {name: one["spec"]["replicas"] for name, one in held.items()} == {"a:1": 11, "a:2": 7}


async def test_a_name_that_is_taken_is_counted(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("deployments", deployment(), APPS)
    name = (await sets(cluster))["a:1"]["metadata"]["name"]
    await cluster.ok("DELETE", f"{APPS}/namespaces/default/deployments/web?propagationPolicy=Background")
    await cluster.ok("DELETE", f"{APPS}/namespaces/default/replicasets/{name}")
    squatter = deployment()
    squatter["metadata"]["name"] = name
    squatter["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    squatter["spec"]["selector"]["matchLabels"] = {"app": "other"}
    await cluster.post("replicasets", squatter, APPS)
    await cluster.post("deployments", deployment(), APPS)
    found = await get(cluster)
    assert found["status"]["collisionCount"] == 1 and found["status"]["availableReplicas"] == 3


async def test_a_set_that_a_former_deployment_has_left_is_adopted(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS, garbage=True)
    await cluster.post("deployments", deployment(), APPS)
    before = (await sets(cluster))["a:1"]["metadata"]
    await cluster.ok("DELETE", f"{APPS}/namespaces/default/deployments/web?propagationPolicy=Orphan")
    await cluster.settle()
    assert "ownerReferences" not in (await sets(cluster))["a:1"]["metadata"]
    await cluster.post("deployments", deployment(), APPS)
    found = await get(cluster)
    after = (await sets(cluster))["a:1"]["metadata"]
    assert after["uid"] == before["uid"] and after["ownerReferences"][0]["uid"] == found["metadata"]["uid"]
    assert found["status"]["availableReplicas"] == 3 and "collisionCount" not in found["status"]


async def test_a_hundred_replicas_take_few_writes(cluster: Any) -> None:
    """Readiness is reported together where it comes together: the cost of a rollout is that of its pods."""
    await cluster.run(*CONTROLLERS)
    before = cluster.storage.revision
    await cluster.post("deployments", deployment(replicas=100), APPS)
    assert (await get(cluster))["status"]["availableReplicas"] == 100
    assert cluster.storage.revision - before < 600
