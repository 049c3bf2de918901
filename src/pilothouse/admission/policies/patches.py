"""What a mutation makes of an object (apiserver plugin/policy/mutating/patch)."""

from collections.abc import Iterator
from typing import Any

from pilothouse import _fieldset as fieldset
from pilothouse import errors
from pilothouse._cel import EvaluationError, Struct
from pilothouse._fieldset import FieldError
from pilothouse._schema import DecodeError
from pilothouse.api import codec, patch, schema
from pilothouse.api.cel.native import misnamed, native
from pilothouse.api.convert import kinds as convert
from pilothouse.api.defaults import kinds as defaults
from pilothouse.api.fields import Object
from pilothouse.registry.resource import Resource

APPLY_CONFIGURATION, JSON_PATCH = "ApplyConfiguration", "JSONPatch"


class Unusable(Exception):
    """A mutation cannot be carried out; the text is upstream's."""


def type_of(resource: Resource, kind: tuple[str, str, str]) -> schema.Type:
    """The type of an object of the kind; ServiceUnavailable when none is known, as for the options of a CONNECT."""
    if kind == (resource.group, resource.version, resource.kind) and resource.type_of is not None:
        return resource.type_of()
    try:
        return schema.for_kind(*kind)
    except KeyError:
        group, version, name = kind
        raise errors.ServiceUnavailable(
            f"Resource kind {group}/{version}, Kind={name} not found. There can be a delay between when "
            "CustomResourceDefinitions are created and when they are available."
        ) from None


def applied(obj: Object, made: Any, type: schema.Type) -> Object:
    """The object with an apply configuration merged in; no field gets an owner by that. Unusable."""
    faults = list(misnamed(made, ("Object",)))
    if faults:
        raise Unusable("type mismatch: " + "\n".join(faults))
    config = {**_native(made), "apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}
    lead = "error applying patch: "
    if wrong := fieldset.validate(type, config):
        raise Unusable(f"{lead}failed to convert patch object to typed object: {_listed(wrong)}")
    if atomic := list(_atomic(config, type, "")):
        named = ", ".join(atomic)
        raise Unusable(
            f"{lead}invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {named}"
        )
    if wrong := fieldset.validate(type, obj):
        raise Unusable(f"{lead}failed to convert original object to typed object: {_listed(wrong)}")
    try:
        merged: Object = fieldset.merge(type, obj, config)
    except FieldError as err:
        raise Unusable(f"{lead}failed to merge patch: {err}") from None
    return merged


def patched(obj: Object, made: Any) -> Object:
    """The object after a JSON patch; as it is when a test operation of the patch fails. Unusable."""
    operations = [_operation(one) for one in made]
    try:
        out: Object = patch.apply_operations(obj, operations)
    except patch.TestFailed:
        return obj
    except patch.Inapplicable as err:
        raise Unusable(f"JSON Patch: {err}") from None
    return out


def completed(
    resource: Resource, kind: tuple[str, str, str], raw: Object, type: schema.Type, strict: bool
) -> Object:
    """A mutated object in canonical form and with its defaults. InternalError when it does not decode.

    strict: whether unknown fields are refused, as in the result of a JSON patch.
    """
    own = kind == (resource.group, resource.version, resource.kind)
    try:
        if own:
            obj, notes = resource.decode_value(raw)
        else:
            obj, notes = codec.decode_value(raw, type)
    except DecodeError as err:
        raise errors.InternalError(f"Internal error occurred: {err}") from None
    if strict and notes and resource.conventions.go_types:
        raise errors.InternalError("Internal error occurred: strict decoding error: " + ", ".join(notes))
    group, version, name = kind
    obj["kind"], obj["apiVersion"] = name, f"{group}/{version}" if group else version
    if not isinstance(obj.get("metadata"), dict):
        obj["metadata"] = {}
    if not own:
        defaults.apply(obj, group, version, name)
        convert.normalise(obj, group, name)
    return obj


def _native(made: Any) -> Any:
    try:
        return native(made)
    except EvaluationError as err:
        raise Unusable(str(err)) from None


def _operation(made: Any) -> Object:
    if not isinstance(made, Struct):
        raise Unusable("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch")
    value = made.fields.get("value")
    if isinstance(value, Struct):
        faults = list(misnamed(value, tuple(value.type_name.split("."))))
        if faults:
            raise Unusable("type mismatch: " + "\n".join(faults))
    try:
        out: Object = native(made)
    except EvaluationError as err:
        raise Unusable(
            f"JSONPath valueExpression evaluated to a type that could not marshal to JSON: {err}"
        ) from None
    return out


def _listed(wrong: list[str]) -> str:
    return wrong[0] if len(wrong) == 1 else "\n  ".join(["errors:", *wrong])


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
