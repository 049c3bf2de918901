"""Formats values as messages show upstream's internal types:
Go's names of members, all of them, in Go's order.

Members come in the order of the served Go type, where the internal one (pkg/apis/*/types.go) has no other.
ObjectMeta and LabelSelector have JSON names in Go as well.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pilothouse.api.types import schema
from pilothouse.api.types.schema import Type
from pilothouse.api.values.fields import Object

META_MEMBERS = (
    "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
    "managedFields",
)  # fmt: skip
_OWNER = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
_ENTRY = ("manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource")
_HOST = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")
"""Members of a pod's spec that the internal type has in the security context."""
_CONTAINER = (
    "name image command args workingDir ports envFrom env resources resizePolicy restartPolicy"
    " restartPolicyRules volumeMounts volumeDevices livenessProbe readinessProbe startupProbe lifecycle"
    " terminationMessagePath terminationMessagePolicy imagePullPolicy securityContext stdin stdinOnce tty"
)
_ORDERS = {
    "PodSpec": (
        "volumes initContainers containers ephemeralContainers restartPolicy terminationGracePeriodSeconds"
        " activeDeadlineSeconds dnsPolicy nodeSelector serviceAccountName automountServiceAccountToken"
        " nodeName securityContext imagePullSecrets hostname subdomain setHostnameAsFQDN affinity"
        " schedulerName tolerations hostAliases priorityClassName priority preemptionPolicy dnsConfig"
        " readinessGates runtimeClassName overhead enableServiceLinks topologySpreadConstraints os"
        " schedulingGates resourceClaims resources hostnameOverride schedulingGroup"
    ),
    "PodSecurityContext": (
        "seLinuxOptions windowsOptions runAsUser runAsGroup runAsNonRoot supplementalGroups"
        " supplementalGroupsPolicy fsGroup fsGroupChangePolicy sysctls seccompProfile appArmorProfile"
        " seLinuxChangePolicy"
    ),
    "Container": _CONTAINER,
    "EphemeralContainer": _CONTAINER + " targetContainerName",
    "ClusterTrustBundleProjection": "name signerName labelSelector optional path",
    "CertificateSigningRequestCondition": "type status reason message lastUpdateTime lastTransitionTime",
    "PersistentVolumeClaimSpec": (
        "accessModes selector resources volumeName storageClassName volumeMode dataSource"
        " dataSourceRef volumeAttributesClassName"
    ),
    "PersistentVolumeSpec": (
        "gcePersistentDisk awsElasticBlockStore hostPath glusterfs nfs rbd quobyte iscsi flexVolume cinder"
        " cephfs fc flocker azureFile vsphereVolume azureDisk photonPersistentDisk portworxVolume scaleIO"
        " local storageos csi capacity accessModes claimRef persistentVolumeReclaimPolicy storageClassName"
        " mountOptions volumeMode nodeAffinity volumeAttributesClassName"
    ),
    "CustomResourceDefinitionVersion": (
        "name served storage deprecated deprecationWarning schema subresources"
        " additionalPrinterColumns selectableFields"
    ),
    "VolumeMount": "name readOnly recursiveReadOnly mountPath subPath mountPropagation subPathExpr",
    "SecurityContext": (
        "capabilities privileged seLinuxOptions windowsOptions runAsUser runAsGroup runAsNonRoot"
        " readOnlyRootFilesystem allowPrivilegeEscalation procMount seccompProfile appArmorProfile"
    ),
    "Volume": (
        "name hostPath emptyDir gcePersistentDisk awsElasticBlockStore gitRepo secret nfs iscsi glusterfs"
        " persistentVolumeClaim rbd quobyte flexVolume cinder cephfs flocker downwardAPI fc azureFile"
        " configMap vsphereVolume azureDisk photonPersistentDisk projected portworxVolume scaleIO storageos"
        " csi ephemeral image"
    ),
}
_NAMES = {
    "apiGroup": "APIGroup", "apiGroups": "APIGroups", "apiVersion": "APIVersion", "awsElasticBlockStore": "AWSElasticBlockStore",
    "cel": "CEL", "cephfs": "CephFS", "chapAuthDiscovery": "DiscoveryCHAPAuth", "chapAuthSession": "SessionCHAPAuth", "csi": "CSI",
    "diskURI": "DataDiskURI", "dnsConfig": "DNSConfig", "dnsPolicy": "DNSPolicy", "fc": "FC", "fsGroup": "FSGroup",
    "fsGroupChangePolicy": "FSGroupChangePolicy", "fsType": "FSType", "gcePersistentDisk": "GCEPersistentDisk",
    "gmsaCredentialSpec": "GMSACredentialSpec", "gmsaCredentialSpecName": "GMSACredentialSpecName", "grpc": "GRPC",
    "httpGet": "HTTPGet", "httpHeaders": "HTTPHeaders", "ip": "IP", "iqn": "IQN", "iscsi": "ISCSI",
    "iscsiInterface": "ISCSIInterface", "jsonPath": "JSONPath", "nfs": "NFS", "os": "OS", "pdName": "PDName", "rbd": "RBD",
    "seLinuxChangePolicy": "SELinuxChangePolicy", "seLinuxOptions": "SELinuxOptions", "storageos": "StorageOS",
    "sslEnabled": "SSLEnabled", "tcpSocket": "TCPSocket", "tty": "TTY", "uid": "UID", "wwids": "WWIDs",
}  # fmt: skip
_OWN_NAMES = {
    "Glusterfs": {"endpoints": "EndpointsName"},
    "RBD": {"monitors": "CephMonitors", "image": "RBDImage", "pool": "RBDPool", "user": "RadosUser"},
}
"""Names that sources of volumes have for members, in pods and in PersistentVolumes."""
_VALUES = frozenset(
    ("RollingUpdateDeployment", "RollingUpdateDaemonSet", "RollingUpdateStatefulSetStrategy.partition")
)
"""Structs, or members of them, that have values in the internal type where the served type has pointers."""
_ZEROS = {"string": "", "int32": 0, "int64": 0, "number": 0, "bool": False, "intorstring": 0, "quantity": "0"}


