"""Volumes grow with their claims."""

from typing import Any

CLASS = "/apis/storage.k8s.io/v1/storageclasses"


async def test_a_claim_that_asks_for_more(cluster: Any) -> None:
    await cluster.run("persistentvolume-binder-controller", "persistentvolume-expander-controller")
    made = {"metadata": {"name": "fast"}, "provisioner": "csi.example.com", "allowVolumeExpansion": True}
    await cluster.ok("POST", CLASS, made)
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast"}
    wanted = {**spec, "resources": {"requests": {"storage": "1Gi"}}}
    await cluster.post("persistentvolumeclaims", {"metadata": {"name": "c"}, "spec": wanted})
    more = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
    await cluster.patch("persistentvolumeclaims/c", more)
    found = await cluster.get("persistentvolumeclaims/c")
    assert found["status"]["capacity"] == {"storage": "3Gi"}
    volume = await cluster.ok("GET", f"/api/v1/persistentvolumes/{found['spec']['volumeName']}")
    assert volume["spec"]["capacity"] == {"storage": "3Gi"}
