"""The fields of custom resources by which they can be selected."""

from collections.abc import Container

from pilothouse.api.structural.field_paths import PathError, valid_path
from pilothouse.api.validate.crd.internal import schema_of
from pilothouse.api.validate.crd.structural import unsupported
from pilothouse.api.values.fields import Errors, Object

MAX_SELECTABLE_FIELDS = 8
_SELECTABLE = (
    "must point to a field of type string, boolean or integer. Enum string fields and strings with formats"
    " are allowed."
)


def validate_selectable_fields(holder: Object, path: str, errs: Errors, many: Container[str]) -> None:
    """Validates the fields of a version or of all; versions of `many` may have too many of them."""
    declared = schema_of(holder) or {}
    why = unsupported(declared)
    if why:
        errs.invalid(f"{path}.schema.openAPIV3Schema", "", why)
        return
    path, seen = f"{path}.selectableFields", set[str]()
    for i, one in enumerate(holder["selectableFields"]):
        where, text = f"{path}[{i}].jsonPath", one.get("jsonPath") or ""
        if not text:
            errs.required(where)
            continue
        try:
            found, schema = valid_path(text, declared, arrays=False)
        except PathError as err:
            errs.invalid(where, text, f"is an invalid path: {err}")
            continue
        if found.split(".")[0].split("[")[0] == "metadata":
            errs.invalid(where, text, "must not point to fields in metadata")
        if schema.get("type") not in ("string", "boolean", "integer"):
            errs.invalid(where, text, _SELECTABLE)
        if found in seen:
            errs.duplicate(where, text)
        seen.add(found)
    if len(seen) > MAX_SELECTABLE_FIELDS and holder.get("name", "") not in many:
        errs.too_many(path, len(seen), MAX_SELECTABLE_FIELDS)
