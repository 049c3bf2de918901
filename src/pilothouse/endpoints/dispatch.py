"""Dispatches a resource request to the function of its verb; 404 and 405 where there is none."""

from collections.abc import Awaitable, Callable

from pilothouse import errors
from pilothouse.api.values.identity import RequestInfo
from pilothouse.endpoints.actions import subresources
from pilothouse.endpoints.actions.parts import Actions
from pilothouse.endpoints.answers.response import Responder
from pilothouse.endpoints.documents.discovery import Discovery
from pilothouse.endpoints.documents.nonresource import NonResource
from pilothouse.endpoints.objects import create, delete, get, patch, update, watch
from pilothouse.endpoints.objects import (
    list as list_verb,
)
from pilothouse.endpoints.objects.scope import Verbs
from pilothouse.endpoints.request import refusals
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.negotiation import negotiation_for, pass_router
from pilothouse.endpoints.request.params import first
from pilothouse.endpoints.streams.aggregator import Aggregator
from pilothouse.endpoints.streams.parts import Streams
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.consistent import ConsistentReads
from pilothouse.registry.resource import Action, Resource, Subresource
from pilothouse.registry.storage_errors import unavailable
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
OBJECT_VERBS = frozenset(verb for verb, _ in OBJECT.values())

ATTEMPTS = 64
"""How often a write is tried while other servers claim the same IP address or port."""


class Dispatcher:
    """Hands a request to discovery, to the paths that are no resources, or to the verb of a resource."""

    def __init__(
        self,
        verbs: Verbs,
        streams: Streams,
        actions: Actions,
        catalog: Catalog,
        discovery: Discovery,
        nonresource: NonResource,
        responder: Responder,
        aggregator: Aggregator,
        consistent: ConsistentReads | None = None,
    ) -> None:
        """`consistent` makes the caches as new as the store, None where they always are."""
        self.verbs = verbs
        self.streams = streams
        self.actions = actions
        self.catalog = catalog
        self.discovery = discovery
        self.nonresource = nonresource
        self.responder = responder
        self.aggregator = aggregator
        self.consistent = consistent

    def dispatch(self, ctx: Context) -> Answer:
        """The answer of the verb, the discovery document or the path that a request is about."""
        info = ctx.info
        if self.catalog.backends:
            backend = self.catalog.backends.get(self.aggregator.version_of(info.path))
            if backend is not None:
                return self.aggregator.handle(ctx, backend)
        if not info.is_resource:
            return self._path(ctx)
        if info.path.startswith(("//", "/apis//")):
            return _at_once(refusals.page_not_found())
        resource = self.catalog.get(info.group, info.version, info.resource)
        if resource is None:
            return _at_once(self.discovery.missing(info.group, info.version))
        ctx.resource = resource
        if ctx.spans is not None:
            ctx.spans.dispatched()
        if info.verb == "proxy":
            raise refusals.proxy_of_old(resource)
        if not resource.conventions.path_exists(info, resource.namespaced):
            return _at_once(refusals.outside(resource))
        consistent = self.consistent
        if consistent is not None and not resource.virtual and self._needs_newest(ctx):
            return self._after(consistent, ctx, resource)
        return self._resource(ctx, resource)

    def _resource(self, ctx: Context, resource: Resource) -> Answer:
        return self._subresource(ctx, resource) if ctx.info.subresource else self._verb(ctx, resource)

    async def _after(self, consistent: ConsistentReads, ctx: Context, resource: Resource) -> Response:
        """Answer once the watch cache has the store's revision;
        a read that would wait too long reads the store."""
        info = ctx.info
        fallback = not await consistent.catch_up(resource)
        if fallback:
            if info.verb not in ("get", "list", "watch") or not _reads_object(resource, info.subresource):
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
        audit = ctx.audit
        if audit is not None and audit.response_wanted and answer is not None and answer.status == 200:
            audit.shows_body()
        if answer is None:
            answer = await self.nonresource.handle(request, path)
        return answer if answer is not None else refusals.page_not_found()

    def _verb(self, ctx: Context, resource: Resource) -> Answer:
        info, method = ctx.info, ctx.request.method
        if info.verb == "watch" and info.path.split("/", 5).count("watch"):
            return watch.handle_deprecated(self.verbs, ctx, resource)
        routed = resource.conventions.routed
        table = OBJECT if info.name else COLLECTION
        if not routed:
            if resource.deprecated:
                ctx.warn(resource.deprecated)
            table = _unrouted(info, method, table)
        if info.name and OBJECT_VERBS.isdisjoint(resource.verbs):
            raise refusals.path_not_found()
        found = table.get(method)
        if found is None or (routed and found[0] not in resource.verbs):
            raise refusals.method_not_allowed()  # one handler serves all verbs, whatever discovery says
        if resource.namespaced and method != "GET" and not (info.namespace or info.unnamed_namespace):
            raise refusals.method_not_allowed()
        _route(ctx, resource)
        negotiation_for(ctx, resource)
        if resource.action is not None:
            return subresources.virtual(self.actions, ctx, resource)
        if resource.strategy.claim is not None and method != "GET":
            return self._retried(found[1], ctx, resource)
        ctx.handler = found[1]
        return found[1](self.verbs, ctx, resource)

    async def _retried(self, handler: Handler, ctx: Context, resource: Resource) -> Response:
        """Retry a write whose hooks choose an address or a port while other servers claim what was chosen."""
        for attempt in range(ATTEMPTS):
            try:
                return await handler(self.verbs, ctx, resource)
            except Raced:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _subresource(self, ctx: Context, resource: Resource) -> Answer:
        info = ctx.info
        if resource.deprecated and not resource.conventions.routed:
            ctx.warn(resource.deprecated)
        sub = resource.subresources.get(info.subresource)
        if sub is None:
            raise refusals.unknown_subresource(resource, info.name)
        ctx.subresource = sub
        if not info.name and resource.conventions.routed:
            raise errors.BadRequest("name must be provided")
        if sub.action in STREAMED:
            return self._stream(ctx, resource, sub)
        verb = {"GET": "get", "PUT": "update", "PATCH": "patch", "POST": "create", "DELETE": "delete"}.get(
            ctx.request.method
        )
        if verb is None or verb not in sub.verbs:
            raise refusals.subresource_verb(resource, info.verb)
        _route(ctx, resource)
        negotiation_for(ctx, resource, tables=sub.tables and sub.action is None)
        if sub.strategy is None:
            return subresources.handle(self.actions, ctx, resource, sub)
        ctx.handler = handler = OBJECT[ctx.request.method][1]
        return handler(self.verbs, ctx, resource)

    def _stream(self, ctx: Context, resource: Resource, sub: Subresource) -> Answer:
        from pilothouse.endpoints.streams import connect, podlog

        if sub.action is Action.LOG:
            return podlog.handle(self.streams, ctx, resource)
        return connect.handle(self.streams, ctx, resource, sub)


