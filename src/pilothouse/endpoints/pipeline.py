"""The stages of every request, top to bottom, in the order of kube-apiserver's handler chain.

`Pipeline.handle` reads what a request is about, then runs the coroutine `_serve` up to its first wait. Nearly
every read never waits, so it is answered inside the parser's callback; the rest goes on as a task
(`pilothouse.waiting`). When the answer has been sent,
or the client has left without one, the last stage runs (`_end`).
"""

import asyncio
import random
import time
from collections.abc import Awaitable
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import Any, Literal, overload

from pilothouse import _requestinfo as requestinfo
from pilothouse import errors, logs, spans, waiting
from pilothouse.api.meta import new_uid
from pilothouse.api.values import names
from pilothouse.api.values.duration import go_duration
from pilothouse.api.values.identity import ANONYMOUS, AuthorizationAttributes, RequestInfo
from pilothouse.api.values.selectors import field_terms
from pilothouse.audit.auditor import Auditor
from pilothouse.authn.authenticator import Authenticator
from pilothouse.authn.impersonation import Impersonation
from pilothouse.authn.metrics import AuthenticationMetrics
from pilothouse.authz.authorizer import Authorizer, Decision, forbidden, undecided
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.endpoints.answers.response import Responder
from pilothouse.endpoints.dispatch import Dispatcher
from pilothouse.endpoints.documents.console import PATH as CONSOLE
from pilothouse.endpoints.documents.console import Console
from pilothouse.endpoints.journal.journal import Journal
from pilothouse.endpoints.journal.tracing import Tracing
from pilothouse.endpoints.objects.standing import Standing
from pilothouse.endpoints.request import browsers
from pilothouse.endpoints.request.context import Context, Refusal
from pilothouse.endpoints.request.edges import Edges
from pilothouse.endpoints.request.metrics import FilterMetrics, RequestMetrics
from pilothouse.endpoints.request.params import Query, first
from pilothouse.endpoints.request.permitted import Finder, told
from pilothouse.flowcontrol.gate import LONGEST_WAIT, MASTERS, Gate, seated
from pilothouse.flowcontrol.levels import EXEMPT
from pilothouse.flowcontrol.memory import CHARGED, SMALL, Memory
from pilothouse.gotext import quote
from pilothouse.logs import Logger
from pilothouse.offload import Offload, Work
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Request, Response

log = Logger(__name__)

LONG_RUNNING_VERBS = frozenset(("watch", "proxy"))
LONG_RUNNING_SUBRESOURCES = frozenset(("attach", "exec", "log", "portforward", "proxy"))
READS = ("GET", "HEAD")
LONGEST_SELECTOR = 4096
"""Characters of a field selector in which a name is looked for before anybody is authorized."""
SELECTOR_VERBS = frozenset(("list", "watch", "deletecollection"))


@dataclass(slots=True)
class Stages:
    """The stages through which the pipeline leads a request; built once by assembly/handlers.py."""

    authenticator: Authenticator
    impersonation: Impersonation
    gate: Gate
    authorizer: Authorizer
    dispatcher: Dispatcher
    responder: Responder
    offload: Offload
    metrics: RequestMetrics
    filters: FilterMetrics
    authentication: AuthenticationMetrics
    authorization: AuthorizationMetrics
    audit: Auditor | None = None
    """The auditor; None: nothing is recorded."""
    journal: Journal | None = None
    """Keeps what is known of the latest requests; None: nobody can ask for it."""
    finder: Finder | None = None
    """Finds the namespaces in which a list or a watch is allowed; None: it is refused as a whole."""
    memory: Memory | None = None
    """The limit that has requests wait for memory; None: nobody counts it."""
    standing: Standing | None = None
    """Follows open requests; None where no option asks for it."""
    console: Console | None = None
    """Answers for files that anybody may read; None where they are not served."""
    tracing: Tracing = field(default_factory=Tracing)


