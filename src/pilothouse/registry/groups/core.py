"""The core group, v1: records and strategies (registry/core); pods and services have files of their own."""

import base64
from collections.abc import Callable

from pilothouse.api import meta, names, schema
from pilothouse.api.fields import Errors, Object
from pilothouse.api.schema import Type
from pilothouse.api.validate import core, core_node, event, quota, secret, service
from pilothouse.api.validate import persistentvolume as volume
from pilothouse.api.validate import persistentvolumeclaim as claim
from pilothouse.api.validate.pod import validate_pod_template
from pilothouse.api.validate.pod_warnings import template_warnings
from pilothouse.registry.groups import core_pods, core_services, core_subresources
from pilothouse.registry.groups.records import (
    ALL_VERBS,
    COUNTS_SPEC,
    SPEC,
    STATUS,
    STATUS_APART,
    UNKNOWN_LABEL,
    Validate,
    ValidateUpdate,
    status_strategy,
)
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.registry.strategy import Strategy, WriteContext

Check = Callable[[WriteContext, Object, Errors], None]
CheckUpdate = Callable[[WriteContext, Object, Object, Errors], None]

_NOT_SUPPORTED = "field label not supported: {label}"
_PROXY_VERBS = ("create", "delete", "get", "patch", "update")


def _type(kind: str) -> Callable[[], Type]:
    return lambda: schema.for_kind("", "v1", kind)


def _record(
    kind: str,
    plural: str,
    storage_version_hash: str,
    strategy: Strategy,
    *,
    key_prefix: str = "",
    namespaced: bool = True,
    field_error: str = UNKNOWN_LABEL,
    verbs: tuple[str, ...] = ALL_VERBS,
    status: Strategy | None = None,
    subresources: tuple[Subresource, ...] = (),
    short_names: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    selectable: dict[str, tuple[str, ...] | Callable[[Object], str]] | None = None,
    deprecated: str = "",
) -> Resource:
    record = Resource(
        group="",
        version="v1",
        plural=plural,
        kind=kind,
        singular=kind.lower(),
        namespaced=namespaced,
        verbs=verbs,
        short_names=short_names,
        categories=categories,
        storage_version_hash=storage_version_hash,
        key_prefix=key_prefix or f"/registry/{plural}/",
        type_of=_type(kind),
        strategy=strategy,
        selectable=selectable or {},
        field_error=field_error,
        deprecated=deprecated,
    )
    own = (Subresource(name="status", kind=kind, strategy=status),) if status is not None else ()
    record.subresources.update({sub.name: sub for sub in (*own, *subresources)})
    return record


def _checked(check: Validate) -> Check:
    """The rules for a new object, those of its finalizers first."""

    def hook(ctx: WriteContext, obj: Object, errs: Errors) -> None:
        meta.validate_finalizer_names(obj, errs)
        check(obj, errs)

    return hook


def _checked_update(check: ValidateUpdate | None, *, whole: int = 1) -> CheckUpdate:
    """The rules for a change; `whole` is how often upstream asks the rules for a whole object, metadata included,
    besides those for the change: a cause stands there as often."""

    def hook(ctx: WriteContext, obj: Object, old: Object, errs: Errors) -> None:
        meta.validate_finalizer_names(obj, errs)
        for _ in range(whole):
            if errs:  # nothing to be found a second time otherwise
                meta.validate_create(obj, ctx.resource.namespaced, ctx.resource.strategy.name_check, errs)
                meta.validate_finalizer_names(obj, errs)
        if check is not None:
            check(obj, old, errs)

    return hook


def _updated(check: Validate) -> ValidateUpdate:
    """For kinds where a change is judged by the rules for new objects only."""
    return lambda obj, old, errs: check(obj, errs)


def _nothing(obj: Object, errs: Errors) -> None:
    """For kinds without rules beyond those of metadata."""


# Namespaces.


def _prepare_namespace(ctx: WriteContext, namespace: Object) -> None:
    namespace["status"] = {"phase": "Active"}
    spec = namespace.setdefault("spec", {})
    finalizers = spec.get("finalizers") or []
    if "kubernetes" not in finalizers:
        spec["finalizers"] = [*finalizers, "kubernetes"]
    _name_label(namespace)


