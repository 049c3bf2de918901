"""Records of the core group, v1; the other files of this package have their strategies."""

from collections.abc import Callable
from typing import Any

from pilothouse.api.values.fields import Object
from pilothouse.registry.groups.core import pods as core_pods
from pilothouse.registry.groups.core import strategies as basic
from pilothouse.registry.groups.core import subresources as core_subresources
from pilothouse.registry.groups.core import volumes as core_volumes
from pilothouse.registry.groups.core import workloads as core_workloads
from pilothouse.registry.groups.records import (
    ALL_VERBS,
    UNKNOWN_LABEL,
    own,
    resource,
    type_of,
    workload_scale,
)
from pilothouse.registry.resource import Action, Resource, Subresource
from pilothouse.registry.strategy import Strategy
from pilothouse.storage.keys import ROOT

_NOT_SUPPORTED = "field label not supported: {label}"
_PROXY_VERBS = ("create", "delete", "get", "patch", "update")


def _record(
    kind: str,
    plural: str,
    storage_version_hash: str,
    strategy: Strategy,
    *,
    namespaced: bool = True,
    **more: Any,
) -> Resource:
    return resource("", kind, plural, storage_version_hash, strategy, namespaced=namespaced, **more)


def _text(*path: str, default: str = "") -> Callable[[Object], str]:
    def read(obj: Object) -> str:
        value: object = obj
        for member in path:
            value = value.get(member) if isinstance(value, dict) else None
        if isinstance(value, bool):
            return "true" if value else "false"
        return default if value is None else str(value)

    return read


def _pod_ip(pod: Object) -> str:
    listed = (pod.get("status") or {}).get("podIPs") or [{}]
    return str(listed[0].get("ip", ""))


def _event_source(obj: Object) -> str:
    return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or "")


_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_POD_FIELDS: dict[str, tuple[str, ...] | Callable[[Object], str]] = {
    "spec.nodeName": _text("spec", "nodeName"),
    "spec.host": _text("spec", "nodeName"),
    "spec.restartPolicy": _text("spec", "restartPolicy"),
    "spec.schedulerName": _text("spec", "schedulerName"),
    "spec.serviceAccountName": _text("spec", "serviceAccountName"),
    "spec.hostNetwork": _text("spec", "hostNetwork", default="false"),
    "status.phase": _text("status", "phase"),
    "status.podIP": _pod_ip,
    "status.podIPs": lambda pod: "",  # upstream accepts this label but has no value for it
    "status.nominatedNodeName": _text("status", "nominatedNodeName"),
}


_STREAM_VERBS = ("create", "get")


def _connect(name: str, kind: str, action: Action, verbs: tuple[str, ...] = _STREAM_VERBS) -> Subresource:
    return Subresource(name=name, kind=kind, verbs=verbs, action=action)


def _proxy(kind: str, action: Action) -> Subresource:
    return _connect("proxy", kind, action, _PROXY_VERBS)


BIND = Subresource(name="binding", kind="Binding", verbs=("create",), action=Action.BIND)
EVICT = Subresource(
    name="eviction",
    kind="Eviction",
    group="policy",
    verbs=("create",),
    action=Action.EVICT,
    accepted=(("policy", "v1beta1"),),
)
ISSUE_TOKEN = Subresource(
    name="token",
    kind="TokenRequest",
    group="authentication.k8s.io",
    verbs=("create",),
    action=Action.ISSUE_TOKEN,
)


PODS = _record(
    "Pod",
    "pods",
    "xPOwRZ+Yhw8=",
    core_pods.POD,
    short_names=("po",),
    categories=("all",),
    selectable=_POD_FIELDS,
    indexed=("spec.nodeName",),
    field_error=_NOT_SUPPORTED,
    status=core_pods.STATUS,
    subresources=(
        _connect("attach", "PodAttachOptions", Action.ATTACH),
        BIND,
        own("ephemeralcontainers", "", "v1", "Pod", core_pods.EPHEMERAL_CONTAINERS, tables=False),
        EVICT,
        _connect("exec", "PodExecOptions", Action.EXEC),
        _connect("log", "Pod", Action.LOG, ("get",)),
        _connect("portforward", "PodPortForwardOptions", Action.PORT_FORWARD),
        _proxy("PodProxyOptions", Action.PROXY_POD),
        own("resize", "", "v1", "Pod", core_pods.RESIZE, tables=False),
    ),
)
EVENT_VERSIONS: dict[str, Resource] = {}
"""The records of events in both of their groups, by group."""
EVENTS = _record(
    "Event",
    "events",
    "r2yiGXH7wu8=",
    basic.EVENT,
    short_names=("ev",),
    field_error=_NOT_SUPPORTED,
    selectable={
        **{f"involvedObject.{member}": ("involvedObject", member) for member in _INVOLVED},
        "reason": ("reason",),
        "reportingComponent": ("reportingComponent",),
        "source": _event_source,
        "type": ("type",),
    },
    siblings=EVENT_VERSIONS,
)

