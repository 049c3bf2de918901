"""The parts that the verbs of a server share,
and the scope of one write request (apiserver handlers RequestScope)."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING

from pilothouse.api import meta
from pilothouse.api.values.equality import identity
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes
from pilothouse.authn.serviceaccount import TokenIssuer
from pilothouse.authz.authorizer import Authorizer, forbidden, undecided
from pilothouse.authz.escalation import Escalation
from pilothouse.endpoints.answers.response import Responder
from pilothouse.endpoints.objects.standing import Standing
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.deadlines import Deadlines
from pilothouse.endpoints.request.metrics import WatchMetrics
from pilothouse.endpoints.request.params import WriteParams
from pilothouse.flowcontrol.width import Widths
from pilothouse.offload import Offload
from pilothouse.process.record import record
from pilothouse.registry.admission import Admission
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import Store
from pilothouse.registry.strategy import HookServices, Strategy, WriteContext
from pilothouse.registry.timeline import Timeline
from pilothouse.registry.write import Write, Written
from pilothouse.server.request import Response

if TYPE_CHECKING:
    from pilothouse.history.history import History

MANAGER_LIMIT = 128

FORWARDED_LIMIT = 1024
"""Characters of an X-Forwarded-For that a history keeps the addresses of."""

AGENT_LIMIT = 4096
"""Characters of a user agent among which the printable ones of a field manager are looked for."""


@record(eq=False)
class Verbs:
    """The parts of one server that its verbs on objects work with."""

    store: Store
    catalog: Catalog
    readers: Readers
    admission: Admission
    authorizer: Authorizer
    responder: Responder
    widths: Widths
    """How many seats lists need, learned from what they return."""
    services: HookServices
    """The services that the hooks of a write find in WriteContext.services."""
    escalation: Escalation
    offload: Offload
    watch_metrics: WatchMetrics
    issuer: TokenIssuer | None = None
    """Signs the tokens of service accounts; None in a server without a signing key."""
    explained: bool = True
    """Whether writes are noted, for the journal."""
    watch_timeout: float = 1800.0
    most_unpaged: int = 0
    """Bytes above which a list without a limit is refused; 0: none is."""
    watch_ends: Deadlines = field(default_factory=Deadlines)
    standing: Standing | None = None
    """Follows open requests; None where no option asks for it."""
    now: Callable[[], str] = meta.now
    """The time, as objects have it."""
    history: "History | None" = None
    """The history of objects; None where none is kept."""
    sandboxes: bool = False
    """Whether proxied pages that a browser opens by certificate are none of this server's origin."""


class RequestScope:
    """The write of one request, and what the query, the user and the headers add to it.

    name: of the object, "" where the body has it (a create).
    """

    __slots__ = ("context", "ctx", "params", "resource", "verbs", "write")

    def __init__(
        self,
        verbs: Verbs,
        ctx: Context,
        resource: Resource,
        params: WriteParams,
        name: str,
        *,
        view: Callable[[Object], Object] | None = None,
    ) -> None:
        info, strategy = ctx.info, strategy_of(ctx, resource)
        context = WriteContext(ctx.user, info.verb, resource)  # PERF: to name all members here is dear
        if resource.namespaced:
            context.namespace = info.namespace
        context.name, context.subresource = name, info.subresource
        context.dry_run, context.now = params.dry_run, verbs.now()
        context.readers, context.services, context.work = verbs.readers, verbs.services, ctx.work
        if strategy.permit_update:
            context.refusal = partial(_refusal, verbs.authorizer, ctx, resource)
        if verbs.explained:
            context.timeline = timeline_of(ctx)
        if verbs.store.author is not None:
            context.origin = ctx.audit_id, _sources(ctx)
        manager = "" if info.verb.startswith("delete") else manager_name(ctx, params)
        self.write = write = Write(verbs.store, resource, context, verbs.admission, strategy, manager)
        write.view, write.options = view, params.options()
        self.verbs = verbs
        self.ctx = ctx
        self.resource = resource
        self.params = params
        self.context = context
        attributes = write.attributes
        attributes.deadline = lambda: ctx.deadline
        ctx.admission = attributes
        if ctx.audit is not None:
            ctx.audit.share(context.annotations)
            if ctx.audit.request_wanted:
                ctx.audit.share(attributes.request_annotations)

    async def check(self, obj: Object, old: Object | None) -> None:
        """Refuse an object that grants more than the user holds;
        drop owners that admission has named twice."""
        resource, info, work = self.resource, self.ctx.info, self.context.work
        if resource.escalation_checked:
            await self.verbs.escalation.check(
                self.ctx.user, resource.plural, info.namespace, info.name, obj=obj, old=old, work=work
            )
        if obj["metadata"].get("ownerReferences"):
            await self.dedupe_owners(obj, after_admission=True)

    async def dedupe_owners(self, obj: Object, *, after_admission: bool) -> None:
        """Drop owner references that occur twice, with a warning."""
        work = self.context.work
        if work.bytes:
            await work.run(dedupe_owners, self.ctx, obj, after_admission)
        else:
            dedupe_owners(self.ctx, obj, after_admission)

    async def edit(
        self,
        change: Callable[[Object | None], Awaitable[Object]],
        *,
        uid: str = "",
        allow_create: bool = False,
    ) -> Written:
        """Write what `change` makes of the live object; both are in the request's version (PUT and PATCH).

        `change` only reads what it is given, and may be called several times.
        """
        write = self.write

        async def make(live: Object | None) -> Object:
            current = await write.presented(live) if live is not None else None
            obj = await write.admit(await change(current), current)
            await self.check(obj, current)
            return obj

        try:
            return await write.update(
                make,
                uid=uid,
                make_from_old=write.shows_rules_form,
                allow_create=allow_create,
                authorize_create=self.authorize_create,
            )
        finally:
            self.warn()

    async def authorize_create(self) -> None:
        """A PUT or apply that creates needs the right to create as well (handlers withAuthorization)."""
        info = self.ctx.info
        attributes = _right(
            self.ctx, self.resource, "create", info.subresource, info.namespace, self.context.name
        )
        decision = await self.verbs.authorizer.authorize(attributes)
        if decision.error and not decision.allowed:
            raise undecided(self.ctx.request.target, decision)
        if not decision.allowed:
            raise forbidden(attributes, decision.reason)

    def warn(self) -> None:
        """Hand the warnings of hooks and plugins to the answer."""
        for text in self.context.warnings:
            self.ctx.warn(text)

    def answer(self, written: Written) -> Awaitable[Response]:
        """The answer that shows what was written."""
        status = 201 if written.created else 200
        return self.verbs.responder.answer(self.ctx, self.resource, written.value, status)


