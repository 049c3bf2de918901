"""Stages 3 to 16: the way of every request, top to bottom, in the order of kube-apiserver's handler chain.

`Pipeline.handle` runs the coroutine `_serve` up to its first real wait. Nearly every read never waits, so it is
answered inside the parser's callback; the rest goes on as a task.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Coroutine, Generator
from dataclasses import dataclass
from inspect import isawaitable
from types import coroutine
from typing import Any

from pilothouse import errors
from pilothouse.api import names
from pilothouse.api.duration import go_duration
from pilothouse.api.identity import ANONYMOUS, AuthorizationAttributes, RequestInfo
from pilothouse.api.meta import new_uid
from pilothouse.api.selectors import field_terms
from pilothouse.authn.authenticator import Authenticator
from pilothouse.authn.impersonation import Impersonation
from pilothouse.authn.metrics import AuthenticationMetrics
from pilothouse.authz.authorizer import Authorizer, forbidden
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
    """What the pipeline leads through; built once by app.py."""

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
        """Judge a request by its head, before its body is read: stages 3 to 9. The answer refuses it, None lets the body be read."""
        return self._run(request, False)

    def _run(self, request: Request, whole: bool) -> Any:
        audit_id = request.headers.get("audit-id") or new_uid()
        ctx = Context(request, RequestInfo(request.path, request.method.lower()), {}, audit_id)
        coro = self._serve(ctx, whole)
        try:
            waiting = coro.send(None)
        except StopIteration as done:
            return done.value
        return self._within(_resume(coro, waiting), ctx)

    async def _serve(self, ctx: Context, whole: bool) -> Response | None:
        """Lead a request through its stages; one of which only the head has come (not `whole`) up to 9, None when it may go on."""
        stages, request = self.stages, ctx.request
        started = time.perf_counter()
        try:
            # 3 route: what it is about
            try:
                ctx.query = query = requestinfo.parse_query(request.query)
                path = requestinfo.unescape_path(request.path)
                ctx.info = info = requestinfo.parse(request.method, path, query)
            except ValueError as err:
                return self._finish(ctx, _malformed(err), started)
            # 4 enter: the deadline that the client asks for
            if "timeout" in query and not _runs_long(info):
                _timeout(query)
            # 5 who
            user = stages.authenticator.authenticate(request)
            if isawaitable(user):
                user = await user
            if user is None:
                raise errors.Unauthorized("Unauthorized")
            known = time.perf_counter()
            stages.authentication.succeeded(known - started, user)
            ctx.user = ctx.caller = user
            if user.name != ANONYMOUS.name:
                request.caller = user.name
            # 7 acting as whom
            if stages.impersonation.wanted(request):
                acting = stages.impersonation.effective(request, attributes_of(ctx))
                ctx.user = await acting if isawaitable(acting) else acting
                known = time.perf_counter()
            # 8 when
            ctx.priority = stages.classifier.classify(ctx.user, info)
            # 9 may they
            attributes = attributes_of(ctx)
            decision = stages.authorizer.authorize(attributes)
            if isawaitable(decision):
                decision = await decision
            stages.authorization.decided(time.perf_counter() - known, decision.allowed, decision.denied)
            if not decision.allowed:
                raise refused(attributes, decision.reason)
            if not whole:
                return None
            # 10 to 15: the verb; what takes long of a write runs beside the loop
            if request.method not in READS:
                ctx.work = Work(stages.offload, ctx.user.name)
            answer = stages.dispatcher.dispatch(ctx)
            response = await answer if isawaitable(answer) else answer
        except errors.StatusError as err:
            if isinstance(err, errors.Unauthorized) and ctx.caller is ANONYMOUS:
                result = "error" if _presents_credentials(request) else "failure"
                stages.authentication.failed(time.perf_counter() - started, result)
            response = stages.responder.error(ctx, err)
        except Exception as err:
            log.exception(
                "A request failed", auditID=ctx.audit_id, method=request.method, path=request.target
            )
            response = stages.responder.error(
                ctx, errors.InternalError(f"Internal error occurred: {type(err).__name__}")
            )
        finally:
            ctx.work.leave()
        return self._finish(ctx, response, started)

    def _finish(self, ctx: Context, response: Response, started: float) -> Response:
        """Room 16, the answer: headers that every answer has, metrics."""
        self.stages.responder.finish(ctx, response)
        body = response.body
        if response.start is not None and _runs_long(ctx.info):
            self.stages.metrics.follow(ctx.info, ctx.resource, response)
        sent = (
            len(body)
            if isinstance(body, bytes)
            else sum(map(len, body))
            if isinstance(body, list)
            else body.size
        )
        seconds = time.perf_counter() - started
        self.stages.metrics.observe(
            ctx.info, ctx.resource, response.status, seconds, len(ctx.request.body), sent
        )
        return response

    async def _within(self, answer: Awaitable[Response | None], ctx: Context) -> Response | None:
        """Bound what waits by the request's deadline: the server's, or a shorter one that the client asks for."""
        if _runs_long(ctx.info):
            return await answer
        task = asyncio.current_task()
        assert task is not None
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            task.cancel()

        asked = _timeout(ctx.query)
        seconds = asked if 0 < asked < self.deadline else self.deadline
        timer = asyncio.get_running_loop().call_later(seconds, expire)
        self.stages.metrics.enter(ctx.info)
        try:
            return await answer
        except asyncio.CancelledError:
            if not expired:
                raise
            task.uncancel()
            err = errors.Timeout("Timeout: request did not complete within the allotted timeout", details={})
            err.headers = [("Retry-After", "1")]
            self.stages.metrics.terminate(ctx.info, ctx.resource, err.code)
            return self._finish(ctx, self.stages.responder.error(ctx, err), time.perf_counter() - seconds)
        finally:
            timer.cancel()
            self.stages.metrics.leave(ctx.info)


def refused(attributes: AuthorizationAttributes, reason: str) -> errors.StatusError:
    """The 403 of room 9; browsers are told not to guess what it is."""
    err = forbidden(attributes, reason)
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


def _malformed(err: ValueError) -> Response:
    return Response(400, f"400 Bad Request: {err}\n".encode(), "text/plain; charset=utf-8")


@coroutine
def _resume(coro: Coroutine[Any, Any, Response | None], waiting: Any) -> Generator[Any, Any, Response | None]:
    """Go on with a coroutine that has already run up to `waiting`."""
    while True:
        try:
            sent = yield waiting
        except BaseException as err:
            waiting = None  # a future that holds this error, which leads back to this frame
            try:
                waiting = coro.throw(err)
            except StopIteration as done:
                return done.value
        else:
            try:
                waiting = coro.send(sent)
            except StopIteration as done:
                return done.value