STREAMED = frozenset(
    (
        Action.LOG,
        Action.EXEC,
        Action.ATTACH,
        Action.PORT_FORWARD,
        Action.PROXY_NODE,
        Action.PROXY_POD,
        Action.PROXY_SERVICE,
    )
)
"""The actions that lead to a kubelet, a pod or a service: the first of them imports the modules."""


async def _at_once(response: Response) -> Response:
    """An answer for which nobody has to wait."""
    return response


def _route(ctx: Context, resource: Resource) -> None:
    """The router's check of a patch's media type, then that of `Accept`;
    UnsupportedMediaType, NotAcceptable."""
    if not resource.conventions.routed:
        return
    if ctx.request.method == "PATCH":
        patch.patch_type(ctx, resource)
    pass_router(ctx, resource)


def _reads_object(resource: Resource, subresource: str) -> bool:
    """Whether a read shows the object or a view of it, which can come from the store itself."""
    sub = resource.subresources.get(subresource)
    return sub.action is None if sub is not None else not subresource


def _unrouted(
    info: RequestInfo, method: str, table: dict[str, tuple[str, Handler]]
) -> dict[str, tuple[str, Handler]]:
    """The handlers to choose from by the verb alone: POST does not look at a name, PUT and PATCH miss it."""
    if method == "POST":
        return COLLECTION
    if method in ("PUT", "PATCH") and not info.name:
        raise errors.BadRequest("name must be provided")
    return table
