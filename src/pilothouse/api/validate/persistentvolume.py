"""Validates persistent volumes (apis/core/validation)."""

import posixpath
from typing import NamedTuple

from pilothouse.api.validate import declare as d
from pilothouse.api.validate import volume_sources as sources
from pilothouse.api.validate.common import IMMUTABLE, equal, selector_has_invalid_value
from pilothouse.api.validate.diff import diff
from pilothouse.api.validate.node_labels import term_warnings
from pilothouse.api.validate.persistentvolumeclaim import validate_access_modes
from pilothouse.api.validate.pod.scheduling import validate_node_selector
from pilothouse.api.validate.resources import validate_basic_quantity, validate_positive_quantity
from pilothouse.api.validate.shown import go
from pilothouse.api.values.fields import Errors, Object

_INLINE = "in the context of inline volumes"
_STABLE_LABELS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}
SOURCES = (
    "hostPath gcePersistentDisk awsElasticBlockStore glusterfs flocker nfs rbd quobyte cephfs iscsi cinder fc"
    " flexVolume azureFile vsphereVolume photonPersistentDisk portworxVolume azureDisk scaleIO local"
    " storageos csi"
)
_MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"
_TAKES_MOUNT_OPTIONS = (
    "gcePersistentDisk awsElasticBlockStore glusterfs nfs rbd quobyte iscsi cinder cephfs azureFile"
    " vsphereVolume azureDisk photonPersistentDisk"
)

_spec = sources.rules.table("api.core.v1.PersistentVolumeSpec")(f"""
    if $inline
      claimRef-,capacity-               : may not be specified {_INLINE}
      csi*                              : has to be specified {_INLINE}
    accessModes!
    accessModes                         access-modes
    if $inline
      if persistentVolumeReclaimPolicy and persistentVolumeReclaimPolicy != Retain
        forbidden                       at:persistentVolumeReclaimPolicy : may only be Retain {_INLINE}
      nodeAffinity-?                    : may not be specified {_INLINE}
    else
      @capacity
      persistentVolumeReclaimPolicy+    Delete|Recycle|Retain
      nodeAffinity
        required*                       node-selector : must specify required node constraints
    @iscsi-portal
    first-of                            : {sources.MORE_THAN_ONE} / must specify a volume type
      hostPath                          host-path
      gcePersistentDisk                 gce-disk as:persistentDisk
      awsElasticBlockStore              aws-disk
      glusterfs                         persistent-glusterfs
      flocker                           flocker
      nfs                               nfs
      rbd                               monitors-and-image
      quobyte                           quobyte
      cephfs                            second:cephFS
        monitors!
      iscsi                             persistent-iscsi
      cinder                            persistent-cinder
      fc                                fc
      flexVolume                        flex second:
      azureFile                         persistent-azure-file
      vsphereVolume
        volumePath!
      photonPersistentDisk
        pdID!
      portworxVolume
        volumeID!
      azureDisk                         azure-disk
      scaleIO                           scale-io
      local                             local @local-has-place
      storageos                         persistent-storage-os
      csi                               persistent-csi
    @not-recycled-root
    if $inline
      storageClassName-                 : may not be specified {_INLINE}
      if volumeMode given and volumeMode != Filesystem
        forbidden                       at:volumeMode : may not specify volumeMode other than Filesystem {_INLINE}
    else
      storageClassName+                 dns-subdomain
      volumeMode                        Block|Filesystem
    if volumeAttributesClassName given
      volumeAttributesClassName!        dns-subdomain : an empty string is disallowed
      csi*                              : has to be specified when using volumeAttributesClassName
""")


class _Around(NamedTuple):
    """The volume's name, whether it is inside a VolumeAttachment, and whether its affinity may be invalid."""

    name: str
    inline: bool
    allow_invalid_node_affinity_values: bool


def validate_volume_spec(
    spec: Object,
    name: str,
    path: str,
    errs: Errors,
    *,
    inline: bool = False,
    any_affinity_value: bool = False,
) -> None:
    """Validates a PersistentVolumeSpec; `inline` if it is part of a VolumeAttachment."""
    _spec(spec, path, errs, _Around(name, inline, any_affinity_value))


sources.rules.add("node-selector", validate_node_selector)
sources.rules.add("access-modes", validate_access_modes)


@sources.rules
def _capacity(spec: Object, path: str, errs: Errors) -> None:
    found, path = spec.get("capacity"), f"{path}.capacity"
    capacity = dict(sorted((found or {}).items()))
    if not capacity:
        errs.required(path)
    if "storage" not in capacity or len(capacity) > 1:
        errs.not_supported(path, None if found is None else capacity, ("storage",))
    for name, text in capacity.items():
        validate_basic_quantity(text, f"{path}[{name}]", errs)
        validate_positive_quantity(text, f"{path}[{name}]", errs)


@sources.rules
def _iscsi_portal(spec: Object, path: str, errs: Errors, around: _Around) -> None:
    iscsi = spec.get("iscsi")
    if iscsi is not None and next(m for m in SOURCES.split() if spec.get(m) is not None) == "iscsi":
        portal, at = iscsi.get("targetPortal", ""), f"{path}.iscsi"
        if not portal:
            errs.required(f"{at}.targetPortal")
        too_long = sources.iscsi_name_too_long(around.name, iscsi)
        if too_long:
            errs.invalid(f"{at}.targetportal", portal, too_long)


@sources.rules
def _local_has_place(spec: Object, path: str, errs: Errors, around: _Around) -> None:
    if spec.get("nodeAffinity") is None or around.inline:
        errs.required(f"{path}.nodeAffinity", "Local volume requires node affinity")