RESOURCES = [
    Resource(
        group="",
        version="v1",
        plural="bindings",
        kind="Binding",
        singular="binding",
        namespaced=True,
        verbs=("create",),
        type_of=type_of("", "v1", "Binding"),
        action=Action.BIND,
    ),
    Resource(
        group="",
        version="v1",
        plural="componentstatuses",
        kind="ComponentStatus",
        singular="componentstatus",
        namespaced=False,
        verbs=("get", "list"),
        short_names=("cs",),
        type_of=type_of("", "v1", "ComponentStatus"),
        field_error=UNKNOWN_LABEL,
        action=Action.COMPONENT_STATUS,
        deprecated="v1 ComponentStatus is deprecated in v1.19+",
    ),
    _record("ConfigMap", "configmaps", "qFsyl6wFWjQ=", basic.CONFIG_MAP, short_names=("cm",)),
    _record(
        "Endpoints",
        "endpoints",
        "fWeeMqaN/OA=",
        core_workloads.ENDPOINTS,
        key_prefix=f"{ROOT}services/endpoints/",
        short_names=("ep",),
        deprecated="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ),
    EVENTS,
    _record("LimitRange", "limitranges", "EBKMFVe6cwo=", basic.LIMIT_RANGE, short_names=("limits",)),
    _record(
        "Namespace",
        "namespaces",
        "Q3oi5N2YM8M=",
        basic.NAMESPACE,
        namespaced=False,
        verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection"),
        short_names=("ns",),
        selectable={"status.phase": ("status", "phase")},
        field_error=_NOT_SUPPORTED,
        names_namespace=True,
        status=basic.NAMESPACE_STATUS,
        subresources=(
            Subresource(
                name="finalize", kind="Namespace", verbs=("update",), strategy=basic.NAMESPACE_FINALIZE
            ),
        ),
    ),
    _record(
        "Node",
        "nodes",
        "XwShjMxG9Fs=",
        basic.NODE,
        key_prefix=f"{ROOT}minions/",
        namespaced=False,
        short_names=("no",),
        selectable={"spec.unschedulable": _text("spec", "unschedulable", default="false")},
        field_error=_NOT_SUPPORTED,
        status=basic.NODE_STATUS,
        subresources=(_proxy("NodeProxyOptions", Action.PROXY_NODE),),
    ),
    _record(
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        "QWTyNDq0dC4=",
        core_volumes.CLAIM,
        short_names=("pvc",),
        status=core_volumes.CLAIM_STATUS,
    ),
    _record(
        "PersistentVolume",
        "persistentvolumes",
        "HN/zwEC+JgM=",
        core_volumes.VOLUME,
        namespaced=False,
        short_names=("pv",),
        status=core_volumes.VOLUME_STATUS,
    ),
    PODS,
    _record("PodTemplate", "podtemplates", "LIXB2x4IFpk=", core_workloads.POD_TEMPLATE),
    _record(
        "ReplicationController",
        "replicationcontrollers",
        "Jond2If31h0=",
        core_workloads.CONTROLLER,
        key_prefix=f"{ROOT}controllers/",
        short_names=("rc",),
        categories=("all",),
        selectable={"status.replicas": _text("status", "replicas", default="0")},
        field_error=_NOT_SUPPORTED,
        status=core_workloads.CONTROLLER_STATUS,
        subresources=(workload_scale(core_subresources.scale_of, core_subresources.set_scale),),
    ),
    _record(
        "ResourceQuota",
        "resourcequotas",
        "8uhSgffRX6w=",
        basic.QUOTA,
        short_names=("quota",),
        status=basic.QUOTA_STATUS,
    ),
    _record(
        "Secret",
        "secrets",
        "S6u1pOWzb84=",
        basic.SECRET,
        selectable={"type": ("type",)},
        field_error=_NOT_SUPPORTED,
        confidential=True,
    ),
    _record(
        "ServiceAccount",
        "serviceaccounts",
        "pbx9ZvyFpBE=",
        basic.SERVICE_ACCOUNT,
        short_names=("sa",),
        subresources=(ISSUE_TOKEN,),
    ),
    _record(
        "Service",
        "services",
        "0/CO1lhkEBI=",
        core_workloads.SERVICE,
        key_prefix=f"{ROOT}services/specs/",
        short_names=("svc",),
        categories=("all",),
        selectable={"spec.clusterIP": ("spec", "clusterIP"), "spec.type": ("spec", "type")},
        field_error=_NOT_SUPPORTED,
        status=core_workloads.SERVICE_STATUS,
        subresources=(_proxy("ServiceProxyOptions", Action.PROXY_SERVICE),),
    ),
]
