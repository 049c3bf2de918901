"""POST of a new object."""

from pilothouse.api import meta
from pilothouse.endpoints.objects.body import create_params, match_namespace, read_body
from pilothouse.endpoints.objects.scope import RequestScope, Verbs
from pilothouse.endpoints.request.context import Context
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response


async def handle(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """Decode, default, track fields; then admit,
    check what the request adds, and store (handlers createHandler).

    Warnings of hooks and plugins are sent also when the write fails, as upstream does.
    """
    params = create_params(ctx)
    obj = await read_body(ctx, resource, params)
    meta.wipe_system_fields(obj)
    match_namespace(ctx, resource, obj)
    scope = RequestScope(verbs, ctx, resource, params, obj["metadata"].get("name", ""))
    write = scope.write
    if obj["metadata"].get("ownerReferences"):
        await scope.dedupe_owners(obj, after_admission=False)
    await write.settle_fields(write.track, None, obj)
    try:
        async with write:
            obj = await write.admit(obj, None)
            await scope.check(obj, None)
            written = await write.create(obj)
    finally:
        scope.warn()
    return await scope.answer(written)