@sources.rules
def _not_recycled_root(spec: Object, path: str, errs: Errors) -> None:
    host_path = spec.get("hostPath")
    if host_path is None or spec.get("persistentVolumeReclaimPolicy") != "Recycle":
        return
    if posixpath.normpath(host_path.get("path") or ".").replace("//", "/") == "/":
        why = "may not be 'recycle' for a hostPath mount of '/'"
        errs.forbidden(f"{path}.persistentVolumeReclaimPolicy", why)


def validate_volume(volume: Object, errs: Errors, old: Object | None = None) -> None:
    terms = d.found(old, ("spec", "nodeAffinity", "required", "nodeSelectorTerms"), ())
    had_invalid = any(map(selector_has_invalid_value, terms))
    name = volume["metadata"].get("name", "")
    spec = volume.get("spec") or {}
    validate_volume_spec(spec, name, "spec", errs, any_affinity_value=had_invalid)
    annotations = volume["metadata"].get("annotations") or {}
    if _MOUNT_OPTIONS in annotations and all(spec.get(m) is None for m in _TAKES_MOUNT_OPTIONS.split()):
        at = f"metadata.annotations.{_MOUNT_OPTIONS}"
        errs.forbidden(at, "may not specify mount options for this volume type")


_fixed_mode = d.fixed("spec.volumeMode", at="volumeMode")


def validate_volume_update(volume: Object, old: Object, errs: Errors) -> None:
    """Validates a changed volume; source, mode and an existing node affinity are immutable."""
    validate_volume(volume, errs, old)
    spec, before = volume.get("spec") or {}, old.get("spec") or {}
    new_source, old_source = ({m: s[m] for m in SOURCES.split() if m in s} for s in (spec, before))
    if (before.get("csi") or {}).get("controllerExpandSecretRef") is None and "csi" in new_source:
        new_source["csi"] = {k: v for k, v in new_source["csi"].items() if k != "controllerExpandSecretRef"}
    if not equal(new_source, old_source):
        shown = diff(*(_source_shown(source) for source in (old_source, new_source)))
        what = "spec.persistentvolumesource is immutable after creation"
        errs.forbidden("spec.persistentvolumesource", f"{what}\n{shown}")
    _fixed_mode(volume, old, errs)
    new_affinity, old_affinity = spec.get("nodeAffinity"), before.get("nodeAffinity")
    if old_affinity is not None and not equal(_relabelled(old_affinity, new_affinity or {}), new_affinity):
        affinity = go(new_affinity, "api.core.v1.VolumeNodeAffinity")
        errs.invalid("nodeAffinity", affinity, f"{IMMUTABLE}, except for updating from beta label to GA")
    if before.get("volumeAttributesClassName") is not None and spec.get("volumeAttributesClassName") is None:
        errs.forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden")


def _source_shown(source: Object) -> Object:
    """A PersistentVolumeSource, the first members of the spec, as messages show it."""
    shown: Object = go(source, "api.core.v1.PersistentVolumeSpec")
    return dict(list(shown.items())[: len(SOURCES.split())])


def _relabelled(old: Object, new: Object) -> Object:
    """The old affinity with beta labels renamed as in the new one; upstream lets any become empty."""
    old_terms = (old.get("required") or {}).get("nodeSelectorTerms") or []
    new_terms = (new.get("required") or {}).get("nodeSelectorTerms") or []
    if len(old_terms) != len(new_terms):
        return old
    return {
        **old,
        "required": {
            "nodeSelectorTerms": [_relabelled_term(*pair) for pair in zip(old_terms, new_terms, strict=True)]
        },
    }


def _relabelled_term(old: Object, new: Object) -> Object:
    out = dict(old)
    for member in ("matchExpressions", "matchFields"):
        before, after = old.get(member) or [], new.get(member) or []
        if len(before) == len(after) and before:
            out[member] = [
                {**one, "key": two["key"]}
                if _STABLE_LABELS.get(one.get("key", ""), "") == two.get("key", "")
                else one
                for one, two in zip(before, after, strict=True)
            ]
    return out


_OLD_SOURCES = {
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_OLD_ANNOTATIONS = {
    "volume.beta.kubernetes.io/storage-class": (
        'deprecated since v1.8; use "storageClassName" attribute instead'
    ),
    "volume.beta.kubernetes.io/mount-options": 'deprecated since v1.31; use "mountOptions" attribute instead',
}
_RECYCLE = (
    "The Recycle reclaim policy is deprecated."
    " Instead, the recommended approach is to use dynamic provisioning."
)


def volume_warnings(volume: Object) -> list[str]:
    """Warnings for a volume (pvutil.GetWarningsForPersistentVolume)."""
    spec, out = volume.get("spec") or {}, []
    annotations = volume["metadata"].get("annotations") or {}
    out += [f"metadata.annotations[{k}]: {text}" for k, text in _OLD_ANNOTATIONS.items() if k in annotations]
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        out.append(f"spec.persistentVolumeReclaimPolicy: {_RECYCLE}")
    required = (spec.get("nodeAffinity") or {}).get("required") or {}
    for i, term in enumerate(required.get("nodeSelectorTerms") or ()):
        out += term_warnings(term, f"spec.nodeAffinity.required.nodeSelectorTerms[{i}]")
    for member, text in _OLD_SOURCES.items():
        if spec.get(member) is not None:
            out.append(f"spec.{'storageOS' if member == 'storageos' else member}: {text}")
    return out
