"""POST of a new object."""

from pilothouse.api import meta
from pilothouse.api.fields import Object
from pilothouse.endpoints.body import create_params, match_namespace, read_body
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.scope import RequestScope, Verbs, dedupe_owners
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response


async def handle(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """Decode, default, track fields, admit, store (apiserver handlers createHandler)."""
    params = create_params(ctx)
    obj = await read_body(ctx, resource, params)
    meta.wipe_system_fields(obj)
    match_namespace(ctx, resource, obj)
    scope = RequestScope(verbs, ctx, resource, params, obj["metadata"].get("name", ""))
    await scope.settle_fields(_complete, scope, obj)
    return await scope.answer(await scope.create(obj))


def _complete(scope: RequestScope, obj: Object) -> None:
    """Bring the object to the form in which it goes to admission: each owner once, its fields tracked."""
    dedupe_owners(scope.ctx, obj, False)
    scope.track(None, obj)
