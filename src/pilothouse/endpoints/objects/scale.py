"""The `scale` subresource: a workload seen as an autoscaling/v1 Scale."""

import orjson

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api.changes import apply, managed, managed_scale
from pilothouse.api.changes._fieldset import FieldError
from pilothouse.api.changes.patch import copy
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.endpoints.objects import patch
from pilothouse.endpoints.objects.body import decode_on, match_name, match_namespace, read_body
from pilothouse.endpoints.objects.scope import RequestScope, Verbs
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import WriteParams, patch_params, write_params
from pilothouse.registry import consistent
from pilothouse.registry.conventions import APPLY
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.registry.store import decode
from pilothouse.server.request import Response


async def handle(verbs: Verbs, ctx: Context, resource: Resource, sub: Subresource) -> Response:
    """GET, PUT or PATCH of a Scale."""
    assert sub.read is not None
    info, read = ctx.info, sub.read_to_change or sub.read
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
    scope = RequestScope(verbs, ctx, resource, params, info.name, view=read)
    body: Object | None = None
    if not kind:
        body = await _decode(ctx, sub, shown, params)
        match_namespace(ctx, resource, body)
        match_name(body, info.name, info.namespace)

    async def make(live: Object | None) -> Object:
        assert live is not None
        current = read(live)
        try:
            owners = managed_scale.to_scale(live["metadata"].get("managedFields"), sub.replicas)
        except FieldError as err:
            raise errors.Unknown(str(err)) from None
        if owners:
            current["metadata"]["managedFields"] = owners
        if kind == APPLY:
            wanted = await _applied(scope, sub, shown, current)
        else:
            wanted = await _changed(scope, shown, current, body, kind)
        return _laid_in(scope, sub, live, await scope.write.mutate(wanted, current))

    uid = body["metadata"].get("uid", "") if body is not None else ""
    written = await scope.write.update(make, uid=uid)
    scope.warn()
    stored = orjson.loads(written.value)
    return verbs.responder.object(ctx, shown, sub.read(await resource.presented(stored)))


async def _changed(
    scope: RequestScope, shown: Resource, current: Object, body: Object | None, patch_kind: str
) -> Object:
    """The Scale that was sent, or that a patch makes of the present one, with its managers."""
    ctx, info = scope.ctx, scope.ctx.info
    if body is not None:
        wanted: Object = copy(body)  # plugins change it, and a retry starts from what was sent
    else:
        sent = ctx.request.body
        wanted = await decode_on(
            ctx, patch_kind, patch.patched, ctx, shown, scope.params, patch_kind, current, sent
        )
        match_namespace(ctx, scope.resource, wanted)
        match_name(wanted, info.name, info.namespace)
    assert shown.type_of is not None
    await scope.context.work.run(
        managed.update,
        current,
        wanted,
        type=shown.type_of(),
        manager=scope.write.manager,
        api_version=shown.api_version,
        subresource="scale",
        now=scope.context.now,
    )
    return wanted


async def _applied(scope: RequestScope, sub: Subresource, shown: Resource, current: Object) -> Object:
    """The present Scale with the applied one merged into it, and its managers."""
    ctx, params = scope.ctx, scope.params
    assert shown.type_of is not None
    sent = await patch.read_config(ctx)
    wanted: Object = await scope.context.work.run(
        apply.apply,
        current,
        sent.value,
        type=shown.type_of(),
        manager=params.field_manager,
        force=params.force,
        api_version=shown.api_version,
        kind=shown.kind,
        subresource=sub.name,
        now=scope.context.now,
    )
    patch.check_repeated(ctx, params, sent)
    match_namespace(ctx, scope.resource, wanted)
    match_name(wanted, ctx.info.name, ctx.info.namespace)
    return wanted


def _laid_in(scope: RequestScope, sub: Subresource, live: Object, wanted: Object) -> Object:
    """The workload with a Scale laid into it; Invalid, Conflict."""
    assert sub.write is not None
    if sub.validate is not None:
        errs = Errors()
        meta.validate_create(wanted, namespaced=True, name_check=names.dns_subdomain, errs=errs)
        meta.validate_finalizer_names(wanted, errs)
        sub.validate(wanted, errs)
        errs.raise_if_any(sub.group, sub.kind, wanted["metadata"].get("name", ""))
    _check_uid(scope.resource, wanted, live)
    obj = decode_again(live)
    sub.write(obj, wanted)
    metadata = obj["metadata"]
    version = wanted["metadata"].get("resourceVersion")
    if version:  # only what was sent is a precondition
        metadata["resourceVersion"] = version
    before, after = metadata.pop("managedFields", None), wanted["metadata"].get("managedFields")
    if owners := managed_scale.to_object(before, after, sub.replicas, scope.resource.api_version):
        metadata["managedFields"] = owners
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
    """A copy of the object whose members may be changed by a Scale."""
    out = {**obj, "metadata": dict(obj["metadata"])}
    if isinstance(obj.get("spec"), dict):
        out["spec"] = dict(obj["spec"])
    return out
