"""Strategies of pod templates, replication controllers, endpoints and services (registry/core)."""

from pilothouse.api.values import addresses, names
from pilothouse.api.values.fields import Object
from pilothouse.registry.groups import rules, service_objects
from pilothouse.registry.groups.core import pods as core_pods
from pilothouse.registry.groups.core import services as core_services
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    STATUS_APART,
    pod_policy,
    status_strategy,
)
from pilothouse.registry.strategy import WHOLE_WITHIN, Strategy, WriteContext


def _prepare_template(ctx: WriteContext, obj: Object) -> None:
    core_pods.drop_disabled_fields((obj.get("template") or {}).get("spec") or {})


def _prepare_template_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    before = (old.get("template") or {}).get("spec") or {}
    core_pods.drop_disabled_fields((obj.get("template") or {}).get("spec") or {}, before)


def _template_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    if old is not None and obj["metadata"].get("generation") == old["metadata"].get("generation"):
        return []
    return rules.pod_warnings.template_warnings(obj.get("template") or {}, "template")


POD_TEMPLATE = Strategy(
    generation_on_create=1,
    generation_fields=(("template",),),
    prepare_create=_prepare_template,
    prepare_update=_prepare_template_update,
    validate=lambda ctx, obj, errs: rules.pod_spec.validate_pod_template(obj, errs, None, pod_policy(ctx)),
    validate_update=lambda ctx, obj, old, errs: rules.pod_spec.validate_pod_template(
        obj, errs, old, pod_policy(ctx)
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
    if old is None:
        out += rules.pod_warnings.template_warnings(_controller_template(obj), "spec.template")
    elif obj["metadata"].get("generation") != old["metadata"].get("generation"):
        # Upstream warns of the old template here, not of the new one (strategy.go, WarningsOnUpdate).
        out += rules.pod_warnings.template_warnings(_controller_template(old), "spec.template")
    return out


def _prepare_controller_status(ctx: WriteContext, obj: Object, old: Object) -> None:
    _label_controller(obj)


def _label_controller(obj: Object) -> None:
    """Give a controller without labels those of its template, whenever it is read."""
    labels = (_controller_template(obj).get("metadata") or {}).get("labels")
    if labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(labels)


CONTROLLER = Strategy(
    **COUNTS_SPEC,
    **STATUS_APART,
    name_check=names.long_name,
    prepare_create=_prepare_controller,
    prepare_update=_prepare_controller_update,
    validate=lambda ctx, obj, errs: rules.core.validate_replication_controller(
        obj, errs, policy=pod_policy(ctx)
    ),
    validate_update=lambda ctx, obj, old, errs: rules.core.validate_replication_controller(
        obj, errs, old, pod_policy(ctx)
    ),
    warnings=_controller_warnings,
    garbage_collection="orphan",
)
CONTROLLER_STATUS = status_strategy(
    CONTROLLER,
    lambda ctx, obj, old, errs: rules.core.validate_replication_controller_status(obj, old, errs),
    prepare_update=_prepare_controller_status,
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
        for warning in addresses.ip_warnings(f"subsets[{i}].{m}[{j}].ip", address.get("ip", ""))
    ]


ENDPOINTS = Strategy(
    create_on_update=True,
    validate=lambda ctx, obj, errs: rules.endpoints.validate_endpoints(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.endpoints.validate_endpoints(obj, errs, old),
    update_order=WHOLE_WITHIN,
    warnings=_endpoints_warnings,
)
SERVICE = Strategy(
    **STATUS_APART,
    name_check=names.dns_label,
    create_on_update=True,
    prepare_create=core_services.prepare_create,
    prepare_update=core_services.prepare_update,
    validate=lambda ctx, obj, errs: rules.service.validate_service(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.service_update.validate_service_update(obj, old, errs),
    canonicalize=core_services.canonicalize,
    warnings=core_services.warnings,
    claim=service_objects.claim,
    settle=service_objects.release_unused,
    return_deleted=True,
)
SERVICE_STATUS = status_strategy(
    SERVICE, lambda ctx, obj, old, errs: rules.service_update.validate_service_status_update(obj, old, errs)
)
