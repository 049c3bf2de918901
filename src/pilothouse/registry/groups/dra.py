"""resource.k8s.io/v1: device classes, resource claims and slices."""

from dataclasses import replace

from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.dra_rights import permit_status
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    resource,
    spec_of,
    status_strategy,
)
from pilothouse.registry.strategy import WHOLE_FIRST, Strategy, UpdateCheck, WriteContext

GROUP = "resource.k8s.io"
ADMIN_LABEL = "resource.kubernetes.io/admin-access"


def _admin_access(ctx: WriteContext, asked: list[bool], path: str, errs: Errors) -> None:
    """Allow admin access to devices only in namespaces with the label for it
    (KEP-5018, pkg/registry/resource).

    `asked` says which items of the list at `path` ask for it; the cause names the first.
    """
    if True not in asked:
        return
    where = f"{path}[{asked.index(True)}].adminAccess"
    namespace = ctx.readers.get("namespaces", "", ctx.namespace)
    if namespace is None:
        missing = f'namespaces "{ctx.namespace}" not found'
        errs.internal(where, f"could not retrieve namespace to verify admin access: {missing}")
        return
    labels = (namespace.get("metadata") or {}).get("labels") or {}
    if labels.get(ADMIN_LABEL) != "true":
        why = f"admin access to devices requires the `{ADMIN_LABEL}: true` label on the containing namespace"
        errs.forbidden(where, why)


def _requests(ctx: WriteContext, spec: Object, errs: Errors) -> None:
    """Check the requests of a claim; a template's are named by the same path."""
    requests = (spec.get("devices") or {}).get("requests") or ()
    asked = [bool((request.get("exactly") or {}).get("adminAccess")) for request in requests]
    _admin_access(ctx, asked, "spec.devices.requests", errs)


def _results(claim: Object) -> list[bool]:
    """Whether each result of a claim's allocation has admin access."""
    allocation = (claim.get("status") or {}).get("allocation") or {}
    results = (allocation.get("devices") or {}).get("results") or ()
    return [bool(result.get("adminAccess")) for result in results]


def _validate_claim(ctx: WriteContext, obj: Object, errs: Errors) -> None:
    _requests(ctx, spec_of(obj), errs)
    rules.dra.validate_claim(obj, errs)


def _validate_claim_status(ctx: WriteContext, obj: Object, old: Object, errs: Errors) -> None:
    if True not in _results(old):  # what was granted stays: an allocation does not change
        _admin_access(ctx, _results(obj), "status.allocation.devices.results", errs)
    rules.dra_status.validate_claim_status(obj, old, errs)


def _validate_template(ctx: WriteContext, obj: Object, errs: Errors) -> None:
    _requests(ctx, spec_of(spec_of(obj)), errs)
    rules.dra.validate_claim_template(obj, errs)


CLASS = Strategy(
    name_check=names.long_name,
    return_deleted=True,
    validate=lambda ctx, obj, errs: rules.dra.validate_device_class(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.dra.validate_device_class_update(obj, old, errs),
    update_order=(UpdateCheck.METADATA, UpdateCheck.METADATA_CHANGE, UpdateCheck.RULES),
    **COUNTS_SPEC,
)
CLAIM = Strategy(
    return_deleted=True,
    validate=_validate_claim,
    validate_update=lambda ctx, obj, old, errs: rules.dra.validate_claim_update(obj, old, errs),
    update_order=(UpdateCheck.METADATA, UpdateCheck.METADATA_CHANGE, UpdateCheck.RULES),
    **STATUS_APART,
)
CLAIM_STATUS = replace(
    status_strategy(CLAIM, keep_on_update=(SPEC, *KEPT_METADATA), apply_reset=(META, SPEC)),
    validate_update=_validate_claim_status,
    permit_update=permit_status,
)
TEMPLATE = Strategy(
    return_deleted=True,
    validate=_validate_template,
    validate_anew=lambda ctx, obj, old, errs: rules.dra.validate_claim_template(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.dra.validate_claim_template_update(obj, old, errs),
    update_order=WHOLE_FIRST,
)


def _drop_disabled_fields(ctx: WriteContext, obj: Object, old: Object | None = None) -> None:
    """Drop the members of alpha features, unless the stored slice has some: DRAListTypeAttributes and
    DRANodeAllocatableResources are off."""
    if old is None or not any(name in one for one in _attributes(old) for name in _LISTS):
        for attribute in _attributes(obj):
            for name in _LISTS:
                attribute.pop(name, None)
    if old is None or not any(device.get(_MAPPINGS) for device in _devices(old)):
        for device in _devices(obj):
            device.pop(_MAPPINGS, None)


_LISTS = ("bools", "ints", "strings", "versions")
_MAPPINGS = "nodeAllocatableResourceMappings"


def _devices(obj: Object) -> list[Object]:
    return spec_of(obj).get("devices") or []


def _attributes(obj: Object) -> list[Object]:
    return [one for device in _devices(obj) for one in (device.get("attributes") or {}).values()]


SLICE = Strategy(
    prepare_create=_drop_disabled_fields,
    prepare_update=_drop_disabled_fields,
    return_deleted=True,
    validate=lambda ctx, obj, errs: rules.dra_slices.validate_slice(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.dra_slices.validate_slice(obj, errs, old),
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
        status_tables=False,
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
