"""The volumes that are made for claims, as the drivers of storage classes would."""

from pilothouse.api.changes.patch import copy
from pilothouse.api.values import names
from pilothouse.api.values.fields import Object

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
NONE = "kubernetes.io/no-provisioner"
FOLDER = "/var/lib/simulated-volumes"


def waits_for_pod(claim: Object, storage_class: Object | None) -> bool:
    """Whether the node of a claim's first pod decides about its volume, and is not known yet."""
    mode = (storage_class or {}).get("volumeBindingMode")
    return mode == "WaitForFirstConsumer" and SELECTED_NODE not in (
        claim["metadata"].get("annotations") or {}
    )


def volume_for(claim: Object, storage_class: Object) -> Object:
    """A volume of a class for a claim, reserved for it."""
    metadata, spec, provisioner = claim["metadata"], claim["spec"], storage_class["provisioner"]
    name = f"pvc-{metadata['uid']}"
    source: Object = {"csi": {"driver": provisioner, "volumeHandle": name}}
    if names.dns_subdomain(provisioner):  # a name that no driver can have: of one in the tree
        source = {"hostPath": {"path": f"{FOLDER}/{name}", "type": "DirectoryOrCreate"}}
    made: Object = {
        "accessModes": list(spec.get("accessModes") or ()),
        "capacity": {"storage": spec["resources"]["requests"]["storage"]},
        "claimRef": reference(claim),
        "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
        "storageClassName": storage_class["metadata"]["name"],
        "volumeMode": spec.get("volumeMode") or "Filesystem",
        **source,
    }
    if storage_class.get("mountOptions"):
        made["mountOptions"] = copy(storage_class["mountOptions"])
    return {"metadata": {"name": name, "annotations": {PROVISIONED_BY: provisioner}}, "spec": made}


def reference(claim: Object) -> Object:
    """The reference by which a volume names its claim."""
    kept = {member: claim["metadata"][member] for member in ("namespace", "name", "uid", "resourceVersion")}
    return {"kind": "PersistentVolumeClaim", "apiVersion": "v1", **kept}