class _Ending:
    """`Response.on_done` of a request that runs long; smaller than a partial, which each watch would keep."""

    __slots__ = ("ctx", "pipeline")

    def __init__(self, pipeline: "Pipeline", ctx: Context) -> None:
        self.pipeline = pipeline
        self.ctx = ctx

    def __call__(self, sent: int, error: BaseException | None) -> None:
        self.pipeline._end(self.ctx, sent, error)


class Pipeline:
    """The handler that the HTTP server calls."""

    def __init__(self, stages: Stages, deadline: float = 60.0, goaway_chance: float = 0.0) -> None:
        self.stages = stages
        self._console = stages.console
        self.goaway_chance = goaway_chance
        """Share of requests after which the connection is closed, so that clients spread over servers."""
        self.deadline = deadline
        """Seconds that a request may take (--request-timeout)."""
        self.draining = False
        """Whether every answer says `Connection: close`,
        so that the load balancer sends clients elsewhere."""
        self._serving = logs.serving()
        self.edges: Edges | None = None
        """The work around every request that flags ask for; None where they ask for nothing."""

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer at once when nothing has to wait; else an awaitable of the answer."""
        if self.draining or (self.goaway_chance and random.random() < self.goaway_chance):
            request.keep_alive = False
        return self._run(request, True)

    def admit(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Judge a request by its head, before its body is read: all stages up to
        authorization. The answer refuses it, and is its end; None lets the body
        be read, after which `handle` leads the request through all stages."""
        return self._run(request, False)

    @overload
    def _run(self, request: Request, whole: Literal[True]) -> Response | Awaitable[Response]: ...
    @overload
    def _run(
        self, request: Request, whole: Literal[False]
    ) -> Response | Awaitable[Response | None] | None: ...
    def _run(self, request: Request, whole: bool) -> Any:
        if self.edges is not None:
            early = self.edges.early(request)
            if early is not None:
                return early
        audit_id = request.headers.get("audit-id") or new_uid()
        # request info: what it is about
        try:
            query = requestinfo.parse_query(request.query)
            info = requestinfo.parse(request.method, requestinfo.unescape_path(request.path), query)
        except ValueError as err:
            unread = RequestInfo(request.path, request.method.lower())
            return self._finish(Context(request, unread, {}, audit_id), _malformed(request.target, err))
        ctx = Context(request, info, query, audit_id)
        if self._console is not None and request.path.startswith(CONSOLE):  # PERF: for every request
            file = self._console.answer(request)
            if file is not None:
                return self._finish(ctx, file)
        coro = self._serve(ctx, whole)
        self._serving.audit_id = audit_id
        try:
            awaited = coro.send(None)
            context = copy_context()
        except StopIteration as done:
            return done.value
        finally:
            self._serving.audit_id = ""
            if ctx.traced is not None:
                spans.current.set(None)
        if ctx.audit is not None:
            ctx.audit.flush()
        context.run(self._tell_task, ctx)
        task = waiting.as_task(coro, awaited, context)
        self.stages.metrics.enter(ctx.info)
        self._limit(task, ctx)
        task.add_done_callback(lambda _: self.stages.metrics.leave(ctx.info))
        return task

    def _tell_task(self, ctx: Context) -> None:
        """Note, in the context of a request's task,
        which request it serves and what it tells other servers of a trace."""
        logs.audit_id.set(ctx.audit_id)
        if ctx.traced is None:
            spans.carried.set(self.stages.tracing.carried(ctx))

    async def _serve(self, ctx: Context, whole: bool) -> Response | None:
        """Lead a request through its stages; one of which only the head has come (not `whole`) up to
        authorization: None when it may go on, and then nothing may be registered that waits for its end."""
        stages, request = self.stages, ctx.request
        begun = False
        try:
            # deadline: the one that the client asks for
            if "timeout" in ctx.query and not _runs_long(ctx.info):
                _timeout(ctx.query)
            # authentication: who is asking
            user = await stages.authenticator.authenticate(request)
            if user is None:
                raise errors.Unauthorized("Unauthorized")
            known = ctx.recognised = time.perf_counter()
            if whole:
                stages.authentication.succeeded(known - ctx.started, user.name)
            ctx.user = ctx.caller = user
            if user.name != ANONYMOUS.name:
                request.caller = user.name
            # tracing: whether spans are made of it
            if whole and stages.tracing.on:
                stages.tracing.begin(ctx)
            # audit: what is recorded of it; its beginning
            attributes = attributes_of(ctx)
            if stages.audit is not None:
                begun = True
                if not await self._record(ctx, stages.audit, attributes, whole):
                    return self._not_recorded(ctx, stages.audit)
            # browsers: whether a page of another origin uses their certificate
            if self._console is not None and request.peer_certificates:
                browsers.check(request, self.edges)
            # impersonation: as whom they want to act
            if stages.impersonation.wanted(request):
                await self._impersonate(ctx, attributes)
                known = time.perf_counter()
            # flow control: room for what takes much memory, its flow schema and priority level, and seats
            # there: it may have to wait for either
            if not self._takes_seats(ctx, whole):
                await self._stand_in_line(ctx)
                known = time.perf_counter()
            # authorization: may they
            decision = await stages.authorizer.authorize(attributes)
            if not decision.allowed and stages.finder is not None and not decision.error:
                decision = await self._in_part(stages.finder, ctx, attributes, decision)
            ctx.decision, ctx.decided = decision, time.perf_counter()
            if whole:
                stages.authorization.decided(ctx.decided - known, decision)
            if ctx.audit is not None:
                ctx.audit.authorized((decision.allowed, decision.reason), ctx.decided - known)
            if not decision.allowed:
                raise undecided(request.target, decision) if decision.error else refused(attributes, decision)
            if not whole:
                return None
            # dispatch: the verb; what takes long of a write runs beside the loop
            if request.method not in READS:
                ctx.work = Work(stages.offload, ctx.user.name)
            response = await stages.dispatcher.dispatch(ctx)
        except errors.StatusError as err:
            response = self._refused(ctx, err, begun)
        except asyncio.CancelledError as err:
            response = self._timed_out(ctx, err)
        except Exception as err:
            response = self._failed(ctx, err)
        finally:
            ctx.work.leave()
        if not whole and ctx.audit is not None:
            ctx.audit.refused()
        return self._finish(ctx, response)

    async def _record(
        self, ctx: Context, auditor: Auditor, attributes: AuthorizationAttributes, whole: bool
    ) -> bool:
        """Begin what is recorded of a request;
        False when it must not go on, for its beginning cannot be recorded."""
        took = ctx.recognised - ctx.started
        ctx.audit = auditor.begin(ctx.request, ctx.user, attributes, ctx.audit_id, ctx.started, took, whole)
        if not whole:
            return True
        stored = True if ctx.audit is None else ctx.audit.received()
        if stored is not True and not (stored and await stored):
            return False
        self.stages.filters.audit.observe(time.perf_counter() - ctx.recognised)
        return True

    async def _impersonate(self, ctx: Context, attributes: AuthorizationAttributes) -> None:
        """Have the request go on as the user that its headers name; Forbidden."""
        began = time.perf_counter()
        ctx.user, constraint = await self.stages.impersonation.effective(ctx.request, attributes)
        attributes.user = ctx.user
        if ctx.user is ctx.caller:
            return
        took = time.perf_counter() - began
        ctx.acting = constraint, took
        self.stages.filters.impersonation.observe(took)
        if ctx.audit is not None:
            ctx.audit.acts_as(ctx.user, constraint)
            ctx.audit.impersonation = took

    async def _charge(self, ctx: Context, need: int) -> None:
        """Wait until there is room for so many bytes more, which are the request's until its end;
        TooManyRequests."""
        memory, user, info = self.stages.memory, ctx.user, ctx.info
        assert memory is not None
        flow = self.stages.gate.flow(user, info)
        exempt = MASTERS in user.groups or (flow is not None and flow.level.name == EXEMPT)
        try:
            await memory.enter(user.name, need, self._patience(ctx), exempt=exempt)
        except errors.TooManyRequests as err:
            ctx.resource = self.stages.gate.resource(info)
            self.stages.metrics.terminate(info, ctx.resource, err.code)
            raise
        ctx.on_end(lambda _: memory.leave(user.name, need))

    def _patience(self, ctx: Context) -> float:
        """Seconds for which a request may still wait for seats or memory:
        a quarter of its time, since it came."""
        asked = 0.0 if _runs_long(ctx.info) else _timeout(ctx.query)
        limit = min((min(asked, self.deadline) if asked > 0 else self.deadline) / 4, LONGEST_WAIT)
        return limit - (time.perf_counter() - ctx.started)

    def _takes_seats(self, ctx: Context, whole: bool) -> bool:
        """Classify a request and take seats for it: whether it may go on. One that runs long needs none, but
        a watch until it has been sent what it begins with; one of which only the head has come is not counted
        yet. One that may take much memory takes none before it has found room."""
        info = ctx.info
        memory = self.stages.memory
        size = len(ctx.request.body)
        if memory is not None and whole and ctx.charge is None and (info.verb in CHARGED or size > SMALL):
            ctx.charge = self._charge
            if memory.need(info, ctx.query, size):
                return False
        if info.verb != "watch" and _runs_long(info):
            return True
        gate = self.stages.gate
        flow = gate.flow(ctx.user, info)
        if flow is None:
            return True
        ctx.priority = flow.uids
        if not whole:
            return True
        ctx.flow = ticket = gate.enter(flow, ctx.user, info, ctx.query, size)
        return ticket.running

    async def _stand_in_line(self, ctx: Context) -> None:
        """Wait until a request has its room and its seats, for a quarter of its time; TooManyRequests."""
        memory = self.stages.memory
        if ctx.flow is None and memory is not None:
            await self._charge(ctx, memory.need(ctx.info, ctx.query, len(ctx.request.body)))
            if self._takes_seats(ctx, True):
                return
        ticket = ctx.flow
        assert ticket is not None
        if ticket.waiting:
            with self.stages.metrics.queued(ctx.info):
                await seated(ticket, self._patience(ctx))
        if ctx.audit is not None:
            ctx.audit.queued = ticket.waited
        if not ticket.running:
            ctx.resource = self.stages.gate.resource(ctx.info)
            self.stages.metrics.terminate(ctx.info, ctx.resource, errors.TooManyRequests.code)
            raise self.stages.gate.refusal(ticket)

    async def _in_part(
        self, finder: Finder, ctx: Context, attributes: AuthorizationAttributes, decision: Decision
    ) -> Decision:
        """The decision to show those namespaces in which a request is allowed;
        the refusal where there are none."""
        ctx.permitted = found = await finder.permitted(attributes)
        if found is None:
            return decision
        ctx.warn(told(attributes, found.namespaces))
        return Decision(True, reason=f"allowed in {len(found.namespaces.ordered)} namespaces")

    def _refused(self, ctx: Context, err: errors.StatusError, recorded: bool) -> Response:
        """The answer that tells an error; one of authentication is counted.
        `recorded`: audit knows of the request."""
        if self.stages.audit is not None and not recorded:
            self._record_early(ctx, self.stages.audit)
        if isinstance(err, errors.Unauthorized) and ctx.caller is ANONYMOUS:
            result = "error" if _presents_credentials(ctx.request) else "failure"
            seconds = time.perf_counter() - ctx.started
            self.stages.authentication.failed(seconds, result)
            self.stages.filters.authentication.observe(seconds)
        if self.stages.journal is not None:
            ctx.refusal = Refusal.of(err)
        return self.stages.responder.error(ctx, err)

    def _failed(self, ctx: Context, err: Exception) -> Response:
        """The answer when a bug has ended the request."""
        what = type(err).__name__
        request = ctx.request
        log.exception("A request failed", auditID=ctx.audit_id, method=request.method, path=request.target)
        if ctx.audit is not None:
            ctx.audit.panicked(what)
        return self.stages.responder.error(ctx, errors.InternalError(f"Internal error occurred: {what}"))

    def _record_early(self, ctx: Context, auditor: Auditor) -> None:
        """Record a request that nobody was authenticated for (filters WithFailedAuthenticationAudit)."""
        ctx.audit = auditor.begin(ctx.request, None, attributes_of(ctx), ctx.audit_id, ctx.started)
        if ctx.audit is not None:
            ctx.audit.early = True

    def _not_recorded(self, ctx: Context, auditor: Auditor) -> Response:
        """The answer when the beginning of a request has to be recorded and cannot be (filters WithAudit)."""
        ctx.audit = None
        auditor.metrics.rejected.inc()
        uri = escape(quote(ctx.request.target), quote=False)
        text = f"Internal Server Error: {uri}: failed to store audit event\n"
        return self._finish(ctx, Response(500, text.encode(), "text/plain; charset=utf-8"))

    def _finish(self, ctx: Context, response: Response) -> Response:
        """The answer: headers that every answer has, and who is told when it has been sent."""
        self.stages.responder.finish(ctx, response)
        if self.edges is not None:
            response.headers += self.edges.headers(ctx.request)
        ctx.status = response.status
        ctx.answered = time.perf_counter()
        audit = ctx.audit
        if audit is not None:
            audit.answered(response)
            if audit.early:
                ctx.audit = None
                audit.started()
            elif _runs_long(ctx.info):
                audit.started()
        if ctx.flow is not None:
            ctx.flow.answered = True
        if (response.start is not None or response.upgrade is not None) and _runs_long(ctx.info):
            response.on_done = _Ending(self, ctx)
            ctx.on_end(self.stages.metrics.follow(ctx.info, ctx.resource))
            if self.stages.standing is not None:
                self.stages.standing.enter(ctx, attributes_of(ctx), response)
        else:
            response.on_done = partial(self._end, ctx)  # PERF: made and called faster
        return response

    def _end(self, ctx: Context, sent: int, error: BaseException | None) -> None:
        """The last stage, once for each request:
        `Response.on_done`, or the cancel of what has no answer yet."""
        if ctx.ended:
            return
        ctx.ended = True
        stages = self.stages
        waited = 0.0
        if ctx.admission is not None:
            waited = ctx.admission.webhook_seconds
            ctx.admission = None  # it refers to ctx: no cycle may be left
        ticket = ctx.flow
        if ticket is not None:
            ticket.release()
            in_line = ticket.waited
            stages.filters.flow_control.observe(in_line)
            waited += in_line
        now = time.perf_counter()
        seconds = now - ctx.started
        request = ctx.request
        stages.metrics.observe(
            ctx.info,
            ctx.resource,
            ctx.status,
            seconds,
            len(request.body),
            sent,
            request.headers,
            ctx.query,
            waited,
        )
        if isinstance(error, ConnectionAbortedError):  # by the server; the client's are ConnectionResetErrors
            stages.metrics.abort(ctx.info, ctx.resource)
        if stages.journal is not None:
            stages.journal.add(ctx, now, sent, error)
        if ctx.traced is not None or stages.tracing.slow:
            stages.tracing.end(ctx, now, sent, error)
        ctx.end(ctx.status, sent, error)
        if ctx.audit is not None:
            resource = ctx.resource
            ctx.audit.complete(_removal(resource) if resource is not None and resource.deprecated else None)

    def _limit(self, task: asyncio.Task[Response | None], ctx: Context) -> None:
        """Cancel what waits at the request's deadline:
        the server's, or an earlier one that the client asks for."""
        if _runs_long(ctx.info):
            return

        def expire() -> None:
            ctx.expired = True
            task.cancel()

        def stop(_: asyncio.Task[Response | None]) -> None:
            timer.cancel()

        asked = _timeout(ctx.query)
        seconds = asked if 0 < asked < self.deadline else self.deadline
        timer = asyncio.get_running_loop().call_later(seconds, expire)
        ctx.deadline = timer.when()
        task.add_done_callback(stop)

    def _timed_out(self, ctx: Context, cancelled: asyncio.CancelledError) -> Response:
        """The answer to a request that the deadline has cancelled; its task goes on to give it.
        CancelledError when somebody else has: there is no answer then."""
        if not ctx.expired:
            self._end(ctx, 0, cancelled)
            raise cancelled
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        err = errors.Timeout("Timeout: request did not complete within the allotted timeout", details={})
        err.headers = [("Retry-After", "1")]
        self.stages.metrics.terminate(ctx.info, ctx.resource, err.code)
        return self.stages.responder.error(ctx, err)


