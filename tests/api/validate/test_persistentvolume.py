"""Every cause that persistent volumes can have (pkg/apis/core/validation)."""

from rules import GONE, at, below, gives, put, table, valid

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
    (UPDATE, (of(hostPath={"path": "/w", "type": ""}), BASE), "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n…"),
    *valid(NEW, BASE, csi(volumeAttributesClassName="a")),
    (NEW, of(capacity=GONE), "spec.capacity!", "spec.capacity=null |storage"),
    (NEW, of(accessModes=[], capacity={}), "spec.accessModes,capacity!", "spec.capacity |storage"),
    (NEW, of(accessModes=["Odd"], capacity={"storage": "-1", "cpu": "1"}), 'spec.accessModes="Odd" ReadOnlyMany|ReadWriteMany|ReadWriteOnce|ReadWriteOncePod',
        'spec.capacity={"cpu":"1","storage":"-1"} |storage', "spec.capacity[storage]=-1 : must be a valid resource quantity", "spec.capacity[storage] : must be greater than zero"),
    (NEW, of(persistentVolumeReclaimPolicy="Odd", volumeMode="Odd", storageClassName="S_"), "spec.persistentVolumeReclaimPolicy Delete|Recycle|Retain", "spec.storageClassName : <RFC 1123 subdomain>",
        "spec.volumeMode Block|Filesystem"),
    (NEW, of(persistentVolumeReclaimPolicy="Recycle", hostPath={"path": "/a/..", "type": ""}), "spec.hostPath.path : must not contain '..'",
        "spec.persistentVolumeReclaimPolicy- : may not be 'recycle' for a hostPath mount of '/'"),
    (NEW, of(persistentVolumeReclaimPolicy="Recycle", hostPath={"path": "//", "type": ""}), "spec.persistentVolumeReclaimPolicy- : may not be 'recycle' for a hostPath mount of '/'"),
    (NEW, of(nodeAffinity={}), "spec.nodeAffinity.required! : must specify required node constraints"),
    (NEW, of(nodeAffinity={"required": {}}), "spec.nodeAffinity.required.nodeSelectorTerms! : must have at least one node selector term"),
    (NEW, of(hostPath=GONE, local={"path": "/l"}), "spec.nodeAffinity! : Local volume requires node affinity"),
    (NEW, of(hostPath=GONE, iscsi={"targetPortal": "p", "iqn": "x"}), "spec.iscsi.iqn : must be valid format"),
    (NEW, csi(volumeAttributesClassName=""), "spec.volumeAttributesClassName! : an empty string is disallowed"),
    (NEW, of(volumeAttributesClassName="A_"), "spec.volumeAttributesClassName : <RFC 1123 subdomain>", "spec.csi! : has to be specified when using volumeAttributesClassName"),
    (NEW, put(BASE, {"metadata.annotations": {"volume.beta.kubernetes.io/mount-options": "ro"}}),
        "metadata.annotations.volume.beta.kubernetes.io/mount-options- : may not specify mount options for this volume type"),
    *valid(inline, INLINE, {**INLINE, "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}),
    (inline, {**INLINE, "claimRef": {"name": "c"}, "capacity": {"storage": "1"}, "storageClassName": "s"},
        "s.claimRef,capacity,storageClassName- : may not be specified in the context of inline volumes"),
    (inline, {**INLINE, "persistentVolumeReclaimPolicy": "Delete", "volumeMode": "Block", "nodeAffinity": {}}, "s.persistentVolumeReclaimPolicy- : may only be Retain in the context of inline volumes",
        "s.nodeAffinity- : may not be specified in the context of inline volumes", "s.volumeMode- : may not specify volumeMode other than Filesystem in the context of inline volumes"),
    *valid(UPDATE, (BASE, BASE), (csi(csi={**CSI, "controllerExpandSecretRef": {"name": "s", "namespace": "n"}}), csi()), (placed("a"), BASE), (placed(STABLE), placed(BETA))),
    (UPDATE, (of(volumeMode="Block"), BASE), 'volumeMode="Block" fixed'),
    (UPDATE, (placed(""), placed("b")), *below("spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0]", ".key : name part must be non-empty", ".key : <name part>")),
    (UPDATE, (placed("a"), placed("b")),
        'nodeAffinity={"Required":{"NodeSelectorTerms":[{"MatchExpressions":[{"Key":"a","Operator":"In","Values":["z"]}],"MatchFields":null}]}} : field is immutable, except for updating from beta label to GA'),
    (UPDATE, (of(nodeAffinity={}), placed("b")), "spec.nodeAffinity.required! : must specify required node constraints",
        'nodeAffinity={"Required":null} : field is immutable, except for updating from beta label to GA'),
    (UPDATE, (BASE, placed("b")), "nodeAffinity=null : field is immutable, except for updating from beta label to GA"),
    (UPDATE, (csi(), csi(volumeAttributesClassName="a")), "spec.volumeAttributesClassName- : update from non-nil value to nil is forbidden"),
    (NEW, of(hostPath=None), "spec! : must specify a volume type"),
    (NEW, of(nfs={"server": "s", "path": "/"}), "spec.nfs- : may not specify more than 1 volume type"),
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
