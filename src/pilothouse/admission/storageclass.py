"""DefaultStorageClass, PersistentVolumeClaimResize and StorageObjectInUseProtection:
rules for volumes and claims."""

from pilothouse.admission.about import CREATE, UPDATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.defaultclass import default_class
from pilothouse.api.values import quantity
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes

CLASSES = "storageclasses.storage.k8s.io"
IS_DEFAULT = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
PROTECTION = {
    "persistentvolumes": "kubernetes.io/pv-protection",
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "volumeattributesclasses.storage.k8s.io": "kubernetes.io/vac-protection",
}
REFUSED = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must"
    " support resize"
)


class DefaultStorageClass(AdmissionPlugin):
    """Sets the default class on a claim without one; among several default classes the newest."""

    name = "DefaultStorageClass"
    about = (About((CREATE,), ("persistentvolumeclaims",)),)

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj["spec"]
        annotations = a.obj["metadata"].get("annotations") or {}
        if spec.get("storageClassName") is not None or BETA_CLASS in annotations:
            return
        found = default_class(a.readers.list(CLASSES), IS_DEFAULT)
        if found is not None:
            a.changed("spec.storageClassName")
            spec["storageClassName"] = found["metadata"]["name"]


class StorageObjectInUseProtection(AdmissionPlugin):
    """Adds the finalizer that keeps volumes, claims and attribute classes while they are in use."""

    name = "StorageObjectInUseProtection"
    about = (About((CREATE,), PROTECTION),)

    def mutate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        finalizer = PROTECTION[a.resource.group_resource]
        have = a.obj["metadata"].get("finalizers") or []
        if finalizer not in have:
            a.changed("metadata.finalizers")
            a.obj["metadata"]["finalizers"] = [*have, finalizer]


class PersistentVolumeClaimResize(AdmissionPlugin):
    """Refuses to grow a claim unless its storage class allows expansion."""

    name = "PersistentVolumeClaimResize"
    about = (About((UPDATE,), ("persistentvolumeclaims",)),)

    def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None and a.old is not None
        new, old = _size(a.obj), _size(a.old)
        if quantity.parse(new) <= quantity.parse(old):
            return
        annotations = a.old["metadata"].get("annotations") or {}
        name = annotations.get(BETA_CLASS) or a.old["spec"].get("storageClassName") or ""
        found = a.readers.get(CLASSES, "", name) if name else None
        if found is None or not found.get("allowVolumeExpansion"):
            raise a.refuse(REFUSED)


def _size(claim: Object) -> str:
    size: str = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
    return size
