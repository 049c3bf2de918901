"""PUT of an object, or of a subresource that writes the object."""

from pilothouse.api.fields import Object
from pilothouse.endpoints.body import read_body
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.params import WriteParams, write_params
from pilothouse.endpoints.verbs import (
    Verbs,
    admission_attributes,
    admit,
    create_authorizer,
    dedupe_owners,
    match_name,
    match_namespace,
    served_form,
    stored_form,
    strategy_of,
    track_fields,
    validator,
    write_context,
)
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
    write = write_context(verbs, ctx, resource, params, info.name)
    await write.work.run(dedupe_owners, ctx, first, False)
    uid = first["metadata"].get("uid", "")
    attributes = admission_attributes(
        verbs, ctx, resource, "UPDATE", info.name, params.options("UpdateOptions"), params.dry_run
    )

    async def make(live: Object | None) -> Object:
        nonlocal first
        obj = first if first is not None else await read_body(ctx, resource, params)
        if first is None:
            match_namespace(ctx, resource, obj)
        first = None  # a second try starts from the body again: hooks change what they are given
        obj = await write.work.run(_tracked, ctx, resource, params, live, obj, write.now)
        await admit(verbs, ctx, attributes, resource, obj, live)
        await write.work.run(dedupe_owners, ctx, obj, True)
        return obj

    written = await verbs.store.update(
        write,
        make,
        strategy=strategy_of(ctx, resource),
        shared=resource.from_storage is None,
        uid=uid,
        validate=validator(verbs, attributes),
        authorize_create=create_authorizer(verbs, ctx, resource, info.name),
    )
    for text in (*write.warnings, *attributes.warnings):
        ctx.warn(text)
    status = 201 if written.created else 200
    return await write.work.run(verbs.responder.value, ctx, resource, written.value, status)


def _tracked(
    ctx: Context, resource: Resource, params: WriteParams, live: Object | None, obj: Object, now: str
) -> Object:
    """The object with its fields tracked, in the version that is stored."""
    served = served_form(resource, live) if live is not None else None
    track_fields(ctx, resource, params, served, obj, now)
    return stored_form(resource, obj)
