"""Claims and volumes that are deleted stay while they are used."""

from typing import Any

from harness import pod

VOLUMES = "/api/v1/persistentvolumes"
CONTROLLERS = (
    "persistentvolume-binder-controller",
    "persistentvolumeclaim-protection-controller",
    "persistentvolume-protection-controller",
)


async def test_a_claim_stays_for_a_pod_and_a_volume_for_the_claim(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    cluster.kubelet.hold = True
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    claim = {"name": "c", "finalizers": ["kubernetes.io/pvc-protection"]}
    wanted = {**spec, "resources": {"requests": {"storage": "1Gi"}}}
    held = {**spec, "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}
    volume = {"metadata": {"name": "v", "finalizers": ["kubernetes.io/pv-protection"]}, "spec": held}
    await cluster.ok("POST", VOLUMES, volume)
    await cluster.post("persistentvolumeclaims", {"metadata": claim, "spec": wanted})
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}]
    await cluster.post("pods", pod("a", spec={"nodeName": "n1", "volumes": volumes}))
    await cluster.ok("DELETE", "/api/v1/namespaces/default/persistentvolumeclaims/c")
    await cluster.ok("DELETE", f"{VOLUMES}/v")
    await cluster.settle()
    assert (await cluster.get("persistentvolumeclaims/c"))["metadata"]["deletionTimestamp"]
    assert (await cluster.ok("GET", f"{VOLUMES}/v"))["metadata"]["deletionTimestamp"]
    await cluster.ok("DELETE", "/api/v1/namespaces/default/pods/a?gracePeriodSeconds=0")
    await cluster.settle()
    await cluster.fail(404, "GET", "/api/v1/namespaces/default/persistentvolumeclaims/c")
    await cluster.fail(404, "GET", f"{VOLUMES}/v")