def go(value: Any, name: str) -> Any:
    """A struct, or a list of structs, of a type such as `api.core.v1.Toleration`; None for None."""
    if isinstance(value, list):
        return [go(item, name) for item in value]
    return None if value is None else _struct(value, schema.builtin(f"io.k8s.{name}"))


def shown(value: Any, form: str) -> Any:
    """A value in the form of a type, as go() gives it, or as `label-selector` or `map`."""
    forms = {"label-selector": label_selector, "map": sorted_map}
    return forms[form](value) if form in forms else go(value, form)


def _struct(value: Object, type: Type) -> Object:
    name = type.name.rpartition(".")[2]
    if name == "LabelSelector":
        return label_selector(value) or {}
    shown = {_go_name(member, name): _member(value, type, member) for member in _order(type)}
    if name.endswith("TemplateSpec") or name == "PersistentVolumeClaimTemplate":  # its metadata is embedded
        return {**object_meta(value.get("metadata") or {}), "Spec": shown["Spec"]}
    context = value.get("securityContext")
    if name == "PodSpec" and (context is not None or any(value.get(member) for member in _HOST)):
        host = {_go_name(member, name): _member(value, type, member) for member in _HOST}
        shown["SecurityContext"] = host | _struct(context or {}, type.fields["securityContext"].type)
    return shown


@cache
def _order(type: Type) -> tuple[str, ...]:
    given = _ORDERS.get(type.name.rpartition(".")[2])
    return type.order if given is None else tuple(given.split())


def _go_name(name: str, owner: str) -> str:
    own = _OWN_NAMES.get(owner.removesuffix("PersistentVolumeSource").removesuffix("VolumeSource"), {})
    return own.get(name) or _NAMES.get(name) or name[0].upper() + name[1:]


def _member(parent: Object, struct: Type, name: str) -> Any:
    value, field = parent.get(name), struct.fields[name]
    type = field.type
    if value is None:
        owner = struct.name.rpartition(".")[2]
        pointer = field.pointer and owner not in _VALUES and f"{owner}.{name}" not in _VALUES
        if pointer or type.kind in ("list", "map"):
            return None
        return _struct({}, type) if type.kind == "struct" else _ZEROS.get(type.kind)
    return _value(value, type)


def _value(value: Any, type: Type) -> Any:
    if type.kind == "struct":
        return _struct(value, type)
    if type.kind == "list" and type.items is not None:
        return [_value(item, type.items) for item in value]
    return sorted_map(value) if type.kind == "map" else value


def object_meta(metadata: Object) -> Object:
    """An ObjectMeta."""
    shown: Object = {}
    for name in META_MEMBERS:
        value = metadata.get(name)
        if name in ("ownerReferences", "managedFields"):
            order = _OWNER if name == "ownerReferences" else _ENTRY
            value = [{m: one[m] for m in order if one.get(m) is not None} for one in value or ()]
        if value or (value == 0 and name == "deletionGracePeriodSeconds"):
            shown[name] = sorted_map(value) if isinstance(value, dict) else value
    return shown


def sorted_map(members: Mapping[str, Any] | None) -> Object | None:
    """A map with sorted keys."""
    return None if members is None else dict(sorted(members.items()))


def label_selector(selector: Object | None) -> Object | None:
    """A meta/v1 LabelSelector."""
    if selector is None:
        return None
    shown: Object = {"matchLabels": sorted_map(selector.get("matchLabels"))}
    shown["matchExpressions"] = [
        {m: e.get(m, "") for m in ("key", "operator", "values") if m != "values" or e.get(m)}
        for e in selector.get("matchExpressions") or ()
    ]
    return {name: value for name, value in shown.items() if value}
