"""POST of a new object."""

from pilothouse.api import meta
from pilothouse.api.fields import Object
from pilothouse.endpoints.body import read_body
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.params import WriteParams, write_params
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
    obj = await write.work.run(_completed, ctx, resource, params, obj, write.now)
    attributes = admission_attributes(
        verbs, ctx, resource, "CREATE", name, params.options("CreateOptions"), params.dry_run
    )
    await admit(verbs, ctx, attributes, resource, obj, None)
    await write.work.run(dedupe_owners, ctx, obj, True)
    written = await verbs.store.create(write, obj, validator(verbs, attributes))
    for text in (*write.warnings, *attributes.warnings):
        ctx.warn(text)
    return await write.work.run(verbs.responder.value, ctx, resource, written.value, 201)


def _completed(ctx: Context, resource: Resource, params: WriteParams, obj: Object, now: str) -> Object:
    """The object as it goes to admission: owners once, fields tracked, in the version that is stored."""
    dedupe_owners(ctx, obj, False)
    track_fields(ctx, resource, params, None, obj, now)
    return stored_form(resource, obj)
