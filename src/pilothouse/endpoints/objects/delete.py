"""DELETE of one object and of a collection."""

import asyncio
from collections.abc import Awaitable, Container

from pilothouse import errors
from pilothouse.api import codec
from pilothouse.api.types import schema, scheme
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.objects import past
from pilothouse.endpoints.objects.body import decode_on, media_of
from pilothouse.endpoints.objects.scope import RequestScope, Verbs
from pilothouse.endpoints.objects.selection import select
from pilothouse.endpoints.request import params as options_of
from pilothouse.endpoints.request import refusals
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import WriteParams
from pilothouse.logs import Logger
from pilothouse.registry import deletion
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response
from pilothouse.waiting import in_task

log = Logger(__name__)

KIND = ("meta.k8s.io", "v1", "DeleteOptions")
_OPTIONS_SCHEME = "pkg/apis/meta/internalversion/scheme/register.go:27"
_IN_EVERY_VERSION = frozenset(
    ("CreateOptions", "UpdateOptions", "Status", "APIVersions", "APIGroup", "APIGroupList", "APIResourceList")
)
"""Kinds beside DeleteOptions that the scheme for options has in all group versions (AddUnversionedTypes)."""
_IN_ITS_OWN = frozenset(
    (
        *("GetOptions", "ListOptions", "PatchOptions", "TableOptions"),
        *("PartialObjectMetadata", "PartialObjectMetadataList", "Table", "WatchEvent"),
    )
)
"""Kinds that it has in meta.k8s.io/v1."""

CONVERSION_SECONDS = 5.0
"""How long the answer to a delete waits for the conversion of what it shows."""


class _EveryVersion(Container[tuple[str, str]]):
    """All group versions: the kind DeleteOptions is registered without one."""

    def __contains__(self, version: object) -> bool:
        return True


def _kind_fault(kind: scheme.GroupVersionKind) -> str:
    """The fault of the kind of a body: only DeleteOptions are options of a delete."""
    group, version, name = kind
    if name == KIND[2]:
        return ""
    if name in _IN_EVERY_VERSION or ((group, version) == KIND[:2] and name in _IN_ITS_OWN):
        return f"converting (v1.{name}) to (v1.{KIND[2]}): unknown conversion"
    return scheme.not_in_scheme(_OPTIONS_SCHEME, *kind)


async def delete_options(ctx: Context) -> Object:
    """DeleteOptions out of the body, or out of the query when there is none; checked."""
    request = ctx.request
    if request.body:
        media = media_of(ctx)
        options = await decode_on(ctx, media, decode_options, request.body, media)
        if ctx.audit is not None:
            ctx.audit.request_object({"kind": KIND[2], "apiVersion": "v1", **options}, named=False)
    else:
        options = options_of.delete_from_query(ctx.query)
    options_of.check_delete(options)
    return options


def decode_options(body: bytes, content_type: str) -> Object:
    """DeleteOptions out of a body; it may name any group version."""
    try:
        options, _ = codec.decode(
            body, content_type, schema.for_kind(*KIND), KIND, accepted=_EveryVersion(), kind_fault=_kind_fault
        )
    except errors.BadRequest as err:
        raise errors.BadRequest(str(err.__cause__ or err.message)) from None
    return {k: v for k, v in options.items() if k not in ("kind", "apiVersion")}


async def handle(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """Delete one object; the answer is a Status or the object, as the kind has it."""
    options = await delete_options(ctx)
    _warn(ctx, resource, options)
    scope = _scope(verbs, ctx, resource, options, ctx.info.name)
    done = await deletion.delete(scope.write, options)
    scope.warn()
    status = 200
    if not done.gone and options.get("orphanDependents") is False:
        status = 202
    told = _success(resource, done.obj)
    if done.value is None:
        return verbs.responder.plain(ctx, told)
    return await _shown(verbs, ctx, resource, verbs.responder.answer(ctx, resource, done.value, status), told)


async def _shown(
    verbs: Verbs, ctx: Context, resource: Resource, answer: Awaitable[Response], told: Object
) -> Response:
    """The answer to a delete that was carried out, or the Status `told` where its objects cannot be shown.

    A converter that does not work must not make a delete fail; upstream's fails.
    """
    waits = verbs.responder.waits(ctx, resource)
    failed = (errors.StatusError, TimeoutError) if waits else (errors.InternalError,)
    try:
        if not waits:
            return await answer
        await in_task()
        async with asyncio.timeout(CONVERSION_SECONDS):
            return await answer
    except failed as err:
        name = resource.group_resource
        log.warning("The answer to a delete does not show what was deleted", resource=name, err=str(err))
        return verbs.responder.plain(ctx, told)


def _warn(ctx: Context, resource: Resource, options: Object) -> None:
    if resource.strategy.delete_warnings is not None:
        for text in resource.strategy.delete_warnings(options):
            ctx.warn(text)


def _scope(verbs: Verbs, ctx: Context, resource: Resource, options: Object, name: str) -> RequestScope:
    params = WriteParams(dry_run=bool(options.get("dryRun")))
    return RequestScope(verbs, ctx, resource, params, name)


def _success(resource: Resource, obj: Object) -> Object:
    details = {"name": obj["metadata"]["name"]}
    if resource.group:
        details["group"] = resource.group
    details["kind"] = resource.plural  # upstream names the resource here
    details["uid"] = obj["metadata"]["uid"]
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


async def handle_collection(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """Delete all that the list options select; the answer is the list as it was before."""
    info = ctx.info
    if resource.namespaced and not info.namespace:
        if info.unnamed_namespace:
            raise errors.BadRequest("Namespace parameter required.")
        raise refusals.method_not_allowed()
    query = select(verbs, ctx, resource)
    if verbs.history is not None:
        await past.check_list(verbs, ctx, query)
    options = await delete_options(ctx)
    _warn(ctx, resource, options)
    listing = await query.read()
    rest = query.rest(listing)
    names = (entry.key.rpartition("/")[2] for entry in listing.entries)
    scopes = [_scope(verbs, ctx, resource, options, name) for name in names]
    for scope in scopes:
        scope.write.attributes.name = ""  # plugins are told what the request names, and it names no object
    await deletion.delete_collection([scope.write for scope in scopes], options)
    for scope in scopes:
        scope.warn()
    if verbs.responder.waits(ctx, resource):
        answer = verbs.responder.converted_list(ctx, resource, listing.entries, listing.revision, *rest)
        return await _shown(verbs, ctx, resource, answer, _all_deleted(resource))
    return verbs.responder.list(ctx, resource, listing.entries, listing.revision, *rest)


def _all_deleted(resource: Resource) -> Object:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return {**status, "details": {"group": resource.group, "kind": resource.kind}, "code": 200}