def _prepare_namespace_update(ctx: WriteContext, namespace: Object, old: Object) -> None:
    namespace.setdefault("spec", {})
    _keep(namespace["spec"], old.get("spec") or {}, "finalizers")
    _name_label(namespace)


def _keep(target: Object, source: Object, member: str) -> None:
    if member in source:
        target[member] = source[member]
    else:
        target.pop(member, None)


def _name_label(namespace: Object) -> None:
    """Every namespace bears its name as a label (set in upstream's defaults, so that it cannot be taken off)."""
    metadata = namespace["metadata"]
    if metadata.get("name"):
        metadata["labels"] = {
            **(metadata.get("labels") or {}),
            "kubernetes.io/metadata.name": metadata["name"],
        }


def _mark_namespace(ctx: WriteContext, namespace: Object) -> bool:
    """The first delete only marks a namespace; it goes when it is asked for again and its finalizers are through."""
    metadata = namespace["metadata"]
    if metadata.get("deletionTimestamp"):
        return bool((namespace.get("spec") or {}).get("finalizers"))
    metadata["deletionTimestamp"] = ctx.now
    namespace.setdefault("status", {})["phase"] = "Terminating"
    return True


def _namespace_may_vanish(namespace: Object) -> bool:
    return not (namespace.get("spec") or {}).get("finalizers")


NAMESPACE = Strategy(
    name_check=names.dns_label,
    reset_on_create=(STATUS,),
    keep_on_update=(STATUS,),
    apply_reset=(STATUS,),
    prepare_create=_prepare_namespace,
    prepare_update=_prepare_namespace_update,
    validate=_checked(core.validate_namespace),
    validate_update=_checked_update(lambda obj, old, errs: core.validate_namespace(obj, errs)),
    return_deleted=True,
    mark_deleting=_mark_namespace,
    may_vanish=_namespace_may_vanish,
)
NAMESPACE_STATUS = Strategy(
    name_check=names.dns_label,
    keep_on_update=(SPEC,),
    apply_reset=(SPEC,),
    validate_update=_checked_update(core.validate_namespace_status, whole=0),
    may_vanish=_namespace_may_vanish,
)
NAMESPACE_FINALIZE = Strategy(
    name_check=names.dns_label,
    keep_on_update=(STATUS,),
    apply_reset=(STATUS,),
    validate_update=_checked_update(core.validate_namespace_finalize, whole=0),
    may_vanish=_namespace_may_vanish,
)


# Secrets and config maps.


def _prepare_secret_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    """An update without a type keeps the old one."""
    if not obj.get("type"):
        _keep(obj, old, "type")


def _secret_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    """What Go's tls.X509KeyPair would say of the pair (secret strategy)."""
    if obj.get("type") != "kubernetes.io/tls" or (old is not None and obj.get("data") == old.get("data")):
        return []
    from pilothouse.api.validate.key_pair import key_pair_fault

    data = obj.get("data") or {}
    fault = key_pair_fault(*(base64.b64decode(data.get(m) or "") for m in ("tls.crt", "tls.key")))
    return [fault] if fault else []


SECRET = Strategy(
    prepare_update=_prepare_secret_update,
    validate=_checked(secret.validate_secret),
    validate_update=_checked_update(secret.validate_secret_update),
    warnings=_secret_warnings,
)
CONFIG_MAP = Strategy(
    validate=_checked(secret.validate_config_map),
    validate_update=_checked_update(secret.validate_config_map_update),
)


# Service accounts, nodes, events.


def _prepare_service_account(ctx: WriteContext, account: Object) -> None:
    """Only the names of secrets are kept."""
    if account.get("secrets"):
        account["secrets"] = [{"name": s["name"]} if s.get("name") else {} for s in account["secrets"]]


def _service_account_warnings(ctx: WriteContext, account: Object, old: Object | None) -> list[str]:
    key = "kubernetes.io/enforce-mountable-secrets"
    before = (old or {"metadata": {}})["metadata"].get("annotations") or {}
    if key not in (account["metadata"].get("annotations") or {}) or key in before:
        return []
    what = f"metadata.annotations[{key}]: deprecated in v1.32+"
    return [f"{what}; prefer separate namespaces to isolate access to mounted secrets"]


SERVICE_ACCOUNT = Strategy(
    prepare_create=_prepare_service_account,
    prepare_update=lambda ctx, account, old: _prepare_service_account(ctx, account),
    validate=_checked(_nothing),
    validate_update=_checked_update(None),
    warnings=_service_account_warnings,
    return_deleted=True,
)


