"""GET of one object, or of a subresource that shows the object."""

from collections.abc import Awaitable
from inspect import isawaitable

from pilothouse import errors
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.params import first, uint_error
from pilothouse.endpoints.scope import Verbs
from pilothouse.offload import INLINE, Work
from pilothouse.registry import consistent
from pilothouse.registry.resource import Resource
from pilothouse.registry.storage_errors import too_large
from pilothouse.server.request import Response


def handle(verbs: Verbs, ctx: Context, resource: Resource) -> Response | Awaitable[Response]:
    """The object as it is now; with resourceVersion, at least as new as that."""
    store = verbs.store
    asked = first(ctx.query, "resourceVersion") if ctx.query else ""
    if asked and asked != "0":
        why = uint_error(asked)
        if why:
            raise errors.Unknown(f'resourceVersion: Invalid value: "{asked}": {why}')
        if int(asked) > store.cacher.revision:
            raise too_large(int(asked), store.cacher.revision)
    elif ctx.behind and not asked:
        return _from_store(verbs, ctx, resource)
    return _shown(verbs, ctx, resource, store.find(resource, ctx.info.namespace, ctx.info.name).value)


def _shown(verbs: Verbs, ctx: Context, resource: Resource, value: bytes) -> Response | Awaitable[Response]:
    if len(value) > INLINE and not verbs.responder.sends_as_stored(ctx, resource):
        return _transformed(verbs, ctx, resource, value)
    return verbs.responder.value(ctx, resource, value)


async def _transformed(verbs: Verbs, ctx: Context, resource: Resource, value: bytes) -> Response:
    """A large object in another form than the one in which it is stored."""
    ctx.work = work = Work(verbs.offload, ctx.user.name)
    await work.enter(len(value))
    return await work.run(verbs.responder.value, ctx, resource, value)


async def _from_store(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    entry = await consistent.find(verbs.store, resource, ctx.info.namespace, ctx.info.name)
    answer = _shown(verbs, ctx, resource, entry.value)
    return await answer if isawaitable(answer) else answer
