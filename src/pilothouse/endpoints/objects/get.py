"""GET of one object, or of a subresource that shows the object."""

from pilothouse.endpoints.objects.past import asked_moment, value_at
from pilothouse.endpoints.objects.scope import Verbs
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import cached_version, first, resource_version
from pilothouse.offload import INLINE, Work
from pilothouse.registry import consistent
from pilothouse.registry.resource import Resource
from pilothouse.registry.storage_errors import too_large
from pilothouse.server.request import Response


async def handle(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """The object as it is now; with resourceVersion, at least as new as that."""
    store = verbs.store
    past = await asked_moment(verbs, ctx, resource) if ctx.query and verbs.history is not None else None
    asked = first(ctx.query, "resourceVersion") if ctx.query and not past else ""
    if asked and asked != "0":
        # Kinds whose objects expire have no watch cache upstream.
        version = cached_version(asked) if resource.strategy.ttl is None else resource_version(asked)
        if version > store.cacher.revision:
            raise too_large(version, store.cacher.revision)
    if past:
        value = await value_at(verbs, ctx, resource, past)
    elif ctx.behind and not asked:
        value = (await consistent.find(store, resource, ctx.info.namespace, ctx.info.name)).value
    else:
        value = store.find(resource, ctx.info.namespace, ctx.info.name).value
    if ctx.timeline is not None:
        ctx.timeline.mark("read")
    responder = verbs.responder
    if len(value) <= INLINE or responder.sends_as_stored(ctx, resource):
        if resource.conversion is None or not responder.waits(ctx, resource):
            return responder.value(ctx, resource, value)
        return await responder.answer(ctx, resource, value)
    # A large object in another form than the one in which it is stored.
    ctx.work = work = Work(verbs.offload, ctx.user.name)
    await work.enter(len(value))
    return await responder.answer(ctx, resource, value)
