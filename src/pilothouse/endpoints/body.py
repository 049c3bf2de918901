"""Bodies of requests to objects. Whatever reads a body goes through `decode_on`, which knows what may hold up the loop."""

from collections.abc import Callable, Collection
from typing import ParamSpec, TypeVar

from pilothouse.api import codec
from pilothouse.api.fields import Object
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.params import WriteParams
from pilothouse.registry.resource import Resource

YAML_WEIGHT = 16
"""A byte of YAML takes as long to read as so many of JSON."""

P = ParamSpec("P")
T = TypeVar("T")


async def decode_on(
    ctx: Context, media: str, decode: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """What `decode` makes of the request's body, which is of the media type `media`; off the loop when there is much of it."""
    work = ctx.work
    await work.enter(weight(ctx.request.body, media))
    return await work.run(decode, *args, **kwargs)


def weight(body: bytes, media: str) -> int:
    """How long a body takes to read, in bytes of JSON. What may be YAML most often is JSON."""
    return len(body) * YAML_WEIGHT if "yaml" in media and not body.startswith(b"{") else len(body)


def media_of(ctx: Context) -> str:
    """The Content-Type header of a request."""
    return ctx.request.headers.get("content-type", "")


async def read_body(
    ctx: Context, resource: Resource, params: WriteParams, accepted: Collection[tuple[str, str]] = ()
) -> Object:
    """The object in a request's body: pruned, in canonical form and with its defaults; unknown fields warn or refuse.

    `accepted`: further group versions in which it may come.
    """
    return await decode_on(ctx, media_of(ctx), _decode, ctx, resource, params, accepted)


def _decode(
    ctx: Context, resource: Resource, params: WriteParams, accepted: Collection[tuple[str, str]]
) -> Object:
    body, content_type = ctx.request.body, media_of(ctx)
    if resource.codec is not None:
        obj, notes = resource.codec.decode(body, content_type, params.validation)
    else:
        assert resource.type_of is not None
        expected = (resource.group, resource.version, resource.kind)
        obj, notes = codec.decode(
            body, content_type, resource.type_of(), expected, params.validation, accepted
        )
    for note in notes:
        ctx.warn(note)
    if not isinstance(obj.get("metadata"), dict):
        obj["metadata"] = {}
    return obj
