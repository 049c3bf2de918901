"""PUT of an object, or of a subresource that writes the object."""

from pilothouse.api import json
from pilothouse.api.codec import JSON, media_type
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.objects.body import match_name, match_namespace, media_of, read_body
from pilothouse.endpoints.objects.scope import RequestScope, Verbs, manager_name, timeline_of
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import WriteParams, write_params
from pilothouse.registry.renewal import LONGEST, RenewalRequest, renew
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response


async def handle(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """Decode, then read the live object and write the new one in its place (handlers UpdateResource)."""
    params = write_params(ctx.query, "UpdateOptions")
    renews = resource.strategy.renewal is not None and _may_renew(verbs, ctx, params)
    in_json = renews and media_type(media_of(ctx)) == JSON
    if in_json:  # PERF: most writes of a cluster are renewals of leases
        renewed = await _renewed(verbs, ctx, resource, params, ctx.request.body)
        if renewed is not None:
            return renewed
    info = ctx.info
    first: Object | None = await read_body(ctx, resource, params)
    assert first is not None
    if renews and not in_json:
        renewed = await _renewed(verbs, ctx, resource, params, json.dump(first))
        if renewed is not None:
            return renewed
    match_namespace(ctx, resource, first)
    match_name(first, info.name, info.namespace)
    scope = RequestScope(verbs, ctx, resource, params, info.name)
    if first["metadata"].get("ownerReferences"):
        await scope.dedupe_owners(first, after_admission=False)
    uid = first["metadata"].get("uid", "")

    async def change(live: Object | None) -> Object:
        nonlocal first
        obj = first if first is not None else await read_body(ctx, resource, params)
        if first is None:
            match_namespace(ctx, resource, obj)
        first = None  # a retry starts from the body again: hooks change what they are given
        await scope.write.settle_fields(scope.write.track, live, obj)
        return obj

    return await scope.answer(await scope.edit(change, uid=uid))


def _may_renew(verbs: Verbs, ctx: Context, params: WriteParams) -> bool:
    """Whether an update may be a renewal: it is short, and nobody has to see the whole object."""
    recorded = ctx.audit is not None or verbs.store.author is not None
    return not (recorded or params.dry_run or len(ctx.request.body) > LONGEST)


async def _renewed(
    verbs: Verbs, ctx: Context, resource: Resource, params: WriteParams, body: bytes
) -> Response | None:
    """The answer to a renewal, whose body is JSON; None to another update."""
    renewal, info = resource.strategy.renewal, ctx.info
    assert renewal is not None
    asked = RenewalRequest(
        resource,
        info.namespace,
        info.name,
        user=ctx.user,
        manager=manager_name(ctx, params),
        now=verbs.now(),
        body=body,
        timeline=timeline_of(ctx) if verbs.explained else None,
    )
    value = await renew(verbs.store, verbs.admission, renewal, asked)
    return None if value is None else verbs.responder.value(ctx, resource, value)
