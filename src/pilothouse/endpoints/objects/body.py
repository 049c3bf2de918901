"""Bodies of requests to objects. Every body is decoded by `decode_on`, which takes long ones off the loop."""

from collections.abc import Callable, Collection, Sequence
from typing import ParamSpec, TypeVar

from pilothouse import errors
from pilothouse.api import codec
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import WriteParams, write_params
from pilothouse.registry import rest
from pilothouse.registry.resource import Resource

YAML_WEIGHT = 16
"""Bytes of JSON that take as long to decode as one byte of YAML."""

P = ParamSpec("P")
T = TypeVar("T")


async def decode_on(
    ctx: Context, media: str, decode: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """The outcome of `decode` on the request's body of the media type `media`;
    a long body is decoded off the loop."""
    work = ctx.work
    await work.enter(weight(ctx.request.body, media))
    return await work.run(decode, *args, **kwargs) if work.bytes else decode(*args, **kwargs)


def weight(body: bytes, media: str) -> int:
    """How long a body takes to decode, in bytes of JSON. A body of a YAML media type most often is JSON."""
    return len(body) * YAML_WEIGHT if "yaml" in media and not body.startswith(b"{") else len(body)


def media_of(ctx: Context) -> str:
    """The Content-Type header of a request."""
    return ctx.request.headers.get("content-type", "")


def create_params(ctx: Context) -> WriteParams:
    """The options of a POST; BadRequest, Invalid.
    As upstream does, it looks for a decoder of the body first (415)."""
    codec.media_type(media_of(ctx))
    return write_params(ctx.query, "CreateOptions")


async def read_body(
    ctx: Context, resource: Resource, params: WriteParams, accepted: Collection[tuple[str, str]] = ()
) -> Object:
    """The object in a request's body: pruned, in canonical form and with its defaults;
    unknown fields warn or refuse.

    `accepted`: further group versions in which it may come.
    """
    media = media_of(ctx)
    return await decode_on(ctx, media, _decode, ctx, media, resource, params, accepted)


def _decode(
    ctx: Context, media: str, resource: Resource, params: WriteParams, accepted: Collection[tuple[str, str]]
) -> Object:
    try:
        obj, notes = resource.decode(ctx.request.body, media, params.validation, accepted)
    except errors.BadRequest as err:
        _warn(ctx, err.warnings)
        raise
    if notes:
        _warn(ctx, notes)
    if not isinstance(obj.get("metadata"), dict):
        obj["metadata"] = {}
    if ctx.audit is not None:
        ctx.audit.request_object(obj)
    return obj


def _warn(ctx: Context, notes: Sequence[str]) -> None:
    for note in notes:
        ctx.warn(note)


def match_namespace(ctx: Context, resource: Resource, obj: Object) -> None:
    """The body's namespace is the request's or is filled in from it; BadRequest."""
    rest.match_namespace(obj.setdefault("metadata", {}), ctx.info.namespace if resource.namespaced else "")


def match_name(obj: Object, name: str, namespace: str) -> None:
    """The body names the object of the URL (handlers checkName)."""
    metadata = obj["metadata"]
    have = metadata.get("name", "")
    if not have:
        raise errors.BadRequest(
            f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )
    if have != name:
        raise errors.BadRequest(
            f"the name of the object ({have}) does not match the name on the URL ({name})"
        )
    there = metadata.get("namespace", "")
    if namespace and there and there != namespace:
        raise errors.BadRequest(
            f"the namespace of the object ({there}) does not match the namespace on the request ({namespace})"
        )
