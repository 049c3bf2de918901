"""Formats pod templates as messages show upstream's internal type: Go's names, all members, in Go's order.

Members come in the order of their protobuf numbers, which is that of the Go types, where the internal type (pkg/apis/core
types.go) has no other one.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from pilothouse.api import schema
from pilothouse.api.fields import Object
from pilothouse.api.protobuf.reader import table
from pilothouse.api.schema import Field, Type
from pilothouse.api.validate.shown import label_selector, object_meta

_HOST = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")
"""Members of a pod's spec that the internal type has in the security context."""
_CONTAINER = (
    "name image command args workingDir ports envFrom env resources resizePolicy restartPolicy restartPolicyRules"
    " volumeMounts volumeDevices livenessProbe readinessProbe startupProbe lifecycle terminationMessagePath"
    " terminationMessagePolicy imagePullPolicy securityContext stdin stdinOnce tty"
)
_ORDERS = {
    "PodSpec": "volumes initContainers containers ephemeralContainers restartPolicy terminationGracePeriodSeconds"
    " activeDeadlineSeconds dnsPolicy nodeSelector serviceAccountName automountServiceAccountToken nodeName"
    " securityContext imagePullSecrets hostname subdomain setHostnameAsFQDN affinity schedulerName tolerations"
    " hostAliases priorityClassName priority preemptionPolicy dnsConfig readinessGates runtimeClassName overhead"
    " enableServiceLinks topologySpreadConstraints os schedulingGates resourceClaims resources hostnameOverride"
    " schedulingGroup",
    "PodSecurityContext": "seLinuxOptions windowsOptions runAsUser runAsGroup runAsNonRoot supplementalGroups"
    " supplementalGroupsPolicy fsGroup fsGroupChangePolicy sysctls seccompProfile appArmorProfile"
    " seLinuxChangePolicy",
    "Container": _CONTAINER,
    "EphemeralContainer": _CONTAINER + " targetContainerName",
    "VolumeMount": "name readOnly recursiveReadOnly mountPath subPath mountPropagation subPathExpr",
    "SecurityContext": "capabilities privileged seLinuxOptions windowsOptions runAsUser runAsGroup runAsNonRoot"
    " readOnlyRootFilesystem allowPrivilegeEscalation procMount seccompProfile appArmorProfile",
    "Volume": "name hostPath emptyDir gcePersistentDisk awsElasticBlockStore gitRepo secret nfs iscsi glusterfs"
    " persistentVolumeClaim rbd quobyte flexVolume cinder cephfs flocker downwardAPI fc azureFile configMap"
    " vsphereVolume azureDisk photonPersistentDisk projected portworxVolume scaleIO storageos csi ephemeral image",
}
_NAMES = {
    "apiGroup": "APIGroup", "apiVersion": "APIVersion", "awsElasticBlockStore": "AWSElasticBlockStore",
    "cephfs": "CephFS", "chapAuthDiscovery": "DiscoveryCHAPAuth", "chapAuthSession": "SessionCHAPAuth", "csi": "CSI",
    "diskURI": "DataDiskURI", "dnsConfig": "DNSConfig", "dnsPolicy": "DNSPolicy", "fc": "FC", "fsGroup": "FSGroup",
    "fsGroupChangePolicy": "FSGroupChangePolicy", "fsType": "FSType", "gcePersistentDisk": "GCEPersistentDisk",
    "gmsaCredentialSpec": "GMSACredentialSpec", "gmsaCredentialSpecName": "GMSACredentialSpecName", "grpc": "GRPC",
    "httpGet": "HTTPGet", "httpHeaders": "HTTPHeaders", "ip": "IP", "iqn": "IQN", "iscsi": "ISCSI",
    "iscsiInterface": "ISCSIInterface", "nfs": "NFS", "os": "OS", "pdName": "PDName", "rbd": "RBD",
    "seLinuxChangePolicy": "SELinuxChangePolicy", "seLinuxOptions": "SELinuxOptions", "storageos": "StorageOS",
    "tcpSocket": "TCPSocket", "tty": "TTY", "wwids": "WWIDs",
}  # fmt: skip
_ZEROS = {"string": "", "int32": 0, "int64": 0, "number": 0, "bool": False, "intorstring": 0, "quantity": "0"}


def template(value: Object) -> Object:
    """A PodTemplateSpec; its metadata is embedded."""
    return {**object_meta(value.get("metadata") or {}), "Spec": pod_spec(value.get("spec") or {})}


def pod_spec(value: Object) -> Object:
    """A PodSpec."""
    type = schema.for_kind("", "v1", "Pod").fields["spec"].type
    shown = _struct(value, type)
    context = value.get("securityContext")
    if context is not None or any(value.get(name) for name in _HOST):
        host = {_go_name(name): _member(value, type.fields[name]) for name in _HOST}
        shown["SecurityContext"] = host | _struct(context or {}, type.fields["securityContext"].type)
    return shown


def _struct(value: Object, type: Type) -> Object:
    if type.name.endswith(".LabelSelector"):
        return label_selector(value) or {}
    return {_go_name(name): _member(value, type.fields[name]) for name in _order(type)}


@cache
def _order(type: Type) -> tuple[str, ...]:
    given = _ORDERS.get(type.name.rpartition(".")[2])
    if given is not None:
        return tuple(given.split())
    return tuple(_by_number(table(type)))


def _by_number(members: Any) -> Iterator[str]:
    for number in sorted(members):
        member = members[number]
        if isinstance(member, dict):
            yield from _by_number(member)
        else:
            yield member.name


def _go_name(name: str) -> str:
    return _NAMES.get(name) or name[0].upper() + name[1:]


def _member(parent: Object, field: Field) -> Any:
    value, type = parent.get(field.name), field.type
    if value is None:
        if field.pointer or type.kind in ("list", "map"):
            return None
        return _struct({}, type) if type.kind == "struct" else _ZEROS.get(type.kind)
    return _value(value, type)


def _value(value: Any, type: Type) -> Any:
    if type.kind == "struct":
        return _struct(value, type)
    if type.kind == "list" and type.items is not None:
        return [_value(item, type.items) for item in value]
    if type.kind == "map":
        return dict(sorted(value.items())) or None
    return value
