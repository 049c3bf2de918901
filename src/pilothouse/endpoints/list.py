"""GET of a collection: a page of it, a snapshot, or a watch (handlers ListResource)."""

from pilothouse.endpoints import refusals, watch
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.params import list_params
from pilothouse.endpoints.response import include_object
from pilothouse.endpoints.scope import Verbs
from pilothouse.endpoints.selection import selection
from pilothouse.offload import INLINE, Work
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response


async def handle(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """List, or watch when the query says so."""
    params = list_params(ctx.query)
    if len(ctx.request.query) > INLINE:  # long selectors are read beside the loop
        ctx.work = work = Work(verbs.offload, ctx.user.name)
        await work.enter(len(ctx.request.query))
        query = await work.run(selection, verbs, ctx, resource, params)
    else:
        query = selection(verbs, ctx, resource, params)
    if ctx.media.transform == "Table":
        include_object(ctx)
    if params.watch:
        if "watch" not in resource.verbs:
            raise refusals.method_not_allowed()
        return await watch.start(verbs, ctx, query)
    listing = await query.read()
    token, remaining = "", None
    if listing.more:
        revision = query.at or listing.revision
        token = query.token(listing.entries[-1].key, revision)
        if listing.remaining >= 0:
            remaining = listing.remaining
    if ctx.query:
        verbs.widths.learn(resource, ctx.info.namespace, ctx.query, listing.entries)
    show = verbs.responder
    if resource.conversion is not None and show.waits(ctx, resource):
        return await show.converted_list(ctx, resource, listing.entries, listing.revision, token, remaining)
    return show.list(ctx, resource, listing.entries, listing.revision, token, remaining)
