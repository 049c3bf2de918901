"""Defaults of a structural schema must fit it (apiserver/schema/defaulting/validation.go)."""

from collections.abc import Callable
from typing import Any

from pilothouse.api.fields import Errors, Object
from pilothouse.api.patch import copy
from pilothouse.api.structural import TYPE_META, Schema, prune_value
from pilothouse.api.structural_rules import coerce, validate_embedded, validate_resource
from pilothouse.api.structural_validate import Validator, same, validate

Surround = Callable[[Any], Object]
"""Puts a value where it belongs in a resource that has nothing else."""


def validate_defaults(declared: Object, path: str, errs: Errors, *, require_pruned: bool = True) -> None:
    """The causes against the defaults of a schema that is structural."""
    _validate(
        {**declared, "x-kubernetes-embedded-resource": True}, path, _resource, False, require_pruned, errs
    )


def _resource(value: Any) -> Object:
    out: Object = value if isinstance(value, dict) else {}
    out.setdefault("kind", "Validation")
    out.setdefault("apiVersion", "validation/v1")
    return out


def _validate(
    declared: Object, path: str, surround: Surround, inside_meta: bool, require_pruned: bool, errs: Errors
) -> None:
    embedded = bool(declared.get("x-kubernetes-embedded-resource"))
    if embedded:
        inside_meta, surround = False, _resource
    value = declared.get("default")
    if value is not None:
        if inside_meta:
            _inside_meta(declared, value, f"{path}.default", surround, errs)
        else:
            _plain(declared, value, f"{path}.default", require_pruned, errs)
    items = declared.get("items")
    if isinstance(items, dict):
        _validate(items, f"{path}.items", lambda v: surround([v]), inside_meta, require_pruned, errs)
    for name, member in sorted((declared.get("properties") or {}).items()):
        _validate(
            member,
            f"{path}.properties[{name}]",
            _child(surround, name),
            inside_meta or (embedded and name in TYPE_META),
            require_pruned,
            errs,
        )


def _child(surround: Surround, name: str) -> Surround:
    return lambda value: surround({name: value})


def _inside_meta(declared: Object, value: Any, path: str, surround: Surround, errs: Errors) -> None:
    """A default somewhere in metadata: the resource around it must be valid."""
    obj = surround(copy(value))
    found = Errors()
    validate_resource(obj, found, "")
    if found:
        listed = [f"{cause['field']}: {cause['message']}" for cause in found.causes]
        text = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
        errs.invalid(path, value, f"must result in valid metadata: {text}")
        return
    validate(Validator(declared), value, errs, path)


def _plain(declared: Object, value: Any, path: str, require_pruned: bool, errs: Errors) -> None:
    schema = Schema(declared)
    if require_pruned:
        pruned = copy(value)
        prune_value(pruned, schema)
        if not same(pruned, value):
            errs.invalid(path, value, "must not have unknown fields")
    value = copy(value)
    try:
        coerce(value, schema, path)
    except ValueError as err:
        where, _, text = str(err).partition(": ")
        errs.add("FieldValueInvalid", where, text)
        return
    found = Errors()
    validate_embedded(value, schema, found, path)
    if found:
        errs.extend(found)
        return
    validate(Validator(declared), value, errs, path)