def _sources(ctx: Context) -> tuple[str, str, str]:
    """The texts that say where a request came from. Those that a client may have made long are not read."""
    headers = ctx.request.headers
    forwarded, real = headers.get("x-forwarded-for", ""), headers.get("x-real-ip", "")
    if len(forwarded) + len(real) > FORWARDED_LIMIT:
        forwarded = real = ""
    return forwarded, real, ctx.request.peer[0]


def timeline_of(ctx: Context) -> Timeline:
    """Where the writes of a request are noted: one for all objects of a deletecollection."""
    if ctx.timeline is None:
        ctx.timeline = Timeline()
        ctx.timeline.mark("body")
    return ctx.timeline


def _right(
    ctx: Context, resource: Resource, verb: str, subresource: str, namespace: str, name: str
) -> AuthorizationAttributes:
    group, version, plural = resource.group, resource.version, resource.plural
    return AuthorizationAttributes(
        ctx.user,
        verb,
        ctx.info.path,
        is_resource=True,
        group=group,
        version=version,
        resource=plural,
        subresource=subresource,
        namespace=namespace,
        name=name,
    )


async def _refusal(
    authorizer: Authorizer,
    ctx: Context,
    resource: Resource,
    verb: str,
    subresource: str,
    namespace: str,
    name: str,
) -> str:
    """The message of a 403 for this right (WriteContext.refusal)."""
    attributes = _right(ctx, resource, verb, subresource, namespace, name)
    decision = await authorizer.authorize(attributes)
    if decision.allowed:
        return ""
    return forbidden(attributes, ": ".join(filter(None, (decision.error, decision.reason)))).message


def strategy_of(ctx: Context, resource: Resource) -> Strategy:
    """The rules in force: the subresource's when the request goes to one."""
    sub = ctx.subresource
    return sub.strategy if sub is not None and sub.strategy is not None else resource.strategy


def manager_name(ctx: Context, params: WriteParams) -> str:
    """The field manager: the parameter, else the product name of the user agent, printable and bounded."""
    if params.field_manager:
        return params.field_manager
    product = ctx.request.headers.get("user-agent", "")[:AGENT_LIMIT].partition("/")[0]
    if product.isascii() and product.isprintable() and len(product) <= MANAGER_LIMIT:  # PERF: nearly always
        return product
    out, size = [], 0
    for char in product:
        if not char.isprintable():
            continue
        size += len(char.encode())
        if size > MANAGER_LIMIT:
            break
        out.append(char)
    return "".join(out)


def dedupe_owners(ctx: Context, obj: Object, after_admission: bool) -> None:
    """Drop owner references that occur twice, with a warning."""
    refs = obj["metadata"].get("ownerReferences")
    if not refs or len(refs) < 2:
        return
    kept: dict[Hashable, Object] = {}
    doubles: list[str] = []
    for ref in refs:
        same = identity(ref)
        if same in kept:
            doubles.append(ref.get("uid", ""))
        else:
            kept[same] = ref
    if doubles:
        when = " after mutating admission happens" if after_admission else ""
        ctx.warn(
            f".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references"
            " in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate"
            " UID(s) observed: " + ", ".join(doubles)
        )
        obj["metadata"]["ownerReferences"] = list(kept.values())
