"""POST of a new object."""

from pilothouse.api import meta
from pilothouse.endpoints.body import read_body
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.params import write_params
from pilothouse.endpoints.verbs import (
    Verbs,
    admission_attributes,
    admit,
    dedupe_owners,
    match_namespace,
    stored_form,
    track_fields,
    validator,
    write_context,
)
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response


async def handle(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """Decode, default, track fields, admit, store (apiserver handlers createHandler)."""
    params = write_params(ctx.query, "CreateOptions")
    obj = await read_body(ctx, resource, params)
    metadata = obj.setdefault("metadata", {})
    meta.wipe_system_fields(obj)
    match_namespace(ctx, resource, obj)
    name = metadata.get("name", "")
    write = write_context(verbs, ctx, resource, params, name)
    dedupe_owners(ctx, obj, False)
    track_fields(ctx, resource, params, None, obj, write.now)
    obj = stored_form(resource, obj)
    attributes = admission_attributes(
        verbs, ctx, resource, "CREATE", name, params.options("CreateOptions"), params.dry_run
    )
    await admit(verbs, ctx, attributes, resource, obj, None)
    dedupe_owners(ctx, obj, True)
    written = await verbs.store.create(write, obj, validator(verbs, attributes))
    for text in (*write.warnings, *attributes.warnings):
        ctx.warn(text)
    return verbs.responder.value(ctx, resource, written.value, 201)