def refused(attributes: AuthorizationAttributes, decision: Decision) -> errors.StatusError:
    """The 403 of authorization; browsers are told not to guess what it is."""
    err = forbidden(attributes, decision.reason)
    err.headers = [*err.headers, ("X-Content-Type-Options", "nosniff")]
    return err


def attributes_of(ctx: Context) -> AuthorizationAttributes:
    """The attributes that the authorizer judges."""
    info = ctx.info
    out = AuthorizationAttributes(
        ctx.user,
        info.verb,
        info.path,
        info.is_resource,
        info.group,
        info.version,
        info.resource,
        info.subresource,
        info.namespace,
        info.name,
    )
    if info.verb in SELECTOR_VERBS and ctx.query and not _verb_in_path(info):
        out.field_selector = first(ctx.query, "fieldSelector")
        out.label_selector = first(ctx.query, "labelSelector")
        if not info.name and info.verb != "deletecollection":
            out.name = _selected_name(out.field_selector)
    return out


def _verb_in_path(info: RequestInfo) -> bool:
    """Whether it is a /watch/ path, by which selectors do not count."""
    if info.verb != "watch":
        return False
    return info.path.strip("/").split("/", 4)[2 if info.prefix == "api" else 3] == "watch"


def _selected_name(text: str) -> str:
    """The only name that a field selector lets through, "" when there are more or it cannot be read."""
    if "metadata.name" not in text or len(text) > LONGEST_SELECTOR:
        return ""
    try:
        terms = field_terms(text)
    except errors.BadRequest:
        return ""
    name = next((value for field, op, value in terms if field == "metadata.name" and op == "="), "")
    return "" if names.path_segment(name) else name


