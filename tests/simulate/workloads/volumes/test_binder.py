"""Claims get volumes: those that there are, or made ones."""

from typing import Any

CONTROLLER = "persistentvolume-binder-controller"
VOLUMES, CLASSES = "/api/v1/persistentvolumes", "/apis/storage.k8s.io/v1/storageclasses"
MERGE = {"Content-Type": "application/merge-patch+json"}


def claim(name: str = "c", size: str = "1Gi", **spec: Any) -> Any:
    wanted = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        "storageClassName": "",
    }
    return {"metadata": {"name": name}, "spec": {**wanted, **spec}}


async def volume(cluster: Any, name: str, size: str = "1Gi", policy: str = "Retain", **spec: Any) -> None:
    given = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "hostPath": {"path": "/x"}}
    members = {"persistentVolumeReclaimPolicy": policy, **given, **spec}
    await cluster.ok("POST", VOLUMES, {"metadata": {"name": name, "labels": {"name": name}}, "spec": members})
    await cluster.settle()


async def storage_class(cluster: Any, name: str, mode: str = "Immediate", **members: Any) -> None:
    made = {
        "metadata": {"name": name},
        "provisioner": "csi.example.com",
        "volumeBindingMode": mode,
        **members,
    }
    await cluster.ok("POST", CLASSES, made)
    await cluster.settle()


async def get(cluster: Any, name: str = "c") -> Any:
    await cluster.settle()
    return await cluster.get(f"persistentvolumeclaims/{name}")


async def phases(cluster: Any) -> dict[str, str]:
    await cluster.settle()
    items = (await cluster.ok("GET", VOLUMES))["items"]
    return {one["metadata"]["name"]: one["status"]["phase"] for one in items}


async def test_the_smallest_volume_that_serves(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await volume(cluster, "small", "500Mi")
    await volume(cluster, "large", "10Gi")
    await volume(cluster, "fits", "2Gi")
    await volume(cluster, "many", "1Gi", accessModes=["ReadOnlyMany"])
    await volume(cluster, "classy", "1Gi", storageClassName="fast")
    await volume(cluster, "raw", "1Gi", volumeMode="Block")
    await cluster.post("persistentvolumeclaims", claim())
    found = await get(cluster)
    assert found["spec"]["volumeName"] == "fits"
    assert found["status"] == {
        "phase": "Bound",
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "2Gi"},
    }
    assert found["metadata"]["annotations"] == {
        "pv.kubernetes.io/bind-completed": "yes",
        "pv.kubernetes.io/bound-by-controller": "yes",
    }
    held = await cluster.ok("GET", f"{VOLUMES}/fits")
    reference = held["spec"]["claimRef"]
    assert (reference["kind"], reference["name"], reference["uid"]) == (
        "PersistentVolumeClaim",
        "c",
        found["metadata"]["uid"],
    )
    assert {name for name, phase in (await phases(cluster)).items() if phase != "Available"} == {"fits"}


