"""Object metadata: sets the server's fields and validates the rest (apimachinery api/validation)."""

import random
import time
from functools import lru_cache
from typing import Any

from pilothouse.api._uuid import new_uuid
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.selectors import validate_labels
from pilothouse.gotext import quote

SYSTEM_FIELDS = ("creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
ANNOTATIONS_MAX = 256 * 1024
"""Limit for the bytes of all keys and values of an object's annotations."""
MANAGER_MAX = 128
SUBRESOURCE_MAX = 256
IMMUTABLE = "field is immutable"

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""The characters of a random suffix. There are no vowels and no digits that look like letters,
so that no words arise (apimachinery util/rand)."""
_SUFFIX_LENGTH = 5
_GENERATED_BASE_MAX = 63 - _SUFFIX_LENGTH
_STANDARD_FINALIZERS = {"kubernetes", "orphan", "foregroundDeletion"}
_OWNER_FIELDS = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
_choices = random.SystemRandom().choices


new_uid = new_uuid
"""Makes the UID of an object, or the ID of a request."""


def now(clock: float | None = None) -> str:
    """The current time (or `clock`, in Unix seconds) as meta/v1 Time: RFC 3339 in UTC, whole seconds."""
    return _second(int(time.time() if clock is None else clock))


@lru_cache(maxsize=64)
def _second(clock: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock))


def now_micro(clock: float | None = None) -> str:
    """The current time (or `clock`, in Unix seconds) as meta/v1 MicroTime: RFC 3339 in UTC, six decimals."""
    micros = time.time_ns() // 1000 if clock is None else int(clock * 1_000_000)
    whole, part = divmod(micros, 1_000_000)
    return f"{now(whole)[:-1]}.{part:06d}Z"


def generate_name(base: str) -> str:
    """Make a name from a generateName: at most 58 characters of it and 5 random ones."""
    return base[:_GENERATED_BASE_MAX] + "".join(_choices(_SUFFIX_ALPHABET, k=_SUFFIX_LENGTH))


def wipe_system_fields(obj: Object) -> None:
    """Remove the fields that only the server sets from a new object (rest.WipeObjectMetaSystemFields)."""
    metadata = obj["metadata"]
    for name in SYSTEM_FIELDS:
        metadata.pop(name, None)


def validate_create(obj: Object, namespaced: bool, name_check: Any, errs: Errors) -> None:
    """Validate a new object's metadata, after its name is generated (ValidateObjectMetaAccessor)."""
    metadata = obj.get("metadata") or {}
    prefix, name = metadata.get("generateName", ""), metadata.get("name", "")
    if prefix:
        for wrong in name_check(prefix, True):
            errs.invalid("metadata.generateName", prefix, wrong)
    if not name:
        errs.required("metadata.name", "name or generateName is required")
    else:
        for wrong in name_check(name, False):
            errs.invalid("metadata.name", name, wrong)
    _validate_namespace(metadata.get("namespace", ""), namespaced, errs)
    if metadata.get("generation", 0) < 0:
        errs.invalid("metadata.generation", metadata["generation"], "must be greater than or equal to 0")
    validate_labels(errs, "metadata.labels", metadata.get("labels"))
    validate_annotations(errs, "metadata.annotations", metadata.get("annotations"))
    if owners := metadata.get("ownerReferences"):
        _validate_owners(owners, errs)
    if finalizers := metadata.get("finalizers"):
        _validate_finalizers(finalizers, errs)
    _validate_managed_fields(metadata.get("managedFields") or [], errs)


def validate_update(obj: Object, old: Object, errs: Errors, checked: bool = False) -> None:
    """Validate changed metadata (ValidateObjectMetaAccessorUpdate).

    `checked` tells that validate_create has found no errors, so that checks common to both can be skipped.
    """
    metadata, before = obj.get("metadata") or {}, old.get("metadata") or {}
    if before.get("deletionTimestamp"):
        added = set(metadata.get("finalizers") or ()) - set(before.get("finalizers") or ())
        if added:
            listed = ", ".join(quote(name) for name in sorted(added))
            errs.forbidden(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, found new finalizers"
                f" []string{{{listed}}}",
            )
    if not metadata.get("resourceVersion"):
        errs.invalid("metadata.resourceVersion", "", "must be specified for an update")
    if metadata.get("generation", 0) < before.get("generation", 0):
        errs.invalid("metadata.generation", metadata.get("generation", 0), "must not be decremented")
    for name, zero in _IMMUTABLE_FIELDS:
        value = metadata.get(name, zero)
        if value != before.get(name, zero):
            errs.invalid(f"metadata.{name}", value, IMMUTABLE)
    if checked:
        return
    validate_labels(errs, "metadata.labels", metadata.get("labels"))
    validate_annotations(errs, "metadata.annotations", metadata.get("annotations"))
    if owners := metadata.get("ownerReferences"):
        _validate_owners(owners, errs)
    _validate_managed_fields(metadata.get("managedFields") or [], errs)


_OPERATIONS = frozenset(("Apply", "Update"))
_IMMUTABLE_FIELDS: tuple[tuple[str, Any], ...] = (
    ("name", ""),
    ("namespace", ""),
    ("uid", ""),
    ("creationTimestamp", None),
    ("deletionTimestamp", None),
    ("deletionGracePeriodSeconds", None),
)


def validate_finalizer_names(obj: Object, errs: Errors) -> None:
    """Validate finalizers of built-in kinds: each must be a standard one or have a domain."""
    for i, name in enumerate((obj.get("metadata") or {}).get("finalizers") or ()):
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            errs.invalid(
                f"metadata.finalizers[{i}]",
                name,
                "name is neither a standard finalizer name nor is it fully qualified",
            )


def validate_annotations(errs: Errors, path: str, annotations: dict[str, str] | None) -> None:
    """Validate annotations: their keys and their total size."""
    if not annotations or names.plain_annotations(annotations, ANNOTATIONS_MAX):  # PERF: nearly all
        return
    total = 0
    for name, value in annotations.items():
        total += names.size(name) + names.size(value)
        for wrong in names.annotation_key(name):
            errs.invalid(path, name, wrong)
    if total > ANNOTATIONS_MAX:
        errs.too_long(path, ANNOTATIONS_MAX)


def validate_manager(errs: Errors, path: str, manager: str) -> None:
    """Validate the name of a field manager: at most 128 bytes, printable."""
    if names.size(manager) > MANAGER_MAX:
        errs.too_long(path, MANAGER_MAX)
    if manager.isprintable():
        return
    at = 0
    for char in manager:
        if not char.isprintable():
            errs.invalid(path, manager, f"invalid character U+{ord(char):04X} (at position {at})")
        at += names.size(char)


def _validate_namespace(namespace: str, namespaced: bool, errs: Errors) -> None:
    if not namespaced:
        if namespace:
            errs.forbidden("metadata.namespace", "not allowed on this type")
    elif not namespace:
        errs.required("metadata.namespace")
    else:
        for wrong in names.dns_label(namespace, False):
            errs.invalid("metadata.namespace", namespace, wrong)


def _validate_finalizers(finalizers: list[str], errs: Errors) -> None:
    for name in finalizers:
        for wrong in names.qualified_name(name):
            errs.invalid("metadata.finalizers", name, wrong)
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        why = "finalizer orphan and foregroundDeletion cannot be both set"
        errs.invalid("metadata.finalizers", finalizers, why)


def _validate_owners(owners: list[Object], errs: Errors) -> None:
    path = "metadata.ownerReferences"
    controller = ""
    shown: list[Object] = []
    for owner in owners:
        _validate_owner(owner, path, errs)
        if not owner.get("controller"):
            continue
        this = f"{owner.get('kind', '')}/{owner.get('name', '')}"
        if not controller:
            controller = this
            continue
        shown = shown or [_owner_value(one) for one in owners]
        errs.invalid(
            path,
            shown,
            'Only one reference can have Controller set to true. Found "true" in references for'
            f" {controller} and {this}",
        )


def _validate_owner(owner: Object, path: str, errs: Errors) -> None:
    api_version, kind = owner.get("apiVersion", ""), owner.get("kind", "")
    group, _, version = api_version.rpartition("/")
    if not version or "/" in group:
        errs.invalid(f"{path}.apiVersion", api_version, "version must not be empty")
        group, version = "", ""
    for name in ("kind", "name", "uid"):
        if not owner.get(name):
            errs.invalid(f"{path}.{name}", "", "must not be empty")
    if (group, version, kind) == ("", "v1", "Event"):
        errs.invalid(path, _owner_value(owner), "/v1, Kind=Event is disallowed from being an owner")


def _owner_value(owner: Object) -> Object:
    """An owner reference as messages show it: in the type's member order, the first four members always."""
    return {
        name: owner.get(name, "")
        for name in _OWNER_FIELDS
        if name in _OWNER_FIELDS[:4] or owner.get(name) is not None
    }


def _validate_managed_fields(entries: list[Object], errs: Errors) -> None:
    for i, entry in enumerate(entries):
        if _is_plain(entry):
            continue
        path = f"metadata.managedFields[{i}]"
        operation, fields_type = entry.get("operation", ""), entry.get("fieldsType", "")
        if operation not in _OPERATIONS:
            errs.invalid(f"{path}.operation", operation, "must be `Apply` or `Update`")
        if fields_type and fields_type != "FieldsV1":
            errs.invalid(f"{path}.fieldsType", fields_type, "must be `FieldsV1`")
        validate_manager(errs, f"{path}.manager", entry.get("manager", ""))
        if names.size(entry.get("subresource", "")) > SUBRESOURCE_MAX:
            errs.too_long(f"{path}.subresource", SUBRESOURCE_MAX)


def _is_plain(entry: Object) -> bool:
    """Whether an entry of the managed fields is surely valid."""
    manager = entry.get("manager", "")
    return (
        entry.get("operation") in _OPERATIONS
        and entry.get("fieldsType") == "FieldsV1"
        and manager.isascii()
        and manager.isprintable()
        and len(manager) <= MANAGER_MAX
        and names.size(entry.get("subresource", "")) <= SUBRESOURCE_MAX
    )
