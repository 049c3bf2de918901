"""Admission of CONNECT requests (exec, attach, port-forward, proxy),
before they are forwarded (ConnectResource)."""

from collections.abc import Callable

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.objects.scope import RequestScope
from pilothouse.endpoints.request import refusals
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import WriteParams, boolean, first
from pilothouse.endpoints.streams import proxy
from pilothouse.endpoints.streams.parts import Streams
from pilothouse.gotext import quote
from pilothouse.registry.resource import Action, Resource, Subresource
from pilothouse.server.request import Response

_STREAM_METHODS = ("GET", "POST")
_PROXY_METHODS = (*_STREAM_METHODS, "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")
_INT32 = 2**31


async def handle(streams: Streams, ctx: Context, resource: Resource, sub: Subresource) -> Response:
    """Ask admission, then connect with the options as plugins leave them.
    A method that is refused is no CONNECT."""
    methods = _PROXY_METHODS if sub.action in proxy.TARGETS else _STREAM_METHODS
    if ctx.request.method not in methods:
        raise refusals.method_not_allowed()
    if ctx.query.get("dryRun"):
        raise errors.BadRequest("dryRun is not supported")
    scope = RequestScope(streams.verbs, ctx, resource, WriteParams(), ctx.info.name)
    async with scope.write:
        options = await scope.write.admit_connect(connect_options(ctx, sub))
        scope.warn()
        return await proxy.handle(streams, ctx, resource, sub, options)


def connect_options(ctx: Context, sub: Subresource) -> Object:
    """The options object of a CONNECT out of path and query (getRequestOptions);
    BadRequest for a bad port."""
    assert sub.action is not None
    return {"kind": sub.kind, "apiVersion": sub.version, **OPTIONS[sub.action](ctx)}


def _exec(ctx: Context) -> Object:
    out = _attach(ctx)
    command = ctx.query.get("command")
    return {**out, "command": list(command)} if command else out


def _attach(ctx: Context) -> Object:
    """Upstream's defaults set stdout and stderr whatever the query says."""
    query = ctx.query
    out: Object = {"stdout": True, "stderr": True}
    out.update((name, True) for name in ("stdin", "tty") if boolean(query, name))
    container = first(query, "container")
    return {**out, "container": container} if container else out


def _port_forward(ctx: Context) -> Object:
    ports = [_int32(text) for text in ctx.query.get("ports") or ()]
    return {"ports": ports} if ports else {}


def _int32(text: str) -> int:
    """strconv.ParseInt of base 10 and 32 bits with its errors as BadRequest."""
    digits = text[1:] if text[:1] in "+-" else text
    if not digits.isascii() or not digits.isdigit():
        raise errors.BadRequest(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    value = int(text) if len(digits) <= 20 else _INT32
    if not -_INT32 <= value < _INT32:
        raise errors.BadRequest(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return value


OPTIONS: dict[Action, Callable[[Context], Object]] = {
    Action.EXEC: _exec,
    Action.ATTACH: _attach,
    Action.PORT_FORWARD: _port_forward,
    **dict.fromkeys(proxy.TARGETS, proxy.options),
}
"""The function that makes the options of each action that is a CONNECT."""
