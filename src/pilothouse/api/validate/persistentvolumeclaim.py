"""Validates persistent volume claims and claim templates (apis/core/validation)."""

from typing import NamedTuple

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import (
    copy_members,
    equal,
    selector_has_invalid_value,
    validate_template_metadata,
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
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_RESIZE = (
    "ControllerResizeInProgress ControllerResizeInfeasible NodeResizeInProgress NodeResizeInfeasible"
    " NodeResizePending"
)
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"


class _Around(NamedTuple):
    """Whether selector and API groups of sources may be invalid, because those of the stored claim are."""

    any_selector: bool = False
    any_group: bool = False


rules = Rules(__name__)


@rules
def validate_access_modes(modes: list[str], path: str, errs: Errors) -> None:
    for mode in modes:
        d.one_of(*ACCESS_MODES)(mode, path, errs)
    known = {mode for mode in modes if mode in ACCESS_MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        errs.forbidden(path, "may not use ReadWriteOncePod with other access modes")


@rules
def _storage(spec: Object, path: str, errs: Errors) -> None:
    storage, at = d.found(spec, ("resources", "requests", "storage")), f"{path}.resources[storage]"
    if storage is None:
        errs.required(at)
    elif amount(storage).sign() <= 0:
        validate_positive_quantity(storage, at, errs)
    else:
        validate_quantity("storage", storage, at, errs)


@rules
def _one_data_source(spec: Object, path: str, errs: Errors) -> None:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is None or reference is None:
        return
    if reference.get("namespace"):
        errs.invalid(path, {}, "may not be specified when dataSourceRef.namespace is specified")
    elif any(source.get(m) != reference.get(m) for m in ("apiGroup", "kind", "name")):
        errs.invalid(path, {}, "must match dataSourceRef")


rules.define("""
claim-spec                          api.core.v1.PersistentVolumeClaimSpec
    accessModes!                        : at least 1 access mode is required
    selector                            $any_selector?any-selector:label-selector
    accessModes                         access-modes
    @storage
    storageClassName+                   dns-subdomain
    volumeMode                          Block|Filesystem
    dataSource                          data-source
    dataSourceRef                       data-source
      namespace+                        dns-label
    @one-data-source
    volumeAttributesClassName+          dns-subdomain
data-source                         api.core.v1.TypedLocalObjectReference|TypedObjectReference
    name!
    kind!
    if not apiGroup and kind != PersistentVolumeClaim
      kind                              never as: : must be 'PersistentVolumeClaim' when referencing the default apiGroup
    apiGroup+                           $any_group?:dns-subdomain
""")
validate_claim_spec = rules["claim-spec"]
"""Validates a PersistentVolumeClaimSpec; around it is what the stored claim has invalid."""
_fixed_mode = d.fixed("spec.volumeMode", at="volumeMode")


def validate_claim_template(template: Object, path: str, errs: Errors) -> None:
    """Validates a claim template in a pod; only labels and annotations of its metadata are used."""
    validate_template_metadata(template.get("metadata") or {}, f"{path}.metadata", errs)
    validate_claim_spec(template.get("spec") or {}, f"{path}.spec", errs)


def validate_claim(claim: Object, errs: Errors, old: Object | None = None) -> None:
    before = (old or {}).get("spec") or {}
    had_group = any(
        (before.get(m) or {}).get("apiGroup") is not None for m in ("dataSource", "dataSourceRef")
    )
    around = _Around(selector_has_invalid_value(before.get("selector")), had_group)
    validate_claim_spec(claim.get("spec") or {}, "spec", errs, around)


def validate_claim_update(claim: Object, old: Object, errs: Errors) -> None:
    """Only a bound claim's size, its attributes class and its binding may change."""
    validate_claim(claim, errs, old)
    spec, before = claim.get("spec") or {}, old.get("spec") or {}
    new_spec, old_spec = dict(spec), dict(before)
    if not before.get("volumeName"):
        copy_members(old_spec, new_spec, "volumeName")
    _check_class(claim, old, new_spec, errs)
    bound = (claim.get("status") or {}).get("phase") == "Bound"
    requests = (new_spec.get("resources") or {}).get("requests")
    old_size = ((before.get("resources") or {}).get("requests") or {}).get("storage", "0")
    new_size = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "0")
    if bound and requests is not None:
        new_spec["resources"] = {**new_spec["resources"], "requests": {**requests, "storage": old_size}}
    if bound and new_spec.get("volumeAttributesClassName") is not None:
        copy_members(new_spec, old_spec, "volumeAttributesClassName")
    if not equal(new_spec, old_spec):
        what = "spec is immutable after creation except resources.requests and volumeAttributesClassName"
        shown = diff(*(go(s, "api.core.v1.PersistentVolumeClaimSpec") for s in (old_spec, new_spec)))
        errs.forbidden("spec", f"{what} for bound claims\n{shown}")
    if amount(new_size) < amount(old_size):
        capacity = ((old.get("status") or {}).get("capacity") or {}).get("storage", "0")
        if amount(new_size) <= amount(capacity):
            errs.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    _fixed_mode(claim, old, errs)
    _check_attributes_class(spec, before, errs)


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
    if old is not None and new != old and not new:
        what = "nil" if new is None else "an empty string"
        errs.forbidden("spec.volumeAttributesClassName", f"update from non-nil value to {what} is forbidden")


def validate_claim_status_update(claim: Object, old: Object, errs: Errors) -> None:
    status = claim.get("status") or {}
    if not (claim.get("spec") or {}).get("accessModes"):
        errs.required("Spec.accessModes")
    for name, text in sorted((status.get("capacity") or {}).items()):
        validate_basic_quantity(text, f"status.capacity[{name}]", errs)
    for name, state in sorted((status.get("allocatedResourceStatuses") or {}).items()):
        _resource_key(name, "status.allocatedResourceStatus", errs)
        if state not in _RESIZE.split():
            errs.not_supported("status.allocatedResourceStatus", name, _RESIZE.split())
    for name, text in sorted((status.get("allocatedResources") or {}).items()):
        count = len(errs)
        _resource_key(name, "status.allocatedResources", errs)
        if len(errs) == count:
            validate_basic_quantity(text, f"status.allocatedResources[{name}]", errs)
        if len(errs) == count:
            validate_quantity("storage", text, f"status.allocatedResources[{name}]", errs)


def _resource_key(name: str, path: str, errs: Errors) -> None:
    messages = names.qualified_name(name)
    d.qualified_name(name, path, errs)
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
