"""Strategies of namespaces, secrets, config maps, service accounts, nodes, events, limits and quotas."""

import base64

from pilothouse.api import meta
from pilothouse.api.values import addresses, names
from pilothouse.api.values.fields import Object
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.core.hooks import keep
from pilothouse.registry.groups.records import (
    SPEC,
    STATUS,
    STATUS_APART,
    status_strategy,
)
from pilothouse.registry.strategy import (
    WHOLE_ALONE,
    WHOLE_FIRST,
    WHOLE_WITHIN,
    Strategy,
    UpdateCheck,
    WriteContext,
)

# Namespaces


def _prepare_namespace(ctx: WriteContext, namespace: Object) -> None:
    namespace["status"] = {"phase": "Active"}
    spec = namespace.setdefault("spec", {})
    finalizers = spec.get("finalizers") or []
    if "kubernetes" not in finalizers:
        spec["finalizers"] = [*finalizers, "kubernetes"]
    _name_label(namespace)


def _prepare_namespace_update(ctx: WriteContext, namespace: Object, old: Object) -> None:
    namespace.setdefault("spec", {})
    keep(namespace["spec"], old.get("spec") or {}, "finalizers")
    _name_label(namespace)


def _name_label(namespace: Object) -> None:
    """Set the label with the namespace's name; upstream does so in defaulting, so clients cannot remove it.

    A generated name is not known then: one that is no label fails validation by itself.
    """
    metadata = namespace["metadata"]
    if metadata.get("generateName") and names.label_value(metadata.get("name", "")):
        return
    if metadata.get("name"):
        metadata["labels"] = {
            **(metadata.get("labels") or {}),
            "kubernetes.io/metadata.name": metadata["name"],
        }


def _mark_namespace(ctx: WriteContext, namespace: Object) -> bool:
    """Mark a namespace as Terminating on its first delete; it is removed once its finalizers are gone."""
    namespace["metadata"].setdefault("deletionTimestamp", ctx.now)
    status = namespace.get("status") or {}
    if status.get("phase") != "Terminating":
        namespace["status"] = {**status, "phase": "Terminating"}
        return True
    return bool((namespace.get("spec") or {}).get("finalizers"))


def _namespace_may_vanish(namespace: Object) -> bool:
    return not (namespace.get("spec") or {}).get("finalizers")


