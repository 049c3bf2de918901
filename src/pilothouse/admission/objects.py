"""The objects of a request in the versions that policies and webhooks ask for,
and what becomes of a changed one."""

from pilothouse import errors
from pilothouse.admission.matching import Matched
from pilothouse.api import codec
from pilothouse.api._schema import DecodeError
from pilothouse.api.convert import kinds as convert
from pilothouse.api.defaults import kinds as defaults
from pilothouse.api.types import schema
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.resource import Resource


async def converted(obj: Object | None, a: AdmissionAttributes, matched: Matched) -> Object | None:
    """An object of the request in the version that was matched;
    StatusError when a webhook cannot convert it."""
    if obj is None or matched.resource is a.resource or a.kind == matched.kind:
        return obj
    return await _in_version(obj, a, a.resource, matched.resource)


async def restored(obj: Object, a: AdmissionAttributes, matched: Matched) -> Object:
    """An object in the version that was matched, brought back to that of the request;
    StatusError as converted()."""
    if matched.resource is a.resource or a.kind == matched.kind:
        return obj
    return await _in_version(obj, a, matched.resource, a.resource)


async def _in_version(obj: Object, a: AdmissionAttributes, of: Resource, to: Resource) -> Object:
    if to.conversion is not None and to.conversion.converter is not None:
        return (await to.conversion.presented((obj,), a.work))[0]
    if to.conversion is None and of.conversion is not None and of.conversion.converter is not None:
        return (await of.conversion.kept((obj,), a.work))[0]  # `to` is what is stored
    found = of.version_of(to.api_version)
    if found is None:
        return obj
    return (await a.work.run(found[1], [obj]))[0]


def type_of(resource: Resource, kind: tuple[str, str, str]) -> schema.Type:
    """The type of an object of the kind;
    ServiceUnavailable when none is known, as for the options of a CONNECT."""
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