async def test_claims_wait_for_volumes(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("persistentvolumeclaims", claim(selector={"matchLabels": {"name": "v2"}}))
    note = "no persistent volumes available for this claim and no storage class is set"
    assert ("FailedBinding", note) in await cluster.events("PersistentVolumeClaim")
    await volume(cluster, "v1")
    assert (await get(cluster))["status"]["phase"] == "Pending"
    await volume(cluster, "v2")
    assert (await get(cluster))["spec"]["volumeName"] == "v2"


async def test_volumes_that_are_asked_for_or_reserved(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await volume(cluster, "v1", claimRef={"namespace": "default", "name": "b"})
    await volume(cluster, "v2")
    await cluster.post("persistentvolumeclaims", claim("a", volumeName="v1"))
    assert (await get(cluster, "a"))["status"]["phase"] == "Pending"
    note = 'volume "v1" already bound to a different claim.'
    assert ("FailedBinding", note) in await cluster.events("PersistentVolumeClaim")
    await cluster.post("persistentvolumeclaims", claim("b"))
    assert (await get(cluster, "b"))["spec"]["volumeName"] == "v1"
    await cluster.post("persistentvolumeclaims", claim("d", volumeName="v2", size="5Gi"))
    note = 'Cannot bind to requested volume "v2": requested PV is too small'
    assert ("VolumeMismatch", note) in await cluster.events("PersistentVolumeClaim")


async def test_a_volume_that_is_reserved_for_a_claim_and_too_small_for_it(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await volume(cluster, "v", "1Mi", claimRef={"namespace": "default", "name": "c"})
    await cluster.post("persistentvolumeclaims", claim("c"))
    assert (await get(cluster))["status"]["phase"] == "Pending"


async def test_a_volume_with_fewer_access_modes_comes_first(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await volume(cluster, "all", "1Gi", accessModes=["ReadWriteMany", "ReadWriteOnce"])
    await volume(cluster, "once", "5Gi")
    await cluster.post("persistentvolumeclaims", claim("c"))
    assert (await get(cluster))["spec"]["volumeName"] == "once"


async def test_a_class_makes_volumes_and_takes_them_back(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await storage_class(cluster, "fast")
    await cluster.post("persistentvolumeclaims", claim(storageClassName="fast"))
    found = await get(cluster)
    name = f"pvc-{found['metadata']['uid']}"
    assert (found["spec"]["volumeName"], found["status"]["phase"]) == (name, "Bound")
    assert found["metadata"]["annotations"]["volume.kubernetes.io/storage-provisioner"] == "csi.example.com"
    held = await cluster.ok("GET", f"{VOLUMES}/{name}")
    assert held["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"] == "csi.example.com"
    assert held["spec"]["csi"]["driver"] == "csi.example.com"
    assert held["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    told = await cluster.events("PersistentVolumeClaim")
    assert ("ProvisioningSucceeded", f"Successfully provisioned volume {name}") in told
    await cluster.ok("DELETE", "/api/v1/namespaces/default/persistentvolumeclaims/c")
    assert await phases(cluster) == {}


async def test_a_class_that_comes_later_and_one_whose_driver_is_of_the_tree(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("persistentvolumeclaims", claim(storageClassName="slow"))
    note = 'storageclass.storage.k8s.io "slow" not found'
    assert ("ProvisioningFailed", note) in await cluster.events("PersistentVolumeClaim")
    await storage_class(cluster, "slow", provisioner="rancher.io/local-path", reclaimPolicy="Retain")
    found = await get(cluster)
    held = await cluster.ok("GET", f"{VOLUMES}/{found['spec']['volumeName']}")
    assert "hostPath" in held["spec"] and held["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


async def test_a_claim_that_was_there_before_the_default_class(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("persistentvolumeclaims", claim(storageClassName=None))
    await cluster.post("persistentvolumeclaims", claim("none"))
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    await storage_class(cluster, "fast", metadata={"name": "fast", "annotations": default})
    found = await get(cluster)
    assert (found["spec"]["storageClassName"], found["status"]["phase"]) == ("fast", "Bound")
    assert (await get(cluster, "none"))["status"]["phase"] == "Pending", "it asks for no class"


async def test_a_class_that_waits_for_a_pod(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await storage_class(cluster, "late", "WaitForFirstConsumer")
    await volume(cluster, "v1", storageClassName="late")
    await cluster.post("persistentvolumeclaims", claim(storageClassName="late"))
    assert (await get(cluster))["status"]["phase"] == "Pending"
    note = "waiting for first consumer to be created before binding"
    assert ("WaitForFirstConsumer", note) in await cluster.events("PersistentVolumeClaim")
    reserved = {"spec": {"claimRef": {"namespace": "default", "name": "c"}}}
    await cluster.ok("PATCH", f"{VOLUMES}/v1", reserved, headers=MERGE)
    assert (await get(cluster))["spec"]["volumeName"] == "v1", "the scheduler has chosen it"
    await cluster.post("persistentvolumeclaims", claim("d", storageClassName="late"))
    chosen = {"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n1"}}}
    await cluster.patch("persistentvolumeclaims/d", chosen)
    assert (await get(cluster, "d"))["status"]["phase"] == "Bound"


async def test_a_volume_that_is_lost(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await volume(cluster, "v1")
    await cluster.post("persistentvolumeclaims", claim())
    await cluster.ok("DELETE", f"{VOLUMES}/v1")
    assert (await get(cluster))["status"] == {"phase": "Lost"}
    assert "ClaimLost" in dict(await cluster.events("PersistentVolumeClaim"))


async def test_a_retained_volume_is_released(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await volume(cluster, "v1")
    await cluster.post("persistentvolumeclaims", claim())
    await get(cluster)
    await cluster.ok("DELETE", "/api/v1/namespaces/default/persistentvolumeclaims/c")
    assert await phases(cluster) == {"v1": "Released"}
    await cluster.post("persistentvolumeclaims", claim())
    assert (await get(cluster))["status"]["phase"] == "Pending", "it is not given to another claim"
    await cluster.ok("PATCH", f"{VOLUMES}/v1", {"spec": {"claimRef": None}}, headers=MERGE)
    assert (await get(cluster))["status"]["phase"] == "Bound"
