"""A cluster without storage classes gets one."""

from typing import Any

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


async def names(cluster: Any) -> list[str]:
    await cluster.settle()
    return [one["metadata"]["name"] for one in (await cluster.ok("GET", CLASSES))["items"]]


async def test_a_default_class_is_made(cluster: Any) -> None:
    await cluster.run("standard storage class")
    assert await names(cluster) == ["standard"]
    made = await cluster.ok("GET", f"{CLASSES}/standard")
    assert made["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert (made["volumeBindingMode"], made["reclaimPolicy"]) == ("WaitForFirstConsumer", "Delete")


async def test_classes_of_the_user_are_enough(cluster: Any) -> None:
    await cluster.ok("POST", CLASSES, {"metadata": {"name": "mine"}, "provisioner": "csi.example.com"})
    await cluster.run("standard storage class")
    assert await names(cluster) == ["mine"]