def _node_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    """Warnings for members that do nothing any more, when they are newly set (node strategy)."""
    spec, before = obj.get("spec") or {}, (old or {}).get("spec") or {}
    out = []
    if spec.get("configSource") is not None:
        out.append("spec.configSource: the feature is no longer supported")
    if spec.get("externalID") and not before.get("externalID"):
        out.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    for i, cidr in enumerate(spec.get("podCIDRs") or ()):
        if cidr not in (before.get("podCIDRs") or ()):
            out += names.cidr_warnings(f"spec.podCIDRs[{i}]", cidr)
    return out


def _validate_node_update(obj: Object, old: Object, errs: Errors) -> None:
    core_node.validate_node(obj, errs)
    core_node.validate_node_update(obj, old, errs)


NODE = Strategy(
    keep_on_update=(STATUS,),
    apply_reset=(STATUS,),
    validate=_checked(core_node.validate_node),
    validate_update=_checked_update(_validate_node_update),
    warnings=_node_warnings,
    return_deleted=False,
)
NODE_STATUS = status_strategy(NODE, core_node.validate_node_update)


def _event_ttl(ctx: WriteContext, obj: Object) -> int:
    options = getattr(ctx.services, "options", None)
    return int(getattr(options, "event_ttl", 3600))


EVENT = Strategy(
    name_check=names.path_segment,
    create_on_update=True,
    validate=lambda ctx, obj, errs: event.validate_event(obj, errs, strict=False),
    validate_update=lambda ctx, obj, old, errs: event.validate_event_update(obj, old, errs, strict=False),
    ttl=_event_ttl,
)


# Volumes and claims.


def _prepare_volume(ctx: WriteContext, obj: Object) -> None:
    obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": ctx.now}


def _prepare_volume_status(ctx: WriteContext, obj: Object, old: Object) -> None:
    """The time of a change of phase is the server's to note, unless the client says it (KEP-3762)."""
    status, before = obj.setdefault("status", {}), old.get("status") or {}
    member = "lastPhaseTransitionTime"
    given, known = status.get(member), before.get(member)
    if status.get("phase") != before.get("phase"):
        if given is None or given == known:
            status[member] = ctx.now
    elif given is None and known is not None:
        status[member] = known


def _validate_volume_update(obj: Object, old: Object, errs: Errors) -> None:
    volume.validate_volume(obj, errs, old)
    volume.validate_volume_update(obj, old, errs)


VOLUME = Strategy(
    **STATUS_APART,
    prepare_create=_prepare_volume,
    validate=_checked(volume.validate_volume),
    validate_update=_checked_update(_validate_volume_update, whole=2),
    warnings=lambda ctx, obj, old: volume.volume_warnings(obj),
    return_deleted=True,
)
VOLUME_STATUS = status_strategy(VOLUME, None, prepare_update=_prepare_volume_status)


def _prepare_claim(ctx: WriteContext, obj: Object) -> None:
    obj["status"] = {"phase": "Pending"}
    _drop_cross_namespace(obj, None)
    _same_sources(obj.get("spec") or {})


def _prepare_claim_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    """An old claim without dataSourceRef is completed on both sides, so that the two compare equal."""
    _drop_cross_namespace(obj, old)
    _same_sources(obj.get("spec") or {})
    _same_sources(old.get("spec") or {})


def _drop_cross_namespace(obj: Object, old: Object | None) -> None:
    """CrossNamespaceVolumeDataSource is alpha and off."""
    before = (((old or {}).get("spec") or {}).get("dataSourceRef") or {}).get("namespace")
    reference = (obj.get("spec") or {}).get("dataSourceRef")
    if reference is not None and before is None and "namespace" in reference:
        obj["spec"]["dataSourceRef"] = {k: v for k, v in reference.items() if k != "namespace"}


