"""Applies a mutation to an object (apiserver plugin/policy/mutating/patch)."""

from collections.abc import Iterator
from typing import Any

from pilothouse.api.cel import EvaluationError, Struct, as_json
from pilothouse.api.changes import _fieldset as fieldset
from pilothouse.api.changes import patch
from pilothouse.api.changes._fieldset import FieldError, fault_text
from pilothouse.api.expressions.mutations import misnamed
from pilothouse.api.types import schema
from pilothouse.api.values.fields import Object

APPLY_CONFIGURATION, JSON_PATCH = "ApplyConfiguration", "JSONPatch"


class UnusablePatch(Exception):
    """A mutation cannot be carried out; the text is upstream's."""


def applied(obj: Object, made: Any, type: schema.Type) -> Object:
    """The object with an apply configuration merged in; no field gets an owner by that. UnusablePatch."""
    faults = list(misnamed(made, ("Object",)))
    if faults:
        raise UnusablePatch("type mismatch: " + "\n".join(faults))
    config = {**_native(made), "apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}
    lead = "error applying patch: "
    if wrong := fieldset.validate(type, config):
        raise UnusablePatch(f"{lead}failed to convert patch object to typed object: {fault_text(wrong)}")
    if atomic := list(_atomic(config, type, "")):
        named = ", ".join(atomic)
        raise UnusablePatch(
            f"{lead}invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {named}"
        )
    if wrong := fieldset.validate(type, obj):
        raise UnusablePatch(f"{lead}failed to convert original object to typed object: {fault_text(wrong)}")
    try:
        merged: Object = fieldset.merge(type, obj, config)
    except FieldError as err:
        raise UnusablePatch(f"{lead}failed to merge patch: {err}") from None
    return merged


def patched(obj: Object, made: Any) -> Object:
    """The object after a JSON patch; as it is when a test operation of the patch fails. UnusablePatch."""
    operations = [_operation(one) for one in made]
    try:
        out: Object = patch.apply_operations(obj, operations)
    except patch.TestFailed:
        return obj
    except patch.Inapplicable as err:
        raise UnusablePatch(f"JSON Patch: {err}") from None
    return out


def _native(made: Any) -> Any:
    try:
        return as_json(made)
    except EvaluationError as err:
        raise UnusablePatch(str(err)) from None


def _operation(made: Any) -> Object:
    if not isinstance(made, Struct):
        raise UnusablePatch("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch")
    value = made.fields.get("value")
    if isinstance(value, Struct):
        faults = list(misnamed(value, tuple(value.type_name.split("."))))
        if faults:
            raise UnusablePatch("type mismatch: " + "\n".join(faults))
    try:
        out: Object = as_json(made)
    except EvaluationError as err:
        raise UnusablePatch(
            f"JSONPath valueExpression evaluated to a type that could not marshal to JSON: {err}"
        ) from None
    return out


def _atomic(value: Any, type: schema.Type | None, path: str) -> Iterator[str]:
    """The paths of what a configuration would replace as a whole, without the author's having meant it."""
    if type is None:
        return
    if isinstance(value, dict):
        if type.map_type == "atomic":
            yield path
        for name, member in value.items():
            field = type.fields.get(name)
            if field is not None:
                yield from _atomic(member, field.type, f"{path}.{name}")
    elif isinstance(value, list) and type.kind == "list":
        if type.list_type not in ("set", "map"):
            yield path
        for i, item in enumerate(value):
            yield from _atomic(item, type.items, f"{path}[{i}]")
