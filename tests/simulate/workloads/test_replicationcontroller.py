"""Replication controllers keep as many pods as they ask for."""

from typing import Any


async def test_pods_are_made_replaced_and_taken_back(cluster: Any) -> None:
    await cluster.run("replicationcontroller-controller")
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = {
        "metadata": {"name": "r"},
        "spec": {"replicas": 3, "selector": {"app": "a"}, "template": template},
    }
    await cluster.post("replicationcontrollers", made)
    pods = await cluster.pods("app=a")
    assert [pod["metadata"]["ownerReferences"][0]["kind"] for pod in pods] == ["ReplicationController"] * 3
    assert (await cluster.get("replicationcontrollers/r"))["status"] == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "observedGeneration": 1,
    }
    await cluster.ok("DELETE", f"/api/v1/namespaces/default/pods/{pods[0]['metadata']['name']}")
    await cluster.settle()
    assert len(await cluster.pods("app=a")) == 3
    await cluster.patch("replicationcontrollers/r", {"spec": {"replicas": 1}})
    assert len(await cluster.pods("app=a")) == 1
