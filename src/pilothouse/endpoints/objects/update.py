"""PUT of an object, or of a subresource that writes the object."""

from pilothouse.api.values.fields import Object
from pilothouse.endpoints.objects.body import match_name, match_namespace, read_body
from pilothouse.endpoints.objects.scope import RequestScope, Verbs
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import write_params
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response


async def handle(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """Decode, then read the live object and write the new one in its place (handlers UpdateResource)."""
    params = write_params(ctx.query, "UpdateOptions")
    info = ctx.info
    first: Object | None = await read_body(ctx, resource, params)
    assert first is not None
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