def _same_sources(spec: Object) -> None:
    """dataSource and dataSourceRef say the same; a source of another kind is dropped (NormalizeDataSources)."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and reference is None:
        if not _supported_source(source):
            spec.pop("dataSource")
            return
        spec["dataSourceRef"] = dict(source)
    elif reference is not None and source is None and not reference.get("namespace"):
        spec["dataSource"] = {m: reference[m] for m in ("apiGroup", "kind", "name") if m in reference}


def _supported_source(source: Object) -> bool:
    """The only sources that the old member may name."""
    kind, group = source.get("kind"), source.get("apiGroup") or ""
    return (kind == "PersistentVolumeClaim" and not group) or (
        kind == "VolumeSnapshot" and group == "snapshot.storage.k8s.io"
    )


def _validate_claim_update(obj: Object, old: Object, errs: Errors) -> None:
    claim.validate_claim(obj, errs, old)
    claim.validate_claim_update(obj, old, errs)


CLAIM = Strategy(
    **STATUS_APART,
    prepare_create=_prepare_claim,
    prepare_update=_prepare_claim_update,
    validate=_checked(claim.validate_claim),
    validate_update=_checked_update(_validate_claim_update, whole=2),
    warnings=lambda ctx, obj, old: claim.claim_warnings(obj),
    return_deleted=True,
)
CLAIM_STATUS = status_strategy(CLAIM, claim.validate_claim_status_update)


# Limits and quotas.


def _name_limits(ctx: WriteContext, obj: Object) -> None:
    """A LimitRange without a name gets a UUID for one."""
    if not obj["metadata"].get("name"):
        obj["metadata"]["name"] = meta.new_uid()


LIMIT_RANGE = Strategy(
    create_on_update=True,
    prepare_create=_name_limits,
    validate=_checked(quota.validate_limit_range),
    validate_update=_checked_update(_updated(quota.validate_limit_range)),
)
QUOTA = Strategy(
    **STATUS_APART,
    validate=_checked(quota.validate_quota),
    validate_update=_checked_update(quota.validate_quota_update, whole=0),
    warnings=lambda ctx, obj, old: quota.quota_warnings(obj),
    return_deleted=True,
)
QUOTA_STATUS = status_strategy(QUOTA, lambda obj, old, errs: quota.validate_quota_status(obj, errs))


# Pod templates, replication controllers, endpoints.


def _prepare_template(ctx: WriteContext, obj: Object) -> None:
    core_pods.drop_disabled_fields((obj.get("template") or {}).get("spec") or {})


def _prepare_template_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    before = (old.get("template") or {}).get("spec") or {}
    core_pods.drop_disabled_fields((obj.get("template") or {}).get("spec") or {}, before)


def _template_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    if old is not None and obj["metadata"].get("generation") == old["metadata"].get("generation"):
        return []
    return template_warnings(obj.get("template") or {}, "template")


POD_TEMPLATE = Strategy(
    generation_on_create=1,
    generation_fields=(("template",),),
    prepare_create=_prepare_template,
    prepare_update=_prepare_template_update,
    validate=_checked(validate_pod_template),
    validate_update=_checked_update(
        lambda obj, old, errs: validate_pod_template(obj, errs, old)
    ),
    warnings=_template_warnings,
    return_deleted=True,
)


def _controller_template(obj: Object) -> Object:
    return (obj.get("spec") or {}).get("template") or {}


def _prepare_controller(ctx: WriteContext, obj: Object) -> None:
    core_pods.drop_disabled_fields(_controller_template(obj).get("spec") or {})


def _prepare_controller_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    before = _controller_template(old).get("spec") or {}
    core_pods.drop_disabled_fields(_controller_template(obj).get("spec") or {}, before)


def _controller_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    wrong = names.dns_label(obj["metadata"].get("name", "")) if old is None else []
    out = []
    if wrong:
        what = "this is used in Pod names and hostnames, which can result in surprising behavior"
        out.append(f"metadata.name: {what}; a DNS label is recommended: [{' '.join(wrong)}]")
    if old is None or obj["metadata"].get("generation") != old["metadata"].get("generation"):
        out += template_warnings(_controller_template(obj), "spec.template")
    return out


def _validate_controller_update(obj: Object, old: Object, errs: Errors) -> None:
    """Upstream's strategy runs the rules for new objects, and those for changed ones."""
    core.validate_replication_controller(obj, errs, old)
    core.validate_replication_controller(obj, errs, old)


def _controller_name(name: str, prefix: bool = False) -> list[str]:
    """A subdomain; the declared rule of this kind words its length in bytes."""
    long = names.max_len(names.SUBDOMAIN_MAX)
    return [names.max_bytes(names.SUBDOMAIN_MAX) if m == long else m for m in names.dns_subdomain(name, prefix)]