def _removal(resource: Resource) -> str:
    """The release that removes a deprecated API version, "" when that is not known."""
    _, _, rest = resource.deprecated.partition("unavailable in v")
    return rest.partition("+")[0]


def _presents_credentials(request: Request) -> bool:
    """Whether a client says who it is: without that, a 401 is a failure and no error in the metrics."""
    headers = request.headers
    return (
        bool(request.peer_certificates) or "authorization" in headers or "sec-websocket-protocol" in headers
    )


def _runs_long(info: RequestInfo) -> bool:
    """Whether no deadline ends the request."""
    return info.verb in LONG_RUNNING_VERBS or info.subresource in LONG_RUNNING_SUBRESOURCES


def _timeout(query: Query) -> float:
    """The seconds that a client gives its request, 0 = it does not say;
    BadRequest for what is no duration."""
    text = first(query, "timeout")
    if not text:
        return 0.0
    try:
        return go_duration(text) / 1e9
    except ValueError as err:
        raise errors.BadRequest(f"invalid timeout specified in the request URL - {err}") from None


def _malformed(target: str, err: ValueError) -> Response:
    """The answer to a request whose target cannot be read, or does not tell what it is about."""
    if isinstance(err, requestinfo.NoRequestInfo):  # upstream's responsewriters.InternalError
        _, mark, query = target.partition("?")
        why = f"failed to create RequestInfo: {err}{mark}{query}"
        text = escape(f"Internal Server Error: {quote(target)}: {why}\n", quote=False)
        return Response(500, text.encode(), "text/plain; charset=utf-8")
    return Response(400, f"400 Bad Request: {err}\n".encode(), "text/plain; charset=utf-8")
