"""resource.k8s.io/v1: device classes, resource claims and slices."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import dra as rules
from pilothouse.api.validate import dra_slices as slice_rules
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    on_create,
    on_update,
    resource,
    spec_of,
    status_strategy,
)
from pilothouse.registry.strategy import Strategy, WriteContext

GROUP = "resource.k8s.io"
ADMIN_LABEL = "resource.kubernetes.io/admin-access"


def _admin_access(ctx: WriteContext, spec: Object, errs: Errors) -> None:
    """Allow admin access to devices only in namespaces with the label for it (KEP-5018)."""
    requests = (spec.get("devices") or {}).get("requests") or ()
    if not any((r.get("exactly") or {}).get("adminAccess") for r in requests):
        return
    namespace = ctx.readers.get("namespaces", "", ctx.namespace) if ctx.readers is not None else None
    labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    if labels.get(ADMIN_LABEL) != "true":
        why = f"admin access to devices requires the `{ADMIN_LABEL}: true` label on the containing namespace"
        errs.forbidden("", why)


def _validate_claim(ctx: WriteContext, obj: Object, errs: Errors) -> None:
    _admin_access(ctx, spec_of(obj), errs)
    rules.validate_claim(obj, errs)


def _validate_template(ctx: WriteContext, obj: Object, errs: Errors) -> None:
    _admin_access(ctx, spec_of(spec_of(obj)), errs)
    rules.validate_claim_template(obj, errs)


CLASS = Strategy(
    name_check=names.long_name,
    return_deleted=True,
    validate=on_create(rules.validate_device_class),
    validate_update=on_update(rules.validate_device_class_update),
    **COUNTS_SPEC,
)
CLAIM = Strategy(
    return_deleted=True,
    validate=_validate_claim,
    validate_update=on_update(rules.validate_claim_update),
    **STATUS_APART,
)
CLAIM_STATUS = status_strategy(
    CLAIM, rules.validate_claim_status, keep_on_update=(SPEC, *KEPT_METADATA), apply_reset=(META, SPEC)
)
TEMPLATE = Strategy(
    return_deleted=True,
    validate=_validate_template,
    validate_update=on_update(rules.validate_claim_template_update),
)
SLICE = Strategy(
    return_deleted=True,
    validate=on_create(slice_rules.validate_slice),
    validate_update=on_update(slice_rules.validate_slice_update),
    **COUNTS_SPEC,
)

RESOURCES = [
    resource(GROUP, "DeviceClass", "deviceclasses", "Yk2PTc1Ybxk=", CLASS),
    resource(
        GROUP,
        "ResourceClaim",
        "resourceclaims",
        "wgAZaHcZxUg=",
        CLAIM,
        namespaced=True,
        status=CLAIM_STATUS,
    ),
    resource(
        GROUP,
        "ResourceClaimTemplate",
        "resourceclaimtemplates",
        "TuzjC49aUfM=",
        TEMPLATE,
        namespaced=True,
    ),
    resource(
        GROUP,
        "ResourceSlice",
        "resourceslices",
        "KsC072WgaEY=",
        SLICE,
        selectable={"spec.nodeName": ("spec", "nodeName"), "spec.driver": ("spec", "driver")},
        field_error="field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {label}",
    ),
]
