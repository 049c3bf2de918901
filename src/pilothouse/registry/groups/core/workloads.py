"""Strategies of pod templates, replication controllers, endpoints and services (registry/core)."""

from pilothouse.api.validate import core, endpoints, service, service_update
from pilothouse.api.validate.pod.policy import PodPolicy
from pilothouse.api.validate.pod.spec import validate_pod_template
from pilothouse.api.validate.pod.warnings import template_warnings
from pilothouse.api.values import addresses, names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.registry.groups import service_objects
from pilothouse.registry.groups.core import pods as core_pods
from pilothouse.registry.groups.core import services as core_services
from pilothouse.registry.groups.core.hooks import pods_checked, pods_checked_update
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    STATUS_APART,
    on_create,
    on_update,
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
    return template_warnings(obj.get("template") or {}, "template")


def _validate_template_update(obj: Object, old: Object, errs: Errors, policy: PodPolicy) -> None:
    validate_pod_template(obj, errs, old, policy)


POD_TEMPLATE = Strategy(
    generation_on_create=1,
    generation_fields=(("template",),),
    prepare_create=_prepare_template,
    prepare_update=_prepare_template_update,
    validate=pods_checked(validate_pod_template),
    validate_update=pods_checked_update(_validate_template_update),
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
        out += template_warnings(_controller_template(obj), "spec.template")
    elif obj["metadata"].get("generation") != old["metadata"].get("generation"):
        # Upstream warns of the old template here, not of the new one (strategy.go, WarningsOnUpdate).
        out += template_warnings(_controller_template(old), "spec.template")
    return out


def _validate_controller_update(obj: Object, old: Object, errs: Errors, policy: PodPolicy) -> None:
    core.validate_replication_controller(obj, errs, old, policy)


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
    validate=pods_checked(core.validate_replication_controller),
    validate_update=pods_checked_update(_validate_controller_update),
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
        for warning in addresses.ip_warnings(f"subsets[{i}].{m}[{j}].ip", address.get("ip", ""))
    ]


ENDPOINTS = Strategy(
    create_on_update=True,
    validate=on_create(endpoints.validate_endpoints),
    validate_update=on_update(lambda obj, old, errs: endpoints.validate_endpoints(obj, errs, old)),
    update_order=WHOLE_WITHIN,
    warnings=_endpoints_warnings,
)
SERVICE = Strategy(
    **STATUS_APART,
    name_check=names.dns_label,
    create_on_update=True,
    prepare_create=core_services.prepare_create,
    prepare_update=core_services.prepare_update,
    validate=on_create(service.validate_service),
    validate_update=on_update(service_update.validate_service_update),
    canonicalize=core_services.canonicalize,
    warnings=core_services.warnings,
    claim=service_objects.claim,
    settle=service_objects.release_unused,
    return_deleted=True,
)
SERVICE_STATUS = status_strategy(SERVICE, service_update.validate_service_status_update)
