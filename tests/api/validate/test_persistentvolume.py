"""Every cause that persistent volumes can have (pkg/apis/core/validation)."""

from rules import GONE, at, causes, gives, put, table

from pilothouse.api.validate import persistentvolume as rules
from pilothouse.api.values.fields import Errors, Object

NEW, UPDATE = rules.validate_volume, rules.validate_volume_update
SPEC = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}
BASE: Object = {"metadata": {"name": "v"}, "spec": {**SPEC, "hostPath": {"path": "/v", "type": ""}}}
CSI = {"driver": "d", "volumeHandle": "h"}

of = at(BASE, "spec")
csi = at(of(hostPath=GONE, csi=CSI), "spec")


def placed(*keys: str) -> Object:
    expressions = [{"key": key, "operator": "In", "values": ["z"]} for key in keys]
    return of(nodeAffinity={"required": {"nodeSelectorTerms": [{"matchExpressions": expressions}]}})


def inline(spec: Object, errs: Errors) -> None:
    """The volume of a VolumeAttachment."""
    rules.validate_volume_spec(spec, "", "s", errs, inline=True)


INLINE = {"csi": CSI, "accessModes": ["ReadWriteOnce"]}
BETA, STABLE = "failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"

test_causes = table([
    (NEW, BASE, []),
    (NEW, of(capacity=GONE), ["spec.capacity: Required value", 'spec.capacity: Unsupported value: null: supported values: "storage"']),
    (NEW, of(accessModes=[], capacity={}), ["spec.accessModes: Required value", "spec.capacity: Required value", 'spec.capacity: Unsupported value: {}: supported values: "storage"']),
    (NEW, of(accessModes=["Odd"], capacity={"storage": "-1", "cpu": "1"}),
        ['spec.accessModes: Unsupported value: "Odd": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
        'spec.capacity: Unsupported value: {"cpu":"1","storage":"-1"}: supported values: "storage"', "spec.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
        'spec.capacity[storage]: Invalid value: "-1": must be greater than zero']),
    (NEW, of(persistentVolumeReclaimPolicy="Odd", volumeMode="Odd", storageClassName="S_"),
        ['spec.persistentVolumeReclaimPolicy: Unsupported value: "Odd": supported values: "Delete", "Recycle", "Retain"', 'spec.storageClassName: Invalid value: "S_": <RFC 1123 subdomain>',
        'spec.volumeMode: Unsupported value: "Odd": supported values: "Block", "Filesystem"']),
    (NEW, of(persistentVolumeReclaimPolicy="Recycle", hostPath={"path": "/a/..", "type": ""}), ["spec.hostPath.path: Invalid value: \"/a/..\": must not contain '..'",
        "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"]),
    (NEW, of(persistentVolumeReclaimPolicy="Recycle", hostPath={"path": "//", "type": ""}), ["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"]),
    (NEW, of(nodeAffinity={}), ["spec.nodeAffinity.required: Required value: must specify required node constraints"]),
    (NEW, of(nodeAffinity={"required": {}}), ["spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term"]),
    (NEW, of(hostPath=GONE, local={"path": "/l"}), ["spec.nodeAffinity: Required value: Local volume requires node affinity"]),
    (NEW, of(hostPath=GONE, iscsi={"targetPortal": "p", "iqn": "x"}), ['spec.iscsi.iqn: Invalid value: "x": must be valid format']),
    (NEW, csi(volumeAttributesClassName="a"), []),
    (NEW, csi(volumeAttributesClassName=""), ["spec.volumeAttributesClassName: Required value: an empty string is disallowed"]),
    (NEW, of(volumeAttributesClassName="A_"), ['spec.volumeAttributesClassName: Invalid value: "A_": <RFC 1123 subdomain>',
        "spec.csi: Required value: has to be specified when using volumeAttributesClassName"]),
    (NEW, put(BASE, {"metadata.annotations": {"volume.beta.kubernetes.io/mount-options": "ro"}}),
        ["metadata.annotations.volume.beta.kubernetes.io/mount-options: Forbidden: may not specify mount options for this volume type"]),
    (inline, INLINE, []),
    (inline, {**INLINE, "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}, []),
    (inline, {**INLINE, "claimRef": {"name": "c"}, "capacity": {"storage": "1"}, "storageClassName": "s"}, ["s.claimRef: Forbidden: may not be specified in the context of inline volumes",
        "s.capacity: Forbidden: may not be specified in the context of inline volumes", "s.storageClassName: Forbidden: may not be specified in the context of inline volumes"]),
    (inline, {**INLINE, "persistentVolumeReclaimPolicy": "Delete", "volumeMode": "Block", "nodeAffinity": {}},
        ["s.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of inline volumes", "s.nodeAffinity: Forbidden: may not be specified in the context of inline volumes",
        "s.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the context of inline volumes"]),
    (UPDATE, (BASE, BASE), []),
    (UPDATE, (of(volumeMode="Block"), BASE), ['volumeMode: Invalid value: "Block": field is immutable']),
    (UPDATE, (csi(csi={**CSI, "controllerExpandSecretRef": {"name": "s", "namespace": "n"}}), csi()), []),
    (UPDATE, (placed("a"), BASE), []),
    (UPDATE, (placed(STABLE), placed(BETA)), []),
    (UPDATE, (placed(""), placed("b")), ['spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: Invalid value: "": name part must be non-empty',
        'spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: Invalid value: "": <name part>']),
    (UPDATE, (placed("a"), placed("b")),
        ['nodeAffinity: Invalid value: {"Required":{"NodeSelectorTerms":[{"MatchExpressions":[{"Key":"a","Operator":"In","Values":["z"]}],"MatchFields":null}]}}: field is immutable, except for updating from beta label to GA']),
    (UPDATE, (of(nodeAffinity={}), placed("b")), ["spec.nodeAffinity.required: Required value: must specify required node constraints",
        'nodeAffinity: Invalid value: {"Required":null}: field is immutable, except for updating from beta label to GA']),
    (UPDATE, (BASE, placed("b")), ["nodeAffinity: Invalid value: null: field is immutable, except for updating from beta label to GA"]),
    (UPDATE, (csi(), csi(volumeAttributesClassName="a")), ["spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"]),
    (NEW, of(accessModes=[]), ["spec.accessModes: Required value"]),
    (NEW, of(hostPath=None), ["spec: Required value: must specify a volume type"]),
    (NEW, of(capacity=None), ["spec.capacity: Required value", 'spec.capacity: Unsupported value: null: supported values: "storage"']),
    (NEW, of(nfs={"server": "s", "path": "/"}), ["spec.nfs: Forbidden: may not specify more than 1 volume type"]),
])  # fmt: skip

test_warnings = gives(rules.volume_warnings, [
    (BASE, []),
    (of(persistentVolumeReclaimPolicy="Recycle", hostPath=GONE, rbd={}),
        ["spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
        "spec.rbd: deprecated in v1.28, non-functional in v1.31+"]),
    (of(hostPath=GONE, storageos={}), ["spec.storageOS: deprecated in v1.22, non-functional in v1.25+"]),
    (put(placed(BETA), {"metadata.annotations": {"volume.beta.kubernetes.io/storage-class": "s"}}),
        ['metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead',
        'spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "topology.kubernetes.io/zone" instead']),
])  # fmt: skip


def test_a_source_is_fixed() -> None:
    [cause] = causes(UPDATE, (of(hostPath={"path": "/w", "type": ""}), BASE))
    assert cause.startswith("spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n")