def _prepare_controller_status(ctx: WriteContext, obj: Object, old: Object) -> None:
    _label_controller(obj)


def _label_controller(obj: Object) -> None:
    """A controller without labels has those of its template, whenever it is read."""
    labels = (_controller_template(obj).get("metadata") or {}).get("labels")
    if labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(labels)


CONTROLLER = Strategy(
    **COUNTS_SPEC,
    **STATUS_APART,
    name_check=_controller_name,
    prepare_create=_prepare_controller,
    prepare_update=_prepare_controller_update,
    validate=_checked(core.validate_replication_controller),
    validate_update=_checked_update(_validate_controller_update),
    warnings=_controller_warnings,
    garbage_collection="orphan",
)
CONTROLLER_STATUS = status_strategy(
    CONTROLLER, core.validate_replication_controller_status, prepare_update=_prepare_controller_status
)


def _endpoints_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    before = {
        a.get("ip")
        for s in (old or {}).get("subsets") or ()
        for m in ("addresses", "notReadyAddresses")
        for a in s.get(m) or ()
    }
    return [
        warning
        for i, subset in enumerate(obj.get("subsets") or ())
        for m in ("addresses", "notReadyAddresses")
        for j, address in enumerate(subset.get(m) or ())
        if address.get("ip") not in before
        for warning in names.ip_warnings(f"subsets[{i}].{m}[{j}].ip", address.get("ip", ""))
    ]


ENDPOINTS = Strategy(
    create_on_update=True,
    validate=_checked(service.validate_endpoints),
    validate_update=_checked_update(lambda obj, old, errs: service.validate_endpoints(obj, errs, old)),
    warnings=_endpoints_warnings,
)
SERVICE = Strategy(
    **STATUS_APART,
    name_check=names.dns_label,
    create_on_update=True,
    prepare_create=core_services.prepare_create,
    prepare_update=core_services.prepare_update,
    validate=_checked(service.validate_service),
    validate_update=_checked_update(service.validate_service_update),
    warnings=core_services.warnings,
    after_delete=core_services.after_delete,
    return_deleted=True,
)
SERVICE_STATUS = status_strategy(SERVICE, service.validate_service_status_update)


# What field selectors read.


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
_POD_FIELDS = {
    "spec.nodeName": _text("spec", "nodeName"),
    "spec.host": _text("spec", "nodeName"),
    "spec.restartPolicy": _text("spec", "restartPolicy"),
    "spec.schedulerName": _text("spec", "schedulerName"),
    "spec.serviceAccountName": _text("spec", "serviceAccountName"),
    "spec.hostNetwork": _text("spec", "hostNetwork", default="false"),
    "status.phase": _text("status", "phase"),
    "status.podIP": _pod_ip,
    "status.podIPs": _pod_ip,
    "status.nominatedNodeName": _text("status", "nominatedNodeName"),
}


def _connect(name: str, kind: str, verbs: tuple[str, ...]) -> Subresource:
    return Subresource(name=name, kind=kind, verbs=verbs)


