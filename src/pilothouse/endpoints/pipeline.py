"""Rooms 3 to 16: the way of every request, top to bottom, in the order of kube-apiserver's handler chain.

`Pipeline.handle` runs the coroutine `_serve` up to its first real wait. Nearly every read never waits, so it is
answered inside the parser's callback; the rest goes on as a task.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Coroutine, Generator
from dataclasses import dataclass
from inspect import isawaitable
from types import coroutine
from typing import Any

from pilothouse import errors
from pilothouse.api.duration import go_duration
from pilothouse.api.identity import Attributes, RequestInfo
from pilothouse.api.meta import new_uid
from pilothouse.authn.authenticator import Authenticator
from pilothouse.authn.impersonation import Impersonation
from pilothouse.authz.authorizer import Authorizer, forbidden
from pilothouse.endpoints import requestinfo
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.dispatch import Dispatcher
from pilothouse.endpoints.params import Query, first
from pilothouse.endpoints.response import Responder
from pilothouse.flowcontrol.classify import Classifier
from pilothouse.metrics import RequestMetrics
from pilothouse.server.request import Request, Response

log = logging.getLogger(__name__)

DEADLINE = 60.0
SELECTOR_VERBS = frozenset(("list", "watch", "deletecollection"))


@dataclass(slots=True)
class Rooms:
    """What the pipeline leads through; built once by app.py."""

    authenticator: Authenticator
    impersonation: Impersonation
    classifier: Classifier
    authorizer: Authorizer
    dispatcher: Dispatcher
    responder: Responder
    metrics: RequestMetrics


class Pipeline:
    """The handler that the HTTP server calls."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.draining = False

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer at once when nothing has to wait; else an awaitable of the answer."""
        coro = self._serve(request)
        try:
            waiting = coro.send(None)
        except StopIteration as done:
            response: Response = done.value
            return response
        return _within(_resume(coro, waiting), self, request)

    async def _serve(self, request: Request) -> Response:
        rooms = self.rooms
        started = time.perf_counter()
        audit_id = request.headers.get("audit-id") or new_uid()
        info = RequestInfo(request.path, request.method.lower())
        query: Query = {}
        ctx = Context(request, info, query, audit_id)
        try:
            # 3 route: what it is about
            ctx.query = query = requestinfo.parse_query(request.query)
            path = requestinfo.unescape_path(request.path)
            ctx.info = info = requestinfo.parse(request.method, path, query)
            # 4 enter: the deadline that the client asks for
            if "timeout" in query:
                _check_timeout(query)
            # 5 who
            user = rooms.authenticator.authenticate(request)
            if isawaitable(user):
                user = await user
            if user is None:
                raise errors.Unauthorized("Unauthorized")
            ctx.user = ctx.caller = user
            # 7 acting as whom
            if rooms.impersonation.wanted(request):
                acting = rooms.impersonation.effective(request, attributes_of(ctx))
                ctx.user = await acting if isawaitable(acting) else acting
            # 8 when
            ctx.priority = rooms.classifier.classify(ctx.user, info)
            # 9 may they
            attributes = attributes_of(ctx)
            decision = rooms.authorizer.authorize(attributes)
            if isawaitable(decision):
                decision = await decision
            if not decision.allowed:
                raise refused(attributes, decision.reason)
            # 10 to 15: the verb
            answer = rooms.dispatcher.dispatch(ctx)
            response = await answer if isawaitable(answer) else answer
        except errors.StatusError as err:
            response = rooms.responder.error(ctx, err)
        except ValueError as err:
            response = _malformed(err)
        except Exception as err:
            log.exception("request failed", extra={"audit_id": audit_id, "path": request.target})
            response = rooms.responder.error(ctx, errors.InternalError(f"Internal error occurred: {type(err).__name__}"))
        # 16 answer: headers that every answer has
        rooms.responder.finish(ctx, response)
        rooms.metrics.observe(ctx.info, ctx.resource, response.status, time.perf_counter() - started)
        return response


def refused(attributes: Attributes, reason: str) -> errors.StatusError:
    """The 403 of room 9; browsers are told not to guess what it is."""
    err = forbidden(attributes, reason)
    err.headers = [*err.headers, ("X-Content-Type-Options", "nosniff")]
    return err


def attributes_of(ctx: Context) -> Attributes:
    """What the authorizer judges."""
    info = ctx.info
    out = Attributes(
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
    if info.verb in SELECTOR_VERBS and ctx.query:
        out.field_selector = first(ctx.query, "fieldSelector")
        out.label_selector = first(ctx.query, "labelSelector")
        if not info.name and out.field_selector.startswith("metadata.name="):
            out.name = out.field_selector[14:].partition(",")[0]
    return out


def _check_timeout(query: Query) -> None:
    try:
        go_duration(query["timeout"][0])
    except ValueError as err:
        raise errors.BadRequest(f"invalid timeout specified in the request URL - {err}") from None


def _malformed(err: ValueError) -> Response:
    return Response(400, f"400 Bad Request: {err}\n".encode(), "text/plain; charset=utf-8")


@coroutine
def _resume(coro: Coroutine[Any, Any, Response], waiting: Any) -> Generator[Any, Any, Response]:
    """Go on with a coroutine that has already run up to `waiting`."""
    while True:
        try:
            sent = yield waiting
        except BaseException as err:
            try:
                waiting = coro.throw(err)
            except StopIteration as done:
                return done.value
        else:
            try:
                waiting = coro.send(sent)
            except StopIteration as done:
                return done.value


async def _within(answer: Awaitable[Response], pipeline: Pipeline, request: Request) -> Response:
    """Bound what waits by the request's deadline (--request-timeout)."""
    task = asyncio.current_task()
    assert task is not None
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(DEADLINE, expire)
    try:
        return await answer
    except asyncio.CancelledError:
        if not expired:
            raise
        task.uncancel()
        err = errors.Timeout(
            "Timeout: request did not complete within the allotted timeout", details={}, headers=[("Retry-After", "1")]
        )
        ctx = Context(request, RequestInfo(request.path, request.method.lower()), {}, new_uid())
        response = pipeline.rooms.responder.error(ctx, err)
        pipeline.rooms.responder.finish(ctx, response)
        return response
    finally:
        timer.cancel()
