"""The plugins for volumes and claims."""

from typing import Any

import pytest
from harness import Rig, is_asked

from pilothouse import errors
from pilothouse.admission.storageclass import (
    BETA_CLASS,
    IS_DEFAULT,
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)

CLAIM, VOLUME = ("", "v1", "persistentvolumeclaims"), ("", "v1", "persistentvolumes")
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


def claim(size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    spec = {"resources": {"requests": {"storage": size}}, **spec}
    return {"metadata": {"name": "c"}, "spec": spec}


async def make(rig: Rig, name: str, *, annotation: str = "", **members: Any) -> None:
    metadata = {"name": name, "annotations": {annotation: "true"} if annotation else {}}
    await rig.ok("POST", CLASSES, {"metadata": metadata, "provisioner": "example.com/p", **members})


@pytest.mark.parametrize("annotation", IS_DEFAULT)
async def test_the_default_class(rig: Rig, annotation: Any) -> None:
    await make(rig, "plain")
    await make(rig, "chosen", annotation=annotation)
    obj = claim()
    DefaultStorageClass().mutate(rig.attributes(obj, resource=CLAIM))
    assert obj["spec"]["storageClassName"] == "chosen"


async def test_who_names_a_class_keeps_it(rig: Rig) -> None:
    await make(rig, "chosen", annotation=IS_DEFAULT[0])
    for own in ("", "own"):
        obj = claim(storageClassName=own)
        DefaultStorageClass().mutate(rig.attributes(obj, resource=CLAIM))
        assert obj["spec"]["storageClassName"] == own
    obj = claim()
    obj["metadata"]["annotations"] = {BETA_CLASS: "own"}
    DefaultStorageClass().mutate(rig.attributes(obj, resource=CLAIM))
    assert "storageClassName" not in obj["spec"]


@pytest.mark.parametrize(
    ("resource", "finalizer"),
    [
        (CLAIM, "kubernetes.io/pvc-protection"),
        (VOLUME, "kubernetes.io/pv-protection"),
        (("storage.k8s.io", "v1", "volumeattributesclasses"), "kubernetes.io/vac-protection"),
    ],
)
async def test_volumes_are_protected(rig: Rig, resource: Any, finalizer: str) -> None:
    plugin = StorageObjectInUseProtection()
    for have, left in (
        (None, [finalizer]),
        (["example.com/f"], ["example.com/f", finalizer]),
        ([finalizer], [finalizer]),
    ):
        obj = {"metadata": {"name": "v", **({"finalizers": have} if have else {})}}
        attributes = rig.attributes(obj, resource=resource)
        assert is_asked(plugin, attributes)
        plugin.mutate(attributes)
        assert obj["metadata"]["finalizers"] == left
    assert not is_asked(plugin, rig.attributes({}, {}, resource=resource))


def resize(rig: Rig, size: Any, old: Any) -> None:
    PersistentVolumeClaimResize().validate(rig.attributes(claim(size), old, resource=CLAIM))


@pytest.mark.parametrize("how", ["field", "annotation"])
async def test_a_claim_grows_when_its_class_allows_that(rig: Rig, how: str) -> None:
    await make(rig, "grows", allowVolumeExpansion=True)
    await make(rig, "stays")

    def old(name: str) -> Any:
        if how == "field":
            return claim(storageClassName=name)
        obj = claim()
        obj["metadata"]["annotations"] = {BETA_CLASS: name}
        return obj

    resize(rig, "2Gi", old("grows"))
    resize(rig, "1024Mi", old("stays"))
    resize(rig, "1Mi", old("stays"))
    for name in ("stays", "none", ""):
        with pytest.raises(errors.Forbidden) as caught:
            resize(rig, "2Gi", old(name))
        assert (
            caught.value.message
            == 'persistentvolumeclaims "c" is forbidden: only dynamically provisioned pvc can be resized and'
            " the storageclass that provisions the pvc must support resize"
        )


async def test_what_they_look_at(rig: Rig) -> None:
    assert is_asked(DefaultStorageClass(), rig.attributes({}, resource=CLAIM))
    assert not is_asked(DefaultStorageClass(), rig.attributes({}, {}, resource=CLAIM))
    assert is_asked(PersistentVolumeClaimResize(), rig.attributes({}, {}, resource=CLAIM))
    assert not is_asked(
        PersistentVolumeClaimResize(), rig.attributes({}, {}, resource=CLAIM, subresource="status")
    )
    assert not is_asked(PersistentVolumeClaimResize(), rig.attributes({}, resource=CLAIM))
