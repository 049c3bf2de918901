"""Validates persistent volume claims and claim templates (apis/core/validation)."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import (
    equal,
    immutable_field,
    report,
    selector_has_invalid_value,
    validate_annotations,
    validate_dns_subdomain,
    validate_label_selector,
    validate_labels,
)
from pilothouse.api.validate.diff import diff
from pilothouse.api.validate.resources import (
    amount,
    fractional_warning,
    is_native,
    validate_basic_quantity,
    validate_positive_quantity,
    validate_quantity,
)

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
RESIZE_STATUSES = (
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
)
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"


def validate_access_modes(modes: list[str], path: str, errs: Errors) -> None:
    for mode in modes:
        if mode not in ACCESS_MODES:
            errs.not_supported(path, mode, ACCESS_MODES)
    known = {mode for mode in modes if mode in ACCESS_MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        errs.forbidden(path, "may not use ReadWriteOncePod with other access modes")


def validate_claim_template(template: Object, path: str, errs: Errors) -> None:
    """Validates a claim template in a pod; only labels and annotations of its metadata are used."""
    metadata = template.get("metadata") or {}
    validate_annotations(metadata.get("annotations"), f"{path}.metadata.annotations", errs)
    validate_labels(metadata.get("labels"), f"{path}.metadata.labels", errs)
    for member in metadata:
        if member not in ("annotations", "labels") and metadata[member]:
            errs.forbidden(f"{path}.metadata.{member}", "cannot be set")
    validate_claim_spec(template.get("spec") or {}, f"{path}.spec", errs)


def validate_claim_spec(
    spec: Object, path: str, errs: Errors, *, any_selector: bool = False, any_group: bool = False
) -> None:
    """Validates a PersistentVolumeClaimSpec; the flags allow invalid values that the old object has."""
    modes = spec.get("accessModes") or []
    if not modes:
        errs.required(f"{path}.accessModes", "at least 1 access mode is required")
    validate_label_selector(spec.get("selector"), f"{path}.selector", errs, allow_invalid_values=any_selector)
    validate_access_modes(modes, f"{path}.accessModes", errs)
    storage, at = (
        ((spec.get("resources") or {}).get("requests") or {}).get("storage"),
        f"{path}.resources[storage]",
    )
    if storage is None:
        errs.required(at)
    elif amount(storage).sign() <= 0:
        validate_positive_quantity(storage, at, errs)
    else:
        validate_quantity("storage", storage, at, errs)
    if spec.get("storageClassName"):
        validate_dns_subdomain(spec["storageClassName"], f"{path}.storageClassName", errs)
    mode = spec.get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        errs.not_supported(f"{path}.volumeMode", mode, VOLUME_MODES)
    _data_sources(spec, path, errs, any_group)
    if spec.get("volumeAttributesClassName"):
        validate_dns_subdomain(spec["volumeAttributesClassName"], f"{path}.volumeAttributesClassName", errs)


def _data_sources(spec: Object, path: str, errs: Errors, any_group: bool) -> None:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None:
        _data_source(source, f"{path}.dataSource", errs, any_group)
    if reference is not None:
        _data_source(reference, f"{path}.dataSourceRef", errs, any_group)
        if reference.get("namespace"):
            report(
                f"{path}.dataSourceRef.namespace",
                reference["namespace"],
                names.dns_label(reference["namespace"]),
                errs,
            )
    if reference is not None and reference.get("namespace"):
        if source is not None:
            errs.invalid(path, {}, "may not be specified when dataSourceRef.namespace is specified")
    elif source is not None and reference is not None:
        same = all(source.get(m) == reference.get(m) for m in ("apiGroup", "kind", "name"))
        if not same:
            errs.invalid(path, {}, "must match dataSourceRef")


def _data_source(source: Object, path: str, errs: Errors, any_group: bool) -> None:
    kind, group = source.get("kind", ""), source.get("apiGroup") or ""
    if not source.get("name"):
        errs.required(f"{path}.name")
    if not kind:
        errs.required(f"{path}.kind")
    if not group and kind != "PersistentVolumeClaim":
        errs.invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
    if group and not any_group:
        validate_dns_subdomain(group, f"{path}.apiGroup", errs)


def validate_claim(claim: Object, errs: Errors, old: Object | None = None) -> None:
    before = (old or {}).get("spec") or {}
    had_group = any(
        (before.get(m) or {}).get("apiGroup") is not None for m in ("dataSource", "dataSourceRef")
    )
    validate_claim_spec(
        claim.get("spec") or {},
        "spec",
        errs,
        any_selector=selector_has_invalid_value(before.get("selector")),
        any_group=had_group,
    )


def validate_claim_update(claim: Object, old: Object, errs: Errors) -> None:
    """Validates a changed claim: immutable except a bound claim's size, its attributes class and its binding."""
    validate_claim(claim, errs, old)
    spec, before = claim.get("spec") or {}, old.get("spec") or {}
    new_spec, old_spec = dict(spec), dict(before)
    if not before.get("volumeName"):
        _copy_member(old_spec, new_spec, "volumeName")
    _check_class(claim, old, new_spec, errs)
    bound = (claim.get("status") or {}).get("phase") == "Bound"
    requests = (new_spec.get("resources") or {}).get("requests")
    old_size = ((before.get("resources") or {}).get("requests") or {}).get("storage", "0")
    new_size = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "0")
    if bound and requests is not None:
        new_spec["resources"] = {**new_spec["resources"], "requests": {**requests, "storage": old_size}}
    if bound and new_spec.get("volumeAttributesClassName") is not None:
        _copy_member(new_spec, old_spec, "volumeAttributesClassName")
    if not equal(new_spec, old_spec):
        what = "spec is immutable after creation except resources.requests and volumeAttributesClassName"
        shown = diff(old_spec, new_spec, "core.PersistentVolumeClaimSpec")
        errs.forbidden("spec", f"{what} for bound claims\n{shown}")
    if amount(new_size) < amount(old_size):
        capacity = ((old.get("status") or {}).get("capacity") or {}).get("storage", "0")
        if amount(new_size) <= amount(capacity):
            errs.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    immutable_field(spec.get("volumeMode"), before.get("volumeMode"), "volumeMode", errs)
    _check_attributes_class(spec, before, errs)


