"""Which verb answers a routed request; 404 and 405 for those that none answers."""

from collections.abc import Awaitable, Callable

from pilothouse import errors
from pilothouse.api.identity import RequestInfo
from pilothouse.endpoints import (
    aggregator,
    create,
    delete,
    get,
    negotiation,
    patch,
    proxy,
    subresources,
    update,
)
from pilothouse.endpoints import (
    list as list_verb,
)
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.discovery import Discovery, page_not_found
from pilothouse.endpoints.nonresource import NonResource
from pilothouse.endpoints.params import first
from pilothouse.endpoints.response import Responder
from pilothouse.endpoints.verbs import Verbs
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.consistent import ConsistentReads
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import unavailable
from pilothouse.registry.strategy import Raced
from pilothouse.server.request import Response
from pilothouse.storage.interface import Behind

Answer = Awaitable[Response]
Handler = Callable[[Verbs, Context, Resource], Answer]

COLLECTION: dict[str, tuple[str, Handler]] = {
    "GET": ("list", list_verb.handle),
    "POST": ("create", create.handle),
    "DELETE": ("deletecollection", delete.handle_collection),
}
OBJECT: dict[str, tuple[str, Handler]] = {
    "GET": ("get", get.handle),
    "PUT": ("update", update.handle),
    "PATCH": ("patch", patch.handle),
    "DELETE": ("delete", delete.handle),
}


FROM_STORE = ("", "status", "scale")
"""Subresources that can be read without the cache."""


ATTEMPTS = 64
"""Times that a write is made anew when another server was faster."""


class Dispatcher:
    """Hands a request to discovery, to the paths that are no resources, or to the verb of a resource."""

    def __init__(
        self,
        verbs: Verbs,
        catalog: Catalog,
        discovery: Discovery,
        nonresource: NonResource,
        responder: Responder,
        consistent: ConsistentReads | None = None,
    ) -> None:
        """`consistent` makes the caches as new as the store, None where they always are."""
        self.verbs = verbs
        self.catalog = catalog
        self.discovery = discovery
        self.nonresource = nonresource
        self.responder = responder
        self.consistent = consistent

    async def dispatch(self, ctx: Context) -> Response:
        """The answer of the verb, the discovery document or the path that a request is about."""
        info = ctx.info
        if self.catalog.backends:
            backend = self.catalog.backends.get(aggregator.version_of(info.path))
            if backend is not None:
                return await aggregator.handle(self.verbs, ctx, backend)
        if not info.is_resource:
            return await self._path(ctx)
        resource = self.catalog.get(info.group, info.version, info.resource)
        if resource is None:
            return self._unknown(ctx)
        ctx.resource = resource
        if info.path.startswith("//"):
            return page_not_found()
        if info.verb == "proxy":  # a path of old: the right to it is none to read or write the object
            raise not_supported(resource, "proxy") if resource.list_items_typed else unknown()
        if resource.list_items_typed:
            if not _custom_shape(resource, info):
                return page_not_found()
        else:
            self._check_shape(resource, info)
        consistent = self.consistent
        if consistent is not None and not resource.virtual and self._needs_newest(ctx):
            return await self._after(consistent, ctx, resource)
        return await self._resource(ctx, resource)

    def _resource(self, ctx: Context, resource: Resource) -> Answer:
        return self._subresource(ctx, resource) if ctx.info.subresource else self._verb(ctx, resource)

    async def _after(self, consistent: ConsistentReads, ctx: Context, resource: Resource) -> Response:
        """Answer once the cache is as new as the store was when the request came; a read that waits too long for that
        reads the store."""
        info = ctx.info
        fallback = not await consistent.catch_up()
        if fallback:
            if info.verb not in ("get", "list", "watch") or info.subresource not in FROM_STORE:
                raise unavailable(Behind("the cache does not keep up with the store"))
            ctx.behind = True
        counted = info.verb in ("get", "list") and ctx.query.keys().isdisjoint(
            ("resourceVersion", "continue")
        )
        success = False
        try:
            response = await self._resource(ctx, resource)
            success = True
            return response
        except errors.NotFound:
            success = True
            raise
        finally:
            if counted:
                consistent.count(resource, fallback=fallback, success=success)

    def _needs_newest(self, ctx: Context) -> bool:
        """Every write, and reads unless they ask for any version, or for one that is in the cache already."""
        if ctx.request.method not in ("GET", "HEAD"):
            return True
        asked = first(ctx.query, "resourceVersion") if ctx.query else ""
        if not asked.isascii() or not asked.isdigit() or "continue" in ctx.query:
            return True
        return int(asked) > self.verbs.store.cacher.revision

    async def _path(self, ctx: Context) -> Response:
        request, path = ctx.request, ctx.info.path
        answer = self.discovery.handle(request, path)
        if answer is None:
            answer = await self.nonresource.handle(request, path)
        return answer if answer is not None else page_not_found()

    def _unknown(self, ctx: Context) -> Response:
        return self.discovery.missing(ctx.info.group, ctx.info.version)

    def _check_shape(self, resource: Resource, info: RequestInfo) -> None:
        """Paths that name a resource in the wrong scope, or go on behind it, do not exist."""
        if info.parts[0] != "namespaces" or len(info.parts) == 1:
            if not resource.namespaced and info.namespace:
                raise unknown()
        if resource.namespaced and not info.namespace and info.name:
            raise unknown()
        if info.verb == "watch" and len(info.parts) > 2:
            raise unknown()
        if "" in info.parts or (len(info.parts) > 3 and info.subresource != "proxy"):
            raise unknown()

    def _verb(self, ctx: Context, resource: Resource) -> Answer:
        info, method = ctx.info, ctx.request.method
        if info.verb == "watch" and info.path.split("/", 5).count("watch"):
            return list_verb.handle_deprecated_watch(self.verbs, ctx, resource)
        table = OBJECT if info.name else COLLECTION
        if resource.list_items_typed:
            table = _custom_table(info, method, table)
        if info.name and not any(verb in resource.verbs for verb, _ in OBJECT.values()):
            raise unknown()
        found = table.get(method)
        if found is None or (found[0] not in resource.verbs and not resource.list_items_typed):
            raise not_allowed()  # a custom resource on its way out only says that it has fewer verbs
        if resource.namespaced and not info.namespace and method != "GET":
            raise not_allowed()
        if resource.deprecated:
            ctx.warn(resource.deprecated)
        negotiation_for(ctx, resource)
        if resource.virtual:
            return subresources.virtual(self.verbs, ctx, resource)
        if resource.strategy.claim is not None and method != "GET":
            return self._until_first(found[1], ctx, resource)
        return found[1](self.verbs, ctx, resource)

    async def _until_first(self, handler: Handler, ctx: Context, resource: Resource) -> Response:
        """A write whose hooks choose things: made anew while other servers take what was chosen."""
        for attempt in range(ATTEMPTS):
            try:
                return await handler(self.verbs, ctx, resource)
            except Raced:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _subresource(self, ctx: Context, resource: Resource) -> Answer:
        info = ctx.info
        sub = resource.subresources.get(info.subresource)
        if sub is None:
            if resource.list_items_typed:
                raise errors.not_found(resource.group, resource.plural, info.name)
            raise unknown()
        ctx.subresource = sub
        if sub.name in proxy.STREAMS:
            return proxy.handle(self.verbs, ctx, resource, sub)
        verb = {"GET": "get", "PUT": "update", "PATCH": "patch", "POST": "create", "DELETE": "delete"}.get(
            ctx.request.method
        )
        if verb is None or verb not in sub.verbs:
            raise not_supported(resource, info.verb) if resource.list_items_typed else not_allowed()
        negotiation_for(ctx, resource, tables=sub.strategy is not None)
        if sub.strategy is None:
            return subresources.handle(self.verbs, ctx, resource, sub)
        return OBJECT[ctx.request.method][1](self.verbs, ctx, resource)


