"""The `scale` subresource: a workload seen as an autoscaling/v1 Scale."""

import orjson

from pilothouse import errors
from pilothouse.api import apply, schema
from pilothouse.api.fields import Errors, Object
from pilothouse.api.patch import copy
from pilothouse.endpoints import patch
from pilothouse.endpoints.body import decode_on, match_name, match_namespace, read_body
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.params import WriteParams, patch_params, write_params
from pilothouse.endpoints.scope import RequestScope, Verbs
from pilothouse.registry import consistent
from pilothouse.registry.conventions import APPLY
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.registry.store import decode
from pilothouse.server.request import Response


async def handle(verbs: Verbs, ctx: Context, resource: Resource, sub: Subresource) -> Response:
    """GET, PUT or PATCH of a Scale."""
    assert sub.read is not None
    info = ctx.info
    shown = resource.body_of(sub)
    method = ctx.request.method
    if method == "GET":
        if ctx.behind:
            entry = await consistent.find(verbs.store, resource, info.namespace, info.name)
        else:
            entry = verbs.store.find(resource, info.namespace, info.name)
        return verbs.responder.object(ctx, shown, sub.read(await resource.presented(decode(entry))))
    kind = patch.patch_type(ctx, resource) if method == "PATCH" else ""
    params = patch_params(ctx.query, kind == APPLY) if kind else write_params(ctx.query, "UpdateOptions")
    if kind:
        await patch.record(ctx, kind)
    scope = RequestScope(verbs, ctx, resource, params, info.name, view=sub.read)
    body: Object | None = None
    if not kind:
        body = await _decode(ctx, sub, shown, params)
        match_namespace(ctx, resource, body)
        match_name(body, info.name, info.namespace)

    async def make(live: Object | None) -> Object:
        assert live is not None
        if kind == APPLY:
            return await _applied(scope, sub, live)
        return await _written(scope, sub, shown, live, body, kind)

    written = await scope.update(make)
    scope.warn()
    stored = orjson.loads(written.value)
    return verbs.responder.object(ctx, shown, sub.read(await resource.presented(stored)))


async def _written(
    scope: RequestScope, sub: Subresource, shown: Resource, live: Object, body: Object | None, patch_kind: str
) -> Object:
    """The workload with the Scale that was sent, or that a patch makes of its own, laid into it."""
    assert sub.read is not None and sub.write is not None
    ctx, resource, info = scope.ctx, scope.resource, scope.ctx.info
    current = sub.read(live)
    if body is not None:
        wanted = copy(body)  # plugins change it, and a retry starts from what was sent
    else:
        sent = ctx.request.body
        wanted = await decode_on(
            ctx, patch_kind, patch.patched, ctx, shown, scope.params, patch_kind, current, sent
        )
        match_namespace(ctx, resource, wanted)
        match_name(wanted, info.name, info.namespace)
    wanted = await scope.mutate(wanted, current)
    obj = decode_again(live)
    sub.write(obj, wanted)
    if sub.validate is not None:
        errs = Errors()
        sub.validate(wanted, errs)
        errs.raise_if_any(sub.group, sub.kind, wanted["metadata"].get("name", ""))
    version = wanted["metadata"].get("resourceVersion")
    if version:  # only what was sent is a precondition
        obj["metadata"]["resourceVersion"] = version
    _check_uid(resource, wanted, live)
    await scope.settle_fields(scope.track, live, obj, now="")  # upstream keeps no time for it
    return obj


async def _decode(ctx: Context, sub: Subresource, shown: Resource, params: WriteParams) -> Object:
    """The Scale in a body; BadRequest."""
    try:
        return await read_body(ctx, shown, params)
    except errors.BadRequest:
        if not sub.undecodable:
            raise
        raise errors.BadRequest(sub.undecodable) from None


def _check_uid(resource: Resource, scale: Object, live: Object) -> None:
    wanted, found = scale["metadata"].get("uid"), live["metadata"]["uid"]
    if wanted and wanted != found:
        why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
        raise errors.conflict(resource.group, f"{resource.plural}/scale", live["metadata"]["name"], why)


def decode_again(obj: Object) -> Object:
    """A private copy deep enough to lay a Scale into."""
    out = {**obj, "metadata": dict(obj["metadata"])}
    if isinstance(obj.get("spec"), dict):
        out["spec"] = dict(obj["spec"])
    return out


async def _applied(scope: RequestScope, sub: Subresource, live: Object) -> Object:
    """Apply a Scale as the fields of the workload that it stands for."""
    ctx, resource, params = scope.ctx, scope.resource, scope.params
    assert resource.type_of is not None and sub.read is not None and sub.write is not None
    sent = await patch.read_config(ctx)
    config = sent.value
    apply.check_identity(config, f"{sub.group}/{sub.version}", sub.kind)
    apply.check_config(schema.for_kind(sub.group, sub.version, sub.kind), config)
    metadata = {"name": ctx.info.name}
    if resource.namespaced:
        metadata["namespace"] = ctx.info.namespace
    whole: Object = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    sub.write(whole, config)
    obj = await scope.settle_fields(
        apply.apply,
        live,
        whole,
        type=resource.type_of(),
        manager=params.field_manager,
        force=params.force,
        api_version=resource.api_version,
        subresource=sub.name,
        kind=resource.kind,
        now=scope.context.now,
        reset=(),
        versions=scope.versions,
    )
    patch.check_repeated(ctx, params, sent)
    wanted = sub.read(obj)
    admitted = await scope.mutate(sub.read(obj), sub.read(live))
    if admitted != wanted:
        obj = decode_again(obj)
        sub.write(obj, admitted)
    return obj
