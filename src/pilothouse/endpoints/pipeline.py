"""The stages of every request, top to bottom, in the order of kube-apiserver's handler chain.

`Pipeline.handle` runs the coroutine `_serve` up to its first wait. Nearly every read never waits, so it is answered
inside the parser's callback; the rest goes on as a task (`pilothouse.waiting`). When the answer has been sent, or the
client has left without one, the last stage runs (`_end`).
"""

import asyncio
import random
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, overload

from pilothouse import errors, waiting
from pilothouse.api import names
from pilothouse.api.duration import go_duration
from pilothouse.api.fields import quote
from pilothouse.api.identity import ANONYMOUS, AuthorizationAttributes, RequestInfo
from pilothouse.api.meta import new_uid
from pilothouse.api.selectors import field_terms
from pilothouse.authn.authenticator import Authenticator
from pilothouse.authn.impersonation import Impersonation
from pilothouse.authn.metrics import AuthenticationMetrics
from pilothouse.authz.authorizer import Authorizer, Decision, forbidden, undecided
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.endpoints import requestinfo
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.dispatch import Dispatcher
from pilothouse.endpoints.metrics import RequestMetrics
from pilothouse.endpoints.params import Query, first
from pilothouse.endpoints.response import Responder
from pilothouse.flowcontrol.classify import Classifier
from pilothouse.logs import Logger
from pilothouse.offload import Offload, Work
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
    """What the pipeline leads through; built once by assembly/handlers.py."""

    authenticator: Authenticator
    impersonation: Impersonation
    classifier: Classifier
    authorizer: Authorizer
    dispatcher: Dispatcher
    responder: Responder
    offload: Offload
    metrics: RequestMetrics
    authentication: AuthenticationMetrics
    authorization: AuthorizationMetrics


