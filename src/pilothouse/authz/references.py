"""Finds the service accounts, secrets,
config maps and claims that pods and volumes refer to (upstream's visitors)."""

from collections.abc import Iterator

from pilothouse.api.values.fields import Object

Vertex = tuple[str, str, str]
"""A resource name, a namespace and a name."""

_MIRROR = "kubernetes.io/config.mirror"
_SECRET_REFS = ("cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos")
"""Volume sources with a `secretRef`."""
_SELF_CONTAINED = frozenset(("name", "emptyDir", "hostPath", "downwardAPI"))
"""Members of volumes that refer to no other object."""
_KUBELET_SECRETS = ("nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef")
"""The secrets of a CSI volume that kubelets read; the other ones are for controllers."""


def pod_vertices(pod: Object) -> Iterator[Vertex]:
    """The pod itself and all it refers to; a mirror pod gives access to nothing else."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    namespace = metadata.get("namespace", "")
    yield ("pods", namespace, metadata["name"])
    if _MIRROR in (metadata.get("annotations") or {}):
        return
    if spec.get("serviceAccountName"):
        yield ("serviceaccounts", namespace, spec["serviceAccountName"])
    for ref in spec.get("imagePullSecrets") or ():
        yield ("secrets", namespace, ref.get("name", ""))
    for kind, name in (*_containers(spec), *_volumes(pod, spec), *_claims(pod, spec)):
        if name:
            yield (kind, namespace, name)


def _containers(spec: Object) -> Iterator[tuple[str, str]]:
    for member in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(member) or ():
            for source in container.get("envFrom") or ():
                yield "secrets", (source.get("secretRef") or {}).get("name", "")
                yield "configmaps", (source.get("configMapRef") or {}).get("name", "")
            for variable in container.get("env") or ():
                source = variable.get("valueFrom")
                if not source:
                    continue
                yield "secrets", (source.get("secretKeyRef") or {}).get("name", "")
                yield "configmaps", (source.get("configMapKeyRef") or {}).get("name", "")


def _volumes(pod: Object, spec: Object) -> Iterator[tuple[str, str]]:
    for volume in spec.get("volumes") or ():
        if volume.keys() <= _SELF_CONTAINED:
            continue
        yield "secrets", (volume.get("secret") or {}).get("secretName", "")
        yield "secrets", (volume.get("azureFile") or {}).get("secretName", "")
        yield "secrets", ((volume.get("csi") or {}).get("nodePublishSecretRef") or {}).get("name", "")
        for source in _SECRET_REFS:
            yield "secrets", ((volume.get(source) or {}).get("secretRef") or {}).get("name", "")
        yield "configmaps", (volume.get("configMap") or {}).get("name", "")
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield "secrets", (source.get("secret") or {}).get("name", "")
            yield "configmaps", (source.get("configMap") or {}).get("name", "")
        claim = volume.get("persistentVolumeClaim")
        if claim:
            yield "persistentvolumeclaims", claim.get("claimName", "")
        elif volume.get("ephemeral"):
            yield "persistentvolumeclaims", f"{pod['metadata']['name']}-{volume['name']}"


def _claims(pod: Object, spec: Object) -> Iterator[tuple[str, str]]:
    status = pod.get("status") or {}
    made = {s.get("name"): s.get("resourceClaimName", "") for s in status.get("resourceClaimStatuses") or ()}
    for claim in spec.get("resourceClaims") or ():
        yield "resourceclaims", claim.get("resourceClaimName") or made.get(claim.get("name"), "")
    yield "resourceclaims", (status.get("extendedResourceClaimStatus") or {}).get("resourceClaimName", "")


def volume_secrets(volume: Object) -> Iterator[tuple[str, str]]:
    """(namespace, name) of the secrets of a persistent volume that a kubelet may read."""
    spec = volume.get("spec") or {}
    default = (spec.get("claimRef") or {}).get("namespace", "")
    azure = spec.get("azureFile") or {}
    refs: list[Object] = [{"namespace": azure.get("secretNamespace"), "name": azure.get("secretName")}]
    refs += [(spec.get(source) or {}).get("secretRef") or {} for source in _SECRET_REFS]
    refs += [(spec.get("csi") or {}).get(member) or {} for member in _KUBELET_SECRETS]
    for ref in refs:
        if ref.get("name"):
            yield (ref.get("namespace") or default or "", ref["name"])
