"""Checks of pods that kubelets write: API objects that a mirror pod references, and claim statuses."""

from collections.abc import Iterator, Sequence
from typing import Any

from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote

_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_SECRET_REFS = ("cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos")
"""Volume sources whose `secretRef` names a secret."""
_WITHOUT_REFERENCES = frozenset(
    (
        "awsElasticBlockStore",
        "azureDisk",
        "cephfs",
        "cinder",
        "downwardAPI",
        "emptyDir",
        "fc",
        "flexVolume",
        "flocker",
        "gcePersistentDisk",
        "gitRepo",
        "hostPath",
        "image",
        "iscsi",
        "nfs",
        "photonPersistentDisk",
        "portworxVolume",
        "quobyte",
        "rbd",
        "scaleIO",
        "storageos",
        "vsphereVolume",
    )
)
"""Volume sources that refer to no API object."""
_VOLUMES = {
    "csi": "csidrivers (via CSI volumes)",
    "glusterfs": "endpoints (via glusterFS volumes)",
    "persistentVolumeClaim": "persistentvolumeclaims",
    "ephemeral": "persistentvolumeclaims (via ephemeral volumes)",
    "azureFile": "secrets (via azureFile volumes)",
}
_PROJECTED = {
    "serviceAccountToken": "serviceaccounts (via projected volumes)",
    "clusterTrustBundle": "clustertrustbundles",
    "podCertificate": "podcertificates",
}


def api_reference(pod: Object) -> tuple[str, str]:
    """The resource of an API object that the pod refers to,
    "" for none, and an error for an unknown source."""
    spec = pod.get("spec") or {}
    if spec.get("serviceAccountName"):
        return "serviceaccounts", ""
    if any(True for _ in _secrets(spec)):
        return "secrets", ""
    if any(True for _ in _config_maps(spec)):
        return "configmaps", ""
    if spec.get("resourceClaims"):
        return "resourceclaims", ""
    for volume in spec.get("volumes") or ():
        kind, fault = _volume(volume)
        if kind or fault:
            return kind, fault
    return "", ""


def _volume(volume: Object) -> tuple[str, str]:
    """Like `api_reference` for one volume that refers to neither a secret nor a config map."""
    sources = {name for name, value in volume.items() if name != "name" and value is not None}
    if sources & _WITHOUT_REFERENCES:
        return "", ""
    for name, kind in _VOLUMES.items():
        if name in sources:
            return kind, ""
    if "projected" not in sources:
        return "", f"unknown volume type for volume  {quote(volume.get('name', ''))}"
    for source in volume["projected"].get("sources") or ():
        known = next((kind for name, kind in _PROJECTED.items() if source.get(name) is not None), "")
        if known:
            return known, ""
        if source.get("downwardAPI") is None:
            return "", f"unknown source for projected volume {quote(volume.get('name', ''))}"
    return "", ""


def _secrets(spec: Object) -> Iterator[Any]:
    yield from spec.get("imagePullSecrets") or ()
    yield from _in_containers(spec, "secretRef", "secretKeyRef")
    for volume in spec.get("volumes") or ():
        if volume.get("secret") is not None:
            yield volume
        if (volume.get("azureFile") or {}).get("secretName"):
            yield volume
        if (volume.get("csi") or {}).get("nodePublishSecretRef") is not None:
            yield volume
        yield from (name for name in _SECRET_REFS if (volume.get(name) or {}).get("secretRef") is not None)
        yield from _projections(volume, "secret")


def _config_maps(spec: Object) -> Iterator[Any]:
    yield from _in_containers(spec, "configMapRef", "configMapKeyRef")
    for volume in spec.get("volumes") or ():
        if volume.get("configMap") is not None:
            yield volume
        yield from _projections(volume, "configMap")


def _in_containers(spec: Object, source: str, key: str) -> Iterator[Any]:
    for member in _CONTAINERS:
        for container in spec.get(member) or ():
            yield from (s for s in container.get("envFrom") or () if s.get(source) is not None)
            for variable in container.get("env") or ():
                if (variable.get("valueFrom") or {}).get(key) is not None:
                    yield variable


def _projections(volume: Object, kind: str) -> Iterator[Any]:
    sources = (volume.get("projected") or {}).get("sources") or ()
    return (source for source in sources if source.get(kind) is not None)


def same_claim_statuses(old: Sequence[Object] | None, new: Sequence[Object] | None) -> bool:
    """Whether both lists name the same claims in the same order."""
    return _claims(old) == _claims(new)


def _claims(statuses: Sequence[Object] | None) -> list[tuple[str, str | None]]:
    return [(s.get("name", ""), s.get("resourceClaimName")) for s in statuses or ()]