def _custom_table(
    info: RequestInfo, method: str, table: dict[str, tuple[str, Handler]]
) -> dict[str, tuple[str, Handler]]:
    """Custom resources are routed by verb alone: a name is not looked at by POST, and missed by PUT and PATCH."""
    if method == "POST":
        return COLLECTION
    if method in ("PUT", "PATCH") and not info.name:
        raise errors.BadRequest("name must be provided")
    return table


def _custom_shape(resource: Resource, info: RequestInfo) -> bool:
    """Whether a path names a custom resource in its scope; only lists and watches go across namespaces."""
    if not resource.namespaced:
        return not info.namespace
    return bool(info.namespace) or info.verb in ("list", "watch")


def negotiation_for(ctx: Context, resource: Resource, *, tables: bool = True) -> None:
    """Agree on the form of the answer, as the router and the handler of upstream do in turn."""
    accept = ctx.request.headers.get("accept")
    if not accept or accept == negotiation.JSON:
        ctx.media = negotiation.PLAIN_JSON
        return
    if not resource.list_items_typed:
        collection = not ctx.info.name and ctx.request.method == "GET"
        negotiation.acceptable(accept, negotiation.LIST_PRODUCES if collection else negotiation.PRODUCES)
    ctx.media = negotiation.negotiate(
        accept,
        stream=ctx.info.verb == "watch",
        tables=tables and resource.verbs != ("create",),
        custom=resource.list_items_typed,
    )


def unknown() -> errors.NotFound:
    """The 404 of a path inside a group that is served."""
    return errors.NotFound("the server could not find the requested resource", details={})


def not_supported(resource: Resource, verb: str) -> errors.MethodNotAllowed:
    """The 405 of a custom resource, which names it."""
    return errors.MethodNotAllowed(
        f'{verb} is not supported on resources of kind "{resource.group_resource}"',
        details={"group": resource.group, "kind": resource.plural},
    )


def not_allowed() -> errors.MethodNotAllowed:
    """The 405 of a method that a resource does not have."""
    return errors.MethodNotAllowed(
        "the server does not allow this method on the requested resource", details={}
    )
