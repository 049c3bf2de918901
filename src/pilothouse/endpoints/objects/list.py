"""GET of a collection: a page of it, a snapshot, or a watch (handlers ListResource)."""

from collections.abc import Sequence

from pilothouse import errors
from pilothouse.endpoints.answers.response import include_object
from pilothouse.endpoints.objects import past, watch
from pilothouse.endpoints.objects.scope import Verbs
from pilothouse.endpoints.objects.selection import selection
from pilothouse.endpoints.request import refusals
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import list_params
from pilothouse.offload import INLINE, Work
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response
from pilothouse.storage._entry import Entry, bytes_of

WARNED = 0.5
"""The share of the most bytes of a list without a limit from which on there is a warning."""


async def handle(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """List, or watch when the query says so."""
    params = list_params(ctx.query)
    if verbs.history is not None and ctx.query:
        await past.set_place(verbs.history, ctx.query, params)
    if len(ctx.request.query) > INLINE:  # long selectors are read beside the loop
        ctx.work = work = Work(verbs.offload, ctx.user.name)
        await work.enter(len(ctx.request.query))
        query = await work.run(selection, verbs, ctx, resource, params)
    else:
        query = selection(verbs, ctx, resource, params)
    include_object(ctx)
    if params.watch:
        if "watch" not in resource.verbs:
            raise refusals.method_not_allowed()
        return await watch.start(verbs, ctx, query)
    if verbs.history is not None:
        await past.check_list(verbs, ctx, query)
    listing = await query.read()
    if verbs.most_unpaged and not (params.limit > 0 or params.token or params.resource_version == "0"):
        _weigh(ctx, listing.entries, verbs.most_unpaged)
    if ctx.timeline is not None:
        ctx.timeline.mark("read")
    token, remaining = query.rest(listing)
    if ctx.query:
        verbs.widths.learn(resource, ctx.info.namespace, ctx.query, listing.entries)
    show = verbs.responder
    if resource.conversion is not None and show.waits(ctx, resource):
        return await show.converted_list(ctx, resource, listing.entries, listing.revision, token, remaining)
    return show.list(ctx, resource, listing.entries, listing.revision, token, remaining)


def _weigh(ctx: Context, entries: Sequence[Entry], most: int) -> None:
    """Warn of a list that was asked for without a limit and is long;
    BadRequest for one that is too long (kubernetes#94477).

    Informers are not concerned: they ask with resourceVersion=0,
    or for a watch that begins with what is there.
    """
    size = bytes_of(entries)
    if size < most * WARNED:
        return
    text = (
        f"the list has {size} bytes; without the parameter limit a list may have {most}"
        " (--max-unpaged-list-bytes)"
    )
    if size > most:
        raise errors.BadRequest(f"{text}: ask for pages with limit and continue")
    ctx.warn(f"{text}, longer ones are refused: ask for pages with limit and continue")
