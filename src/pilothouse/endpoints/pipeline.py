"""The stages of every request, top to bottom, in the order of kube-apiserver's handler chain.

`Pipeline.handle` reads what a request is about, then runs the coroutine `_serve` up to its first wait. Nearly
every read never waits, so it is answered inside the parser's callback; the rest goes on as a task
(`pilothouse.waiting`). What is measured, recorded and explained of a request is the observer's (observer.py).
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from pilothouse import errors, logs, spans
from pilothouse.api.meta import new_uid
from pilothouse.api.values import _requestinfo as requestinfo
from pilothouse.api.values.duration import go_duration
from pilothouse.api.values.identity import ANONYMOUS, AuthorizationAttributes, RequestInfo
from pilothouse.authn.authenticator import Authenticator
from pilothouse.authn.impersonation import Impersonation
from pilothouse.authz.authorizer import Authorizer, Decision, forbidden, undecided
from pilothouse.endpoints.answers.response import Responder
from pilothouse.endpoints.dispatch import Dispatcher
from pilothouse.endpoints.documents.console import PATH as CONSOLE
from pilothouse.endpoints.documents.console import Console
from pilothouse.endpoints.objects.standing import Standing
from pilothouse.endpoints.observer import Ending, Observer
from pilothouse.endpoints.plan import Planner
from pilothouse.endpoints.request import browsers
from pilothouse.endpoints.request.attributes import attributes_of, runs_long
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.deadlines import Carried, RequestDeadlines
from pilothouse.endpoints.request.edges import Edges
from pilothouse.endpoints.request.params import Query, first
from pilothouse.endpoints.request.permitted import Finder, told
from pilothouse.endpoints.verdict import Verdict
from pilothouse.flowcontrol._seats import Flow, Ticket
from pilothouse.flowcontrol.gate import LONGEST_WAIT, MASTERS, Gate, seated
from pilothouse.flowcontrol.levels import EXEMPT
from pilothouse.flowcontrol.memory import CHARGED, SMALL, MemoryBudget, MemoryShare
from pilothouse.gotext import quote, sanitized
from pilothouse.logs import Logger
from pilothouse.offload import Offload, Work
from pilothouse.process.record import record
from pilothouse.server._continuation import Continuation
from pilothouse.server.request import Request, Response
from pilothouse.waiting import CommitFuture, as_task

log = Logger(__name__)

READS = ("GET", "HEAD")

Answer = TypeVar("Answer", bound=Response | None)


@record(eq=False)
class Stages:
    """The stages through which the pipeline leads a request; built once by assembly/handlers.py."""

    authenticator: Authenticator
    impersonation: Impersonation
    gate: Gate
    authorizer: Authorizer
    dispatcher: Dispatcher
    responder: Responder
    offload: Offload
    observer: Observer
    finder: Finder | None = None
    """Finds the namespaces in which a list or a watch is allowed; None: it is refused as a whole."""
    memory: MemoryBudget | MemoryShare | None = None
    """The limit that has requests wait for memory; None: nobody counts it."""
    standing: Standing | None = None
    """Follows open requests; None where no option asks for it."""
    console: Console | None = None
    """Answers for files that anybody may read; None where they are not served."""


class Pipeline:
    """The handler that the HTTP server calls."""

    def __init__(self, stages: Stages, deadline: float = 60.0, goaway_chance: float = 0.0) -> None:
        self.stages = stages
        self._console = stages.console
        self.goaway_chance = goaway_chance
        """Share of requests after which the connection is closed, so that clients spread over servers."""
        self.deadlines = RequestDeadlines(deadline)
        """Ends requests that take longer (--request-timeout)."""
        self.draining = False
        """Whether every answer says `Connection: close`,
        so that the load balancer sends clients elsewhere."""
        self._serving = logs.serving()
        self.planner: Planner | None = None
        """Answers reads like those before; None where an option asks for something beside the answer."""
        self.edges: Edges | None = None
        """The work around every request that flags ask for; None where they ask for nothing."""

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer at once when nothing has to wait; else an awaitable of the answer."""
        if self.draining or (self.goaway_chance and random.random() < self.goaway_chance):
            request.keep_alive = False
        if self.planner is not None:  # PERF: most reads end here
            planned = self.planner.answer(request)
            if planned is not None:
                return planned
            begun = self.planner.verdicts.begin(request)
            if begun is not None:
                return self._start(begun[0], self._carry_out(*begun))
        return self._run(request, self._serve)

    def admit(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Judge a request by its head, before its body is read: all stages up to
        authorization. The answer refuses it, and is its end; None lets the body
        be read, after which `handle` leads the request through all stages."""
        return self._run(request, self._judge)

    def _run(
        self, request: Request, serve: Callable[[Context], Coroutine[Any, Any, Answer]]
    ) -> Response | Answer | Awaitable[Answer]:
        """Read what a request is about, and run the stages up to their first wait."""
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
        return self._start(ctx, serve(ctx))

    def _start(self, ctx: Context, coro: Coroutine[Any, Any, Answer]) -> Answer | Awaitable[Answer]:
        """Run the stages up to their first wait; what is left of them is a task."""
        self._serving.audit_id = ctx.audit_id
        try:
            awaited = coro.send(None)
            context = copy_context()
        except StopIteration as done:
            answer: Answer = done.value
            if self.planner is not None and ctx.info.verb == "get" and answer is not None:
                self.planner.learn(ctx, answer)
            return answer
        finally:
            self._serving.audit_id = ""
            if ctx.spans is not None:
                spans.current.set(None)
        if ctx.audit is not None:
            ctx.audit.flush()
        context.run(self._tell_task, ctx)
        task: Continuation[Answer] | asyncio.Task[Answer]
        if type(awaited) is CommitFuture:  # PERF: nearly every write waits for nothing else
            task = Continuation(coro, awaited, context)
        else:
            task = as_task(coro, awaited, context)
        self._limit(ctx, task)
        self.stages.observer.metrics.enter(ctx.info)
        task.add_done_callback(partial(self._left, ctx))
        return task

    def _left(self, ctx: Context, _: Carried) -> None:
        """Note that a request no longer waits."""
        self.stages.observer.metrics.leave(ctx.info)
        self.deadlines.leave(ctx)

    def _tell_task(self, ctx: Context) -> None:
        """Note, in the context of a request's task,
        which request it serves and what it tells other servers of a trace."""
        logs.audit_id.set(ctx.audit_id)
        if ctx.spans is None:
            spans.carried.set(self.stages.observer.tracer.carried(ctx))

    async def _serve(self, ctx: Context) -> Response:
        """Lead a request through its stages."""
        stages, request, observer = self.stages, ctx.request, self.stages.observer
        begun, planner = False, self.planner
        epoch = planner.verdicts.epoch if planner is not None else 0
        try:
            # deadline: the one that the client asks for
            if "timeout" in ctx.query and not runs_long(ctx.info):
                _timeout(ctx.query)
            # authentication: who asks
            user = await stages.authenticator.authenticate(request)
            if user is None:
                raise errors.Unauthorized("Unauthorized")
            known = ctx.recognised = time.perf_counter()
            ctx.user = ctx.caller = user
            if user.name != ANONYMOUS.name:
                request.caller = user.name
            observer.recognised(ctx)
            # audit: what is recorded of it; its beginning
            attributes = attributes_of(ctx)
            if observer.audit is not None:
                begun = True
                if not await observer.recorded(ctx, observer.audit, attributes):
                    return self._not_recorded(ctx)
            # browsers: whether a page of another origin uses their certificate
            if self._console is not None and request.peer_certificates:
                browsers.check(request, self.edges)
            # impersonation: as whom they want to act
            if stages.impersonation.wanted(request):
                await self._impersonate(ctx, attributes)
                known = time.perf_counter()
            # flow control: room for what takes much memory, and seats; it may have to wait for either
            if stages.memory is not None and (need := self._memory_for(ctx, stages.memory)):
                await self._charge(ctx, need)
                known = time.perf_counter()
            flow = self._classify(ctx)
            if flow is not None:
                ctx.flow = stages.gate.enter(flow, ctx.user, ctx.info, ctx.query, len(request.body))
                if not ctx.flow.running:
                    await self._stand_in_line(ctx, ctx.flow)
                    known = time.perf_counter()
            # authorization: may they
            decision = await stages.authorizer.authorize(attributes)
            if not decision.allowed and stages.finder is not None and not decision.error:
                decision = await self._in_part(stages.finder, ctx, attributes, decision)
            observer.authorized(ctx, decision, known)
            if not decision.allowed:
                raise _refusal(request, attributes, decision)
            # dispatch: the verb; what takes long of a write runs beside the loop
            if request.method not in READS:
                ctx.work = Work(stages.offload, ctx.user.name)
            response = await stages.dispatcher.dispatch(ctx)
            if planner is not None and ctx.handler is not None and response.status < 300:
                planner.verdicts.learn(ctx, ctx.handler, epoch)
        except BaseException as err:
            response = self._ended(ctx, err, begun)
        finally:
            ctx.work.leave()
        return self._finish(ctx, response)

    async def _carry_out(self, ctx: Context, verdict: Verdict) -> Response:
        """Lead a request to its handler, of which the verdicts of all stages are known; those that may have
        changed while it had to wait judge it once more."""
        stages, request, observer = self.stages, ctx.request, self.stages.observer
        try:
            observer.recognised(ctx)
            known, stands = ctx.recognised, True
            if stages.memory is not None and (need := self._memory_for(ctx, stages.memory)):
                await self._charge(ctx, need)
                stands = False
            size = len(request.body)
            ctx.flow = stages.gate.enter(verdict.flow, ctx.user, ctx.info, ctx.query, size)
            if not ctx.flow.running:
                await self._stand_in_line(ctx, ctx.flow)
                stands = False
            if stands:
                decision = verdict.decision
                if verdict.allowed is not None:
                    verdict.allowed[0] += 1
            else:
                known, attributes = time.perf_counter(), attributes_of(ctx)
                decision = await stages.authorizer.authorize(attributes)
                if not decision.allowed and stages.finder is not None and not decision.error:
                    decision = await self._in_part(stages.finder, ctx, attributes, decision)
            observer.authorized(ctx, decision, known)
            if not decision.allowed:
                raise _refusal(request, attributes, decision)
            if request.method not in READS:
                ctx.work = Work(stages.offload, ctx.user.name)
            if stands:
                response = await verdict.handler(stages.dispatcher.verbs, ctx, verdict.resource)
            else:
                response = await stages.dispatcher.dispatch(ctx)
        except BaseException as err:
            response = self._ended(ctx, err, recorded=False)
        finally:
            ctx.work.leave()
        return self._finish(ctx, response)

    async def _judge(self, ctx: Context) -> Response | None:
        """Lead a request of which only the head has come through the same stages up to authorization: the
        answer that refuses it, None when it may go on. It is counted, and takes seats, when it is whole."""
        stages, request, observer = self.stages, ctx.request, self.stages.observer
        begun = False
        try:
            if "timeout" in ctx.query and not runs_long(ctx.info):
                _timeout(ctx.query)
            user = await stages.authenticator.authenticate(request)
            if user is None:
                raise errors.Unauthorized("Unauthorized")
            ctx.recognised = time.perf_counter()
            ctx.user = ctx.caller = user
            if user.name != ANONYMOUS.name:
                request.caller = user.name
            attributes = attributes_of(ctx)
            if observer.audit is not None:
                begun = True
                observer.begun(ctx, observer.audit, attributes)
            if self._console is not None and request.peer_certificates:
                browsers.check(request, self.edges)
            if stages.impersonation.wanted(request):
                await self._impersonate(ctx, attributes)
            self._classify(ctx)
            known = time.perf_counter()
            decision = await stages.authorizer.authorize(attributes)
            if not decision.allowed and stages.finder is not None and not decision.error:
                decision = await self._in_part(stages.finder, ctx, attributes, decision)
            observer.judged(ctx, decision, known)
            if decision.allowed:
                return None
            raise _refusal(request, attributes, decision)
        except BaseException as err:
            response = self._ended(ctx, err, begun)
        if ctx.audit is not None:
            ctx.audit.refused()
        return self._finish(ctx, response)

    async def _impersonate(self, ctx: Context, attributes: AuthorizationAttributes) -> None:
        """Have the request go on as the user that its headers name; Forbidden."""
        began = time.perf_counter()
        ctx.user, constraint = await self.stages.impersonation.effective(ctx.request, attributes)
        attributes.user = ctx.user
        if ctx.user is ctx.caller:
            return
        self.stages.observer.acts_as(ctx, constraint, time.perf_counter() - began)

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
            self.stages.observer.metrics.terminate(info, ctx.resource, err.code)
            raise
        ctx.on_end(lambda _: memory.leave(user.name, need))

    def _patience(self, ctx: Context) -> float:
        """Seconds for which a request may still wait for seats or memory:
        a quarter of its time, since it came."""
        asked = 0.0 if runs_long(ctx.info) else _timeout(ctx.query)
        longest = self.deadlines.seconds
        limit = min((min(asked, longest) if asked > 0 else longest) / 4, LONGEST_WAIT)
        return limit - (time.perf_counter() - ctx.started)

    def _memory_for(self, ctx: Context, memory: MemoryBudget | MemoryShare) -> int:
        """The bytes of memory that a request has to find room for before it takes seats, 0 for few."""
        size = len(ctx.request.body)
        if ctx.info.verb not in CHARGED and size <= SMALL:
            return 0
        ctx.charge = self._charge
        return memory.need(ctx.info, ctx.query, size)

    def _classify(self, ctx: Context) -> Flow | None:
        """The flow of a request, which its answer tells. None where it needs no seats: it runs long; but a
        watch needs some until it has been sent what it begins with."""
        info = ctx.info
        if info.verb != "watch" and runs_long(info):
            return None
        flow = self.stages.gate.flow(ctx.user, info)
        if flow is not None:
            ctx.priority = flow.uids
        return flow

    async def _stand_in_line(self, ctx: Context, ticket: Ticket) -> None:
        """Wait until a request has its seats, for a quarter of its time; TooManyRequests."""
        if ticket.waiting:
            with self.stages.observer.metrics.queued(ctx.info):
                await seated(ticket, self._patience(ctx))
        if ctx.audit is not None:
            ctx.audit.queued = ticket.waited
        if not ticket.running:
            ctx.resource = self.stages.gate.resource(ctx.info)
            self.stages.observer.metrics.terminate(ctx.info, ctx.resource, errors.TooManyRequests.code)
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
        return Decision(allowed=True, reason=f"allowed in {len(found.namespaces.ordered)} namespaces")

    def _ended(self, ctx: Context, err: BaseException, recorded: bool) -> Response:
        """The answer to a request that an exception has ended; raises what is not the request's own.
        `recorded`: audit knows of the request."""
        if isinstance(err, errors.StatusError):
            return self._refused(ctx, err, recorded)
        if isinstance(err, asyncio.CancelledError):
            return self._timed_out(ctx, err)
        if isinstance(err, Exception):
            return self._failed(ctx, err)
        raise err

    def _refused(self, ctx: Context, err: errors.StatusError, recorded: bool) -> Response:
        """The answer that tells an error; one of authentication is counted.
        `recorded`: audit knows of the request."""
        self.stages.observer.refused(ctx, err, recorded)
        return self.stages.responder.error(ctx, err)

    def _failed(self, ctx: Context, err: Exception) -> Response:
        """The answer when a bug has ended the request."""
        what = type(err).__name__
        request = ctx.request
        log.exception("A request failed", auditID=ctx.audit_id, method=request.method, path=request.target)
        if ctx.audit is not None:
            ctx.audit.panicked(what)
        return self.stages.responder.error(ctx, errors.InternalError(f"Internal error occurred: {what}"))

    def _not_recorded(self, ctx: Context) -> Response:
        """Answer a request whose beginning has to be recorded and cannot be (filters WithAudit)."""
        uri = sanitized(quote(ctx.request.target))
        text = f"Internal Server Error: {uri}: failed to store audit event\n"
        return self._finish(ctx, Response(500, text.encode(), "text/plain; charset=utf-8"))

    def _finish(self, ctx: Context, response: Response) -> Response:
        """The answer: headers that every answer has, and who is told when it has been sent."""
        self.stages.responder.finish(ctx, response)
        if self.edges is not None:
            response.headers += self.edges.headers(ctx.request)
        ctx.status = response.status
        ctx.answered = time.perf_counter()
        if ctx.audit is not None:
            self.stages.observer.answered(ctx, ctx.audit, response)
        if ctx.flow is not None:
            ctx.flow.answered = True
        if (response.start is not None or response.upgrade is not None) and runs_long(ctx.info):
            response.on_done = Ending(self.stages.observer, ctx)
            ctx.on_end(self.stages.observer.metrics.follow(ctx.info, ctx.resource))
            if self.stages.standing is not None:
                self.stages.standing.enter(ctx, attributes_of(ctx), response)
        else:
            response.on_done = partial(self.stages.observer.ended, ctx)  # PERF: made and called faster
        return response

    def _limit(self, ctx: Context, task: Carried) -> None:
        """Have a request that waits cancelled at its deadline: the server's, or an earlier one of the client.
        A request that runs long has none."""
        if runs_long(ctx.info):
            return
        asked = _timeout(ctx.query) if ctx.query else 0.0
        if 0 < asked < self.deadlines.seconds:
            self.deadlines.at(ctx, task, asked)
        else:
            self.deadlines.enter(ctx, task)

    def _timed_out(self, ctx: Context, cancelled: asyncio.CancelledError) -> Response:
        """The answer to a request that the deadline has cancelled; its task goes on to give it.
        CancelledError when somebody else has: there is no answer then."""
        if not ctx.expired:
            self.stages.observer.ended(ctx, 0, cancelled)
            raise cancelled
        task = asyncio.current_task()
        if task is not None:  # else it is a continuation
            task.uncancel()
        err = errors.Timeout("Timeout: request did not complete within the allotted timeout", details={})
        err.headers = [("Retry-After", "1")]
        self.stages.observer.metrics.terminate(ctx.info, ctx.resource, err.code)
        return self.stages.responder.error(ctx, err)


def refused(attributes: AuthorizationAttributes, decision: Decision) -> errors.StatusError:
    """The 403 of authorization; browsers are told not to guess what it is."""
    err = forbidden(attributes, decision.reason)
    err.headers = [*err.headers, ("X-Content-Type-Options", "nosniff")]
    return err


def _refusal(request: Request, attributes: AuthorizationAttributes, decision: Decision) -> errors.StatusError:
    """The answer to a request that is not allowed: a 500 when an authorizer could not decide, else a 403
    (apiserver filters.WithAuthorization)."""
    return undecided(request.target, decision) if decision.error else refused(attributes, decision)


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
        text = sanitized(f"Internal Server Error: {quote(target)}: {why}\n")
        return Response(500, text.encode(), "text/plain; charset=utf-8")
    return Response(400, f"400 Bad Request: {err}\n".encode(), "text/plain; charset=utf-8")
