"""Pods with ephemeral volumes get claims that go with them."""

from typing import Any

from harness import pod

SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
VOLUME = {
    "name": "tmp",
    "ephemeral": {"volumeClaimTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": SPEC}},
}


async def test_a_claim_for_each_volume(cluster: Any) -> None:
    await cluster.run("ephemeral-volume-controller", garbage=True)
    await cluster.post("pods", pod("p", spec={"volumes": [VOLUME]}))
    found = await cluster.get("persistentvolumeclaims/p-tmp")
    assert (
        found["metadata"]["labels"] == {"a": "b"} and found["metadata"]["ownerReferences"][0]["name"] == "p"
    )
    await cluster.ok("DELETE", "/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0")
    await cluster.settle()
    await cluster.fail(404, "GET", "/api/v1/namespaces/default/persistentvolumeclaims/p-tmp")


async def test_a_claim_of_somebody_else(cluster: Any) -> None:
    await cluster.run("ephemeral-volume-controller")
    await cluster.post("persistentvolumeclaims", {"metadata": {"name": "p-tmp"}, "spec": SPEC})
    await cluster.post("pods", pod("p", spec={"volumes": [VOLUME]}))
    assert "ownerReferences" not in (await cluster.get("persistentvolumeclaims/p-tmp"))["metadata"]
    [(reason, note)] = await cluster.events("Pod")
    assert reason == "FailedBinding" and note.endswith('was not created for pod "p" (pod is not owner)')