NAMESPACE = Strategy(
    name_check=names.dns_label,
    reset_on_create=(STATUS,),
    keep_on_update=(STATUS,),
    apply_reset=(STATUS,),
    prepare_create=_prepare_namespace,
    prepare_update=_prepare_namespace_update,
    validate=lambda ctx, obj, errs: rules.core.validate_namespace(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.core.validate_namespace(obj, errs),
    update_order=(UpdateCheck.METADATA, UpdateCheck.RULES, UpdateCheck.METADATA_CHANGE),
    return_deleted=True,
    garbage_collection="namespace",
    mark_deleting=_mark_namespace,
    may_vanish=_namespace_may_vanish,
)
NAMESPACE_STATUS = Strategy(
    name_check=names.dns_label,
    keep_on_update=(SPEC,),
    apply_reset=(SPEC,),
    validate_update=lambda ctx, obj, old, errs: rules.core.validate_namespace_status(obj, old, errs),
    may_vanish=_namespace_may_vanish,
)
NAMESPACE_FINALIZE = Strategy(
    name_check=names.dns_label,
    keep_on_update=(STATUS,),
    apply_reset=(STATUS,),
    validate_update=lambda ctx, obj, old, errs: rules.core.validate_namespace_finalize(obj, old, errs),
    may_vanish=_namespace_may_vanish,
)


# Secrets and config maps


def _prepare_secret_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    """Keep the old type if an update has none."""
    if not obj.get("type"):
        keep(obj, old, "type")


def _secret_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    """Warn about a TLS secret whose pair Go's tls.X509KeyPair would refuse (secret strategy)."""
    if obj.get("type") != "kubernetes.io/tls" or (old is not None and obj.get("data") == old.get("data")):
        return []

    data = obj.get("data") or {}
    fault = rules.key_pair.key_pair_fault(
        *(base64.b64decode(data.get(m) or "") for m in ("tls.crt", "tls.key"))
    )
    return [fault] if fault else []


SECRET = Strategy(
    prepare_update=_prepare_secret_update,
    validate=lambda ctx, obj, errs: rules.secret.validate_secret(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.secret.validate_secret_update(obj, old, errs),
    update_order=WHOLE_WITHIN,
    warnings=_secret_warnings,
)
CONFIG_MAP = Strategy(
    shared_on_update=("data", "binaryData"),
    validate=lambda ctx, obj, errs: rules.secret.validate_config_map(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.secret.validate_config_map_update(obj, old, errs),
    update_order=WHOLE_WITHIN,
)


# Service accounts, nodes, events


def _prepare_service_account(ctx: WriteContext, account: Object) -> None:
    """Keep only the names in the account's secret references."""
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
    update_order=WHOLE_WITHIN,
    warnings=_service_account_warnings,
    return_deleted=True,
)


def _without_configuration(ctx: WriteContext, node: Object) -> None:
    """The kubelet's configuration by an object was removed: a new node has none."""
    (node.get("spec") or {}).pop("configSource", None)
    (node.get("status") or {}).pop("config", None)


def _prepare_changed_node(ctx: WriteContext, node: Object, old: Object) -> None:
    if (old.get("spec") or {}).get("configSource") is None:
        (node.get("spec") or {}).pop("configSource", None)


def _prepare_node_status(ctx: WriteContext, node: Object, old: Object) -> None:
    if (old.get("status") or {}).get("config") is None:
        (node.get("status") or {}).pop("config", None)


def _node_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    """Warn about fields that have no effect any more (node strategy)."""
    spec = obj.get("spec") or {}
    out = []
    if spec.get("configSource") is not None:
        out.append("spec.configSource: the feature is removed")
    if spec.get("externalID"):
        out.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    for i, cidr in enumerate(spec.get("podCIDRs") or ()):
        out += addresses.cidr_warnings(f"spec.podCIDRs[{i}]", cidr)
    return out


NODE = Strategy(
    keep_on_update=(STATUS,),
    shared_on_update=("spec",),
    prepare_create=_without_configuration,
    prepare_update=_prepare_changed_node,
    apply_reset=(STATUS,),
    validate=lambda ctx, obj, errs: rules.core_node.validate_node(obj, errs),
    validate_anew=lambda ctx, obj, old, errs: rules.core_node.validate_node(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.core_node.validate_node_update(obj, old, errs),
    update_order=WHOLE_FIRST,
    warnings=_node_warnings,
    return_deleted=False,
)
NODE_STATUS = status_strategy(
    NODE,
    lambda ctx, obj, old, errs: rules.core_node.validate_node_update(obj, old, errs),
    prepare_update=_prepare_node_status,
)


def _event_ttl(ctx: WriteContext, obj: Object) -> int:
    return int(ctx.services.options.event_ttl)


EVENT = Strategy(
    name_check=names.path_segment,
    create_on_update=True,
    garbage_collection="unsupported",
    validate=lambda ctx, obj, errs: rules.event.validate_event(obj, errs, strict=False),
    validate_update=lambda ctx, obj, old, errs: rules.event.validate_event_update(
        obj, old, errs, strict=False
    ),
    finalizer_checks=frozenset(),
    metadata_last=True,
    update_order=(UpdateCheck.RULES,),
    ttl=_event_ttl,
)


# Limits and quotas


def _name_limits(ctx: WriteContext, obj: Object) -> None:
    """Give a LimitRange without a name a UUID as its name."""
    if not obj["metadata"].get("name"):
        obj["metadata"]["name"] = meta.new_uid()


LIMIT_RANGE = Strategy(
    create_on_update=True,
    prepare_create=_name_limits,
    validate=lambda ctx, obj, errs: rules.quota.validate_limit_range(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.quota.validate_limit_range(obj, errs),
    update_order=WHOLE_ALONE,
)
QUOTA = Strategy(
    **STATUS_APART,
    validate=lambda ctx, obj, errs: rules.quota.validate_quota(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.quota.validate_quota_update(obj, old, errs),
    warnings=lambda ctx, obj, old: rules.quota.quota_warnings(obj),
    return_deleted=True,
)
QUOTA_STATUS = status_strategy(
    QUOTA, lambda ctx, obj, old, errs: rules.quota.validate_quota_status(obj, errs)
)
