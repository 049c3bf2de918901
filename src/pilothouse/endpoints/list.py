"""GET of a collection: a page of it, a snapshot, or a watch (handlers ListResource)."""

from collections.abc import Awaitable
from inspect import isawaitable

from pilothouse.endpoints import refusals, watch
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.params import ListParams, list_params
from pilothouse.endpoints.response import include_object
from pilothouse.endpoints.scope import Verbs
from pilothouse.endpoints.selection import Selection, selection
from pilothouse.offload import INLINE, Work
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response
from pilothouse.storage import keys
from pilothouse.storage.watchcache import Listing


def handle(verbs: Verbs, ctx: Context, resource: Resource) -> Response | Awaitable[Response]:
    """List, or watch when the query says so."""
    params = list_params(ctx.query)
    if len(ctx.request.query) > INLINE:
        return _long(verbs, ctx, resource, params)
    return _handle(verbs, ctx, selection(verbs, ctx, resource, params))


async def _long(verbs: Verbs, ctx: Context, resource: Resource, params: ListParams) -> Response:
    """A list with long selectors: they are read beside the loop."""
    ctx.work = work = Work(verbs.offload, ctx.user.name)
    await work.enter(len(ctx.request.query))
    answer = _handle(verbs, ctx, await work.run(selection, verbs, ctx, resource, params))
    return await answer if isawaitable(answer) else answer


def _handle(verbs: Verbs, ctx: Context, query: Selection) -> Response | Awaitable[Response]:
    params, resource = query.params, query.resource
    if ctx.media.transform == "Table":
        include_object(ctx)
    if params.watch:
        if "watch" not in resource.verbs:
            raise refusals.method_not_allowed()
        return watch.start(verbs, ctx, query)
    listing = query.read()
    if isawaitable(listing):
        return _later(verbs, ctx, query, listing)
    return _answer(verbs, ctx, query, listing)


async def _later(verbs: Verbs, ctx: Context, query: Selection, listing: Awaitable[Listing]) -> Response:
    return _answer(verbs, ctx, query, await listing)


def _answer(verbs: Verbs, ctx: Context, query: Selection, listing: Listing) -> Response:
    token, remaining = "", None
    if listing.more:
        revision = query.at or listing.revision
        token = keys.encode_continue(listing.entries[-1].key, query.prefix, revision)
        if query.selector.empty:
            remaining = listing.remaining
    return verbs.responder.list(ctx, query.resource, listing.entries, listing.revision, token, remaining)
