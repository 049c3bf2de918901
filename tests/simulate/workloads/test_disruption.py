"""Disruption budgets tell how many of their pods may go."""

from typing import Any

from harness import pod

POLICY, APPS = "/apis/policy/v1", "/apis/apps/v1"
CONTROLLER = "disruption-controller"


def budget(**spec: Any) -> Any:
    return {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec}}


def deployment(replicas: int) -> Any:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    selector = {"matchLabels": {"app": "web"}}
    return {
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }


async def status(cluster: Any) -> Any:
    await cluster.settle()
    return (await cluster.get("poddisruptionbudgets/b", POLICY))["status"]


def numbers(found: Any) -> tuple[int, ...]:
    names = ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed")
    return tuple(found[name] for name in names)


async def test_a_number_of_pods(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("poddisruptionbudgets", budget(minAvailable=2), POLICY)
    assert numbers(await status(cluster)) == (0, 2, 0, 0)
    assert ("NoPods", "No matching pods found") in await cluster.events("PodDisruptionBudget")
    for name in ("a", "b", "c"):
        await cluster.post("pods", pod(name, labels={"app": "web"}))
    found = await status(cluster)
    assert numbers(found) == (3, 2, 3, 1) and found["observedGeneration"] == 1
    [condition] = found["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == (
        "DisruptionAllowed",
        "True",
        "SufficientPods",
    )
    await cluster.kubelet.ready("a", "False")
    found = await status(cluster)
    assert numbers(found) == (3, 2, 2, 0)
    assert (found["conditions"][0]["status"], found["conditions"][0]["reason"]) == (
        "False",
        "InsufficientPods",
    )


async def test_shares_are_of_what_the_owners_ask_for(cluster: Any) -> None:
    await cluster.run(CONTROLLER, "deployment-controller", "replicaset-controller")
    await cluster.post("deployments", deployment(8), APPS)
    await cluster.post("poddisruptionbudgets", budget(maxUnavailable="25%"), POLICY)
    assert numbers(await status(cluster)) == (8, 6, 8, 2)
    left = (await cluster.pods())[0]["metadata"]["name"]
    await cluster.kubelet.finish(left, 1)
    changed = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "j"}]}}}}
    await cluster.patch("deployments/web", changed, APPS)
    assert numbers(await status(cluster)) == (8, 6, 8, 2), "pods of two sets, of one deployment"
    await cluster.patch(
        "poddisruptionbudgets/b", {"spec": {"maxUnavailable": None, "minAvailable": "60%"}}, POLICY
    )
    assert numbers(await status(cluster)) == (8, 5, 8, 3)


async def test_a_deployment_says_more_than_its_sets(cluster: Any) -> None:
    running = ("deployment-controller", "replicaset-controller")
    await cluster.run(CONTROLLER, *running)
    await cluster.post("deployments", deployment(8), APPS)
    for name in running:
        await cluster.running.pop(name).close()
    await cluster.patch("deployments/web", {"spec": {"replicas": 12}}, APPS)
    await cluster.post("poddisruptionbudgets", budget(maxUnavailable="25%"), POLICY)
    assert numbers(await status(cluster)) == (12, 9, 8, 0)


async def test_pods_without_an_owner_have_no_share(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("pods", pod("a", labels={"app": "web"}))
    await cluster.post("poddisruptionbudgets", budget(maxUnavailable=1), POLICY)
    assert numbers(await status(cluster)) == (0, 0, 1, 0)
    said = dict(await cluster.events("PodDisruptionBudget"))["UnmanagedPods"]
    assert "(selector: &LabelSelector{MatchLabels:map[string]string{app: " in said
    items = (await cluster.get("events"))["items"]
    assert {e["source"]["component"] for e in items if e["reason"] == "UnmanagedPods"} == {
        "controllermanager"
    }


async def test_an_eviction_counts_until_the_pod_is_gone_or_stays_after_all(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    for name in ("a", "b"):
        await cluster.post("pods", pod(name, labels={"app": "web"}))
    await cluster.post("poddisruptionbudgets", budget(minAvailable=1), POLICY)
    evicted = {"status": {"disruptionsAllowed": 0, "disruptedPods": {"a": cluster.clock.stamp()}}}
    await cluster.patch("poddisruptionbudgets/b/status", evicted, POLICY)
    found = await status(cluster)
    assert numbers(found) == (2, 1, 1, 0) and list(found["disruptedPods"]) == ["a"]
    await cluster.advance(121)
    found = await status(cluster)
    assert numbers(found) == (2, 1, 2, 1) and "disruptedPods" not in found
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}}
    await cluster.ok("POST", "/api/v1/namespaces/default/pods/a/eviction", eviction)
    assert numbers(await status(cluster)) == (1, 1, 1, 0)
    await cluster.fail(
        429, "POST", "/api/v1/namespaces/default/pods/b/eviction", {**eviction, "metadata": {"name": "b"}}
    )