PODS = _record(
    "Pod",
    "pods",
    "xPOwRZ+Yhw8=",
    core_pods.POD,
    short_names=("po",),
    categories=("all",),
    selectable=_POD_FIELDS,
    field_error=_NOT_SUPPORTED,
    status=core_pods.STATUS,
    subresources=(
        _connect("attach", "PodAttachOptions", ("create", "get")),
        Subresource(name="binding", kind="Binding", verbs=("create",)),
        Subresource(name="ephemeralcontainers", kind="Pod", strategy=core_pods.EPHEMERAL_CONTAINERS),
        Subresource(name="eviction", kind="Eviction", group="policy", verbs=("create",)),
        _connect("exec", "PodExecOptions", ("create", "get")),
        _connect("log", "Pod", ("get",)),
        _connect("portforward", "PodPortForwardOptions", ("create", "get")),
        _connect("proxy", "PodProxyOptions", _PROXY_VERBS),
        Subresource(name="resize", kind="Pod", strategy=core_pods.RESIZE),
    ),
)
EVENTS = _record(
    "Event",
    "events",
    "r2yiGXH7wu8=",
    EVENT,
    short_names=("ev",),
    field_error=_NOT_SUPPORTED,
    selectable={
        **{f"involvedObject.{member}": ("involvedObject", member) for member in _INVOLVED},
        "reason": ("reason",),
        "reportingComponent": ("reportingComponent",),
        "source": _event_source,
        "type": ("type",),
    },
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
        type_of=_type("Binding"),
        virtual=True,
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
        type_of=_type("ComponentStatus"),
        field_error=UNKNOWN_LABEL,
        virtual=True,
        deprecated="v1 ComponentStatus is deprecated in v1.19+",
    ),
    _record("ConfigMap", "configmaps", "qFsyl6wFWjQ=", CONFIG_MAP, short_names=("cm",)),
    _record(
        "Endpoints",
        "endpoints",
        "fWeeMqaN/OA=",
        ENDPOINTS,
        key_prefix="/registry/services/endpoints/",
        short_names=("ep",),
        deprecated="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ),
    EVENTS,
    _record("LimitRange", "limitranges", "EBKMFVe6cwo=", LIMIT_RANGE, short_names=("limits",)),
    _record(
        "Namespace",
        "namespaces",
        "Q3oi5N2YM8M=",
        NAMESPACE,
        namespaced=False,
        verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection"),
        short_names=("ns",),
        selectable={"status.phase": ("status", "phase")},
        field_error=_NOT_SUPPORTED,
        status=NAMESPACE_STATUS,
        subresources=(
            Subresource(name="finalize", kind="Namespace", verbs=("update",), strategy=NAMESPACE_FINALIZE),
        ),
    ),
    _record(
        "Node",
        "nodes",
        "XwShjMxG9Fs=",
        NODE,
        key_prefix="/registry/minions/",
        namespaced=False,
        short_names=("no",),
        selectable={"spec.unschedulable": _text("spec", "unschedulable", default="false")},
        field_error=_NOT_SUPPORTED,
        status=NODE_STATUS,
        subresources=(_connect("proxy", "NodeProxyOptions", _PROXY_VERBS),),
    ),
    _record(
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        "QWTyNDq0dC4=",
        CLAIM,
        short_names=("pvc",),
        status=CLAIM_STATUS,
    ),
    _record(
        "PersistentVolume",
        "persistentvolumes",
        "HN/zwEC+JgM=",
        VOLUME,
        namespaced=False,
        short_names=("pv",),
        status=VOLUME_STATUS,
    ),
    PODS,
    _record("PodTemplate", "podtemplates", "LIXB2x4IFpk=", POD_TEMPLATE),
    _record(
        "ReplicationController",
        "replicationcontrollers",
        "Jond2If31h0=",
        CONTROLLER,
        key_prefix="/registry/controllers/",
        short_names=("rc",),
        categories=("all",),
        selectable={"status.replicas": _text("status", "replicas", default="0")},
        field_error=_NOT_SUPPORTED,
        status=CONTROLLER_STATUS,
        subresources=(
            Subresource(
                name="scale",
                kind="Scale",
                group="autoscaling",
                read=core_subresources.scale_of,
                write=core_subresources.set_scale,
            ),
        ),
    ),
    _record(
        "ResourceQuota",
        "resourcequotas",
        "8uhSgffRX6w=",
        QUOTA,
        short_names=("quota",),
        status=QUOTA_STATUS,
    ),
    _record(
        "Secret",
        "secrets",
        "S6u1pOWzb84=",
        SECRET,
        selectable={"type": ("type",)},
        field_error=_NOT_SUPPORTED,
    ),
    _record(
        "ServiceAccount",
        "serviceaccounts",
        "pbx9ZvyFpBE=",
        SERVICE_ACCOUNT,
        short_names=("sa",),
        subresources=(
            Subresource(name="token", kind="TokenRequest", group="authentication.k8s.io", verbs=("create",)),
        ),
    ),
    _record(
        "Service",
        "services",
        "0/CO1lhkEBI=",
        SERVICE,
        key_prefix="/registry/services/specs/",
        short_names=("svc",),
        categories=("all",),
        selectable={"spec.clusterIP": ("spec", "clusterIP"), "spec.type": ("spec", "type")},
        field_error=_NOT_SUPPORTED,
        status=SERVICE_STATUS,
        subresources=(_connect("proxy", "ServiceProxyOptions", _PROXY_VERBS),),
    ),
]