class Pipeline:
    """The handler that the HTTP server calls."""

    def __init__(self, stages: Stages, deadline: float = 60.0, goaway_chance: float = 0.0) -> None:
        self.stages = stages
        self.goaway_chance = goaway_chance
        """Share of requests after which the connection is closed, so that clients spread over servers."""
        self.deadline = deadline
        """Seconds that a request may take (--request-timeout)."""
        self.draining = False
        """Every answer says `Connection: close`: whoever balances the load has clients come back elsewhere."""

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer at once when nothing has to wait; else an awaitable of the answer."""
        if self.draining or (self.goaway_chance and random.random() < self.goaway_chance):
            request.keep_alive = False
        return self._run(request, True)

    def admit(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Judge a request by its head, before its body is read: all stages up to authorization. The answer refuses it, and
        is its end; None lets the body be read, after which `handle` leads the request through all stages."""
        return self._run(request, False)

    @overload
    def _run(self, request: Request, whole: Literal[True]) -> Response | Awaitable[Response]: ...
    @overload
    def _run(
        self, request: Request, whole: Literal[False]
    ) -> Response | Awaitable[Response | None] | None: ...
    def _run(self, request: Request, whole: bool) -> Any:
        audit_id = request.headers.get("audit-id") or new_uid()
        ctx = Context(request, RequestInfo(request.path, request.method.lower()), {}, audit_id)
        coro = self._serve(ctx, whole)
        try:
            awaited = coro.send(None)
        except StopIteration as done:
            return done.value
        task = waiting.as_task(coro, awaited)
        self.stages.metrics.enter(ctx.info)
        self._limit(task, ctx)
        task.add_done_callback(lambda _: self.stages.metrics.leave(ctx.info))
        return task

    async def _serve(self, ctx: Context, whole: bool) -> Response | None:
        """Lead a request through its stages; one of which only the head has come (not `whole`) up to authorization: None
        when it may go on, and then nothing may be registered that waits for its end."""
        stages, request = self.stages, ctx.request
        try:
            # request info: what it is about
            try:
                ctx.query = query = requestinfo.parse_query(request.query)
                path = requestinfo.unescape_path(request.path)
            except ValueError as err:
                return self._finish(ctx, _malformed(err))
            try:
                ctx.info = info = requestinfo.parse(request.method, path, query)
            except ValueError as err:
                return self._finish(ctx, _without_info(request.target, err))
            # deadline: the one that the client asks for
            if "timeout" in query and not _runs_long(info):
                _timeout(query)
            # authentication: who is asking
            user = await stages.authenticator.authenticate(request)
            if user is None:
                raise errors.Unauthorized("Unauthorized")
            known = time.perf_counter()
            if whole:
                stages.authentication.succeeded(known - ctx.started, user.name)
            ctx.user = ctx.caller = user
            if user.name != ANONYMOUS.name:
                request.caller = user.name
            # impersonation: as whom they want to act
            if stages.impersonation.wanted(request):
                ctx.user = await stages.impersonation.effective(request, attributes_of(ctx))
                known = time.perf_counter()
            # classification: by which flow schema and priority level
            ctx.priority = stages.classifier.classify(ctx.user, info)
            # authorization: may they
            attributes = attributes_of(ctx)
            decision = await stages.authorizer.authorize(attributes)
            if whole:
                stages.authorization.decided(time.perf_counter() - known, decision)
            if not decision.allowed:
                raise undecided(request.target, decision) if decision.error else refused(attributes, decision)
            if not whole:
                return None
            # dispatch: the verb; what takes long of a write runs beside the loop
            if request.method not in READS:
                ctx.work = Work(stages.offload, ctx.user.name)
            response = await stages.dispatcher.dispatch(ctx)
        except errors.StatusError as err:
            if isinstance(err, errors.Unauthorized) and ctx.caller is ANONYMOUS:
                result = "error" if _presents_credentials(request) else "failure"
                stages.authentication.failed(time.perf_counter() - ctx.started, result)
            response = stages.responder.error(ctx, err)
        except asyncio.CancelledError as err:
            if not ctx.expired:
                self._end(ctx, 0, err)
                raise
            response = self._timed_out(ctx)
        except Exception as err:
            log.exception(
                "A request failed", auditID=ctx.audit_id, method=request.method, path=request.target
            )
            response = stages.responder.error(
                ctx, errors.InternalError(f"Internal error occurred: {type(err).__name__}")
            )
        finally:
            ctx.work.leave()
        return self._finish(ctx, response)

    def _finish(self, ctx: Context, response: Response) -> Response:
        """The answer: headers that every answer has, and who is told when it has been sent."""
        self.stages.responder.finish(ctx, response)
        ctx.status = response.status
        response.on_done = partial(self._end, ctx)
        if response.start is not None and _runs_long(ctx.info):
            leave = self.stages.metrics.follow(ctx.info, ctx.resource)
            ctx.on_end(lambda _: leave())
        return response

    def _end(self, ctx: Context, sent: int, error: BaseException | None) -> None:
        """The last stage, once for each request: `Response.on_done`, or the cancel of what has no answer yet."""
        if ctx.ended:
            return
        ctx.ended = True
        seconds = time.perf_counter() - ctx.started
        received = len(ctx.request.body)
        self.stages.metrics.observe(ctx.info, ctx.resource, ctx.status, seconds, received, sent)
        ctx.end(ctx.status, sent, error)

    def _limit(self, task: asyncio.Task[Response | None], ctx: Context) -> None:
        """Cancel what waits at the request's deadline: the server's, or an earlier one that the client asks for."""
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

    def _timed_out(self, ctx: Context) -> Response:
        """The answer to a request that the deadline has cancelled; its task goes on to give it."""
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
    """What the authorizer judges."""
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


def _presents_credentials(request: Request) -> bool:
    """Whether a client says who it is: without that, a 401 is a failure and no error in the metrics."""
    headers = request.headers
    return (
        bool(request.peer_certificates) or "authorization" in headers or "sec-websocket-protocol" in headers
    )


def _runs_long(info: RequestInfo) -> bool:
    """What no deadline ends."""
    return info.verb in LONG_RUNNING_VERBS or info.subresource in LONG_RUNNING_SUBRESOURCES


def _timeout(query: Query) -> float:
    """The seconds that a client gives its request, 0 = it does not say; BadRequest for what is no duration."""
    text = first(query, "timeout")
    if not text:
        return 0.0
    try:
        return go_duration(text) / 1e9
    except ValueError as err:
        raise errors.BadRequest(f"invalid timeout specified in the request URL - {err}") from None


def _without_info(target: str, err: ValueError) -> Response:
    """The answer to a request that cannot be told what it is about (responsewriters.InternalError)."""
    text = f"Internal Server Error: {quote(_escaped(target))}: failed to create RequestInfo: {err}\n"
    return Response(500, text.encode(), "text/plain; charset=utf-8")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _malformed(err: ValueError) -> Response:
    return Response(400, f"400 Bad Request: {err}\n".encode(), "text/plain; charset=utf-8")
