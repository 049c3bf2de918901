"""The bytes of values in the history file: deflate with a dictionary of texts that most objects have."""

import zlib

RAW, DEFLATED = b"\0", b"\1"
SHORT = 96
"""Bytes below which a value is not worth compressing."""
WINDOW = -13
"""zlib's window of 8 KiB, without a header."""
SMALL = 2048
"""Bytes up to which a value is one of those that are kept for most changes."""

DICTIONARY = (
    b'"readyReplicas","availableReplicas":"updatedReplicas":"observedGeneration":"unavailableReplicas":'
    b'"subjects":[{"kind":"ServiceAccount","roleRef":{"apiGroup":"rbac.authorization.k8s.io","rules":[{"verbs":'
    b'["get","list","watch","create","update","patch","delete"],"resources":["data":{"selector":'
    b'{"matchLabels":"capacity":{"cpu":"memory":"ephemeral-storage":"pods":"allocatable":"addresses":[{"type":"InternalIP",'
    b'"address":"nodeInfo":"lastHeartbeatTime":"KubeletHasSufficientMemory","message":"kubelet has '
    b'sufficient memory available"'
    b'KubeletReady","imagePullPolicy":"IfNotPresent","terminationMessagePath":"/dev/'
    b'termination-log","terminationMessagePolicy":"File","restartPolicy":"Always",'
    b'"terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"default",'
    b'"securityContext":{},"schedulerName":"default-scheduler","tolerations":[{"key":"node.kubernetes.io/'
    b'not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},"volumes":[{"name":'
    b'"kube-api-access","volumeMounts":[{"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount",'
    b'"resources":{"limits":"requests":{"containers":[{"name":"env":[{"name":"image":"ports":[{"containerPort":'
    b'"protocol":"TCP","containerStatuses",0,"containerID":"imageID":"state":{"running":{"startedAt":"waiting":'
    b'{"reason":"ContainerCreating"}},"lastState":{},"ready":true,"restartCount":0,"started":true}],"hostIP":'
    b'"podIP":"podIPs":[{"ip":"qosClass":"BestEffort","Burstable","phase":"Running","Pending","status":'
    b'{"conditions":[{"type":"PodReadyToStartContainers","Initialized","ContainersReady","PodScheduled","reason":'
    b'"message":"lastUpdateTime":"lastProbeTime":null,"lastTransitionTime":"status":"True"},"False","Unknown"'
    b'"fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{"f:labels":{".":{},"f:ownerReferences":'
    b'{"f:spec":{"f:containers":{"k:{\\"name\\":\\"f:status":{"f:conditions":{"k:{\\"type\\":\\"Ready\\"}":'
    b'"operation":"Update","Apply","subresource":"status"},"manager":"kube-controller-manager","kubectl",'
    b'"kubelet","apiVersion":"apps/v1","v1","kind":"Pod","metadata":{"name":"namespace":"default",'
    b'"ownerReferences":[{"controller":true,"blockOwnerDeletion":true,"labels":{"app.kubernetes.io/name":'
    b'"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"deployment.kubernetes.io/revision":'
    b'"generation":"uid":"creationTimestamp":"2026-"resourceVersion":"["=",["metadata","generation"],["=",'
    b'["status","conditions",0,"lastTransitionTime"],"["=",["metadata","managedFields",0,"time"],"2026-'
)
"""The texts at its end cost the least. It is a part of the format and never changes."""
FOR_SMALL = zlib.compressobj(1, zlib.DEFLATED, -12, 5, zdict=DICTIONARY)
FOR_LARGE = zlib.compressobj(1, zlib.DEFLATED, WINDOW, 6, zdict=DICTIONARY)
"""They have read the dictionary, and are copied: to read it costs more than to compress a value. Level 1
takes a tenth more bytes than level 6, and less time. Windows are small, for they are copied."""


def pack(data: bytes) -> bytes:
    """The bytes to keep of a value."""
    if len(data) >= SHORT:
        deflate = (FOR_SMALL if len(data) <= SMALL else FOR_LARGE).copy()
        packed = deflate.compress(data) + deflate.flush()
        if len(packed) < len(data):
            return DEFLATED + packed
    return RAW + data


def unpack(data: bytes) -> bytes:
    """The value that was kept; ValueError for bytes that pack() does not make."""
    rest = data[1:]
    if data.startswith(RAW):
        return rest
    if not data.startswith(DEFLATED):
        raise ValueError(f"the value in the history has the unknown form {data[:1]!r}")
    inflate = zlib.decompressobj(WINDOW, DICTIONARY)
    try:
        value = inflate.decompress(rest)
    except zlib.error as error:
        raise ValueError(f"the value in the history is damaged: {error}") from error
    if not inflate.eof:
        raise ValueError("the value in the history is damaged: it ends too early")
    return value