def _copy_member(target: Object, source: Object, member: str) -> None:
    if member in source:
        target[member] = source[member]
    else:
        target.pop(member, None)


def _check_class(claim: Object, old: Object, new_spec: Object, errs: Errors) -> None:
    """The class may move from the beta annotation to the spec, and may be set once if there was none."""
    annotations, before = claim["metadata"].get("annotations") or {}, old["metadata"].get("annotations") or {}
    name, old_name = new_spec.get("storageClassName"), (old.get("spec") or {}).get("storageClassName")
    noted = before.get(BETA_CLASS)
    upgraded = noted is not None and old_name is None and name == noted
    if upgraded and annotations.get(BETA_CLASS, noted) == noted:
        new_spec.pop("storageClassName", None)
        return
    if annotations.get(BETA_CLASS, "") != before.get(BETA_CLASS, ""):
        errs.invalid(
            f"metadata.annotations.{BETA_CLASS}", annotations.get(BETA_CLASS, ""), "field is immutable"
        )
    if name is not None and old_name is None and noted in (None, name):
        new_spec.pop("storageClassName", None)


def _check_attributes_class(spec: Object, before: Object, errs: Errors) -> None:
    new, old = spec.get("volumeAttributesClassName"), before.get("volumeAttributesClassName")
    if old is None or new == old:
        return
    if new is None:
        errs.forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden")
    elif not new:
        errs.forbidden(
            "spec.volumeAttributesClassName", "update from non-nil value to an empty string is forbidden"
        )


def validate_claim_status_update(claim: Object, old: Object, errs: Errors) -> None:
    status = claim.get("status") or {}
    if not (claim.get("spec") or {}).get("accessModes"):
        errs.required("Spec.accessModes")
    for name, text in sorted((status.get("capacity") or {}).items()):
        validate_basic_quantity(text, f"status.capacity[{name}]", errs)
    for name, state in sorted((status.get("allocatedResourceStatuses") or {}).items()):
        _resource_key(name, "status.allocatedResourceStatus", errs)
        if state not in RESIZE_STATUSES:
            errs.not_supported("status.allocatedResourceStatus", name, RESIZE_STATUSES)
    for name, text in sorted((status.get("allocatedResources") or {}).items()):
        count = len(errs)
        _resource_key(name, "status.allocatedResources", errs)
        if len(errs) == count:
            validate_basic_quantity(text, f"status.allocatedResources[{name}]", errs)
        if len(errs) == count:
            validate_quantity("storage", text, f"status.allocatedResources[{name}]", errs)


def _resource_key(name: str, path: str, errs: Errors) -> None:
    messages = names.qualified_name(name)
    report(path, name, messages, errs)
    if not messages and is_native(name) and name != "storage":
        errs.not_supported(path, name, ("storage",))


def claim_spec_warnings(spec: Object, path: str) -> list[str]:
    """Warnings for a claim spec (pvcutil.GetWarningsForPersistentVolumeClaimSpec)."""
    out, resources = [], spec.get("resources") or {}
    for member in ("requests", "limits"):
        out += fractional_warning(f"{path}.resources.{member}", resources.get(member), "storage")
    return out


def claim_warnings(claim: Object) -> list[str]:
    """Warnings for a claim (pvcutil.GetWarningsForPersistentVolumeClaim)."""
    out = []
    if BETA_CLASS in (claim["metadata"].get("annotations") or {}):
        text = 'deprecated since v1.8; use "storageClassName" attribute instead'
        out.append(f"metadata.annotations[{BETA_CLASS}]: {text}")
    return out + claim_spec_warnings(claim.get("spec") or {}, "spec")
