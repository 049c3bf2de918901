"""Watches and logs over WebSockets (handlers WatchServer.HandleWS, httpstream/wsstream Reader)."""

import base64
from collections.abc import Callable

from pilothouse.endpoints import relay
from pilothouse.endpoints.context import Context
from pilothouse.outbound.http import Answer
from pilothouse.server import websocket
from pilothouse.server.request import Response, Stream
from pilothouse.server.upgrade import Duplex
from pilothouse.server.websocket import MessageStream, WebSocket

_BASE64 = "base64.binary.k8s.io"
_READERS = ("", "binary.k8s.io", _BASE64)
"""The subprotocols of a log."""

_PREFIX = 4
"""Bytes before a protobuf event that tell its length; a message does without."""


def watch(ctx: Context, begin: Callable[[Stream], None]) -> Response:
    """Each event is a message: text in JSON, else binary. The subprotocol has no effect; several are one too many."""
    offered = websocket.protocols(ctx.request)
    send = _event if ctx.media.format == "protobuf" else _line

    def start(duplex: Duplex) -> None:
        stream = MessageStream(duplex, send)
        begin(stream)
        stream.start()

    if len(offered) > 1:
        return Response(400, b"", "")
    return websocket.answer(ctx.request, offered[0] if offered else "", start)


def copy(ctx: Context, log: Answer) -> Response:
    """A log in messages, the first of which is empty."""
    protocol = websocket.choose(ctx.request, _READERS)
    send = _base64 if protocol == _BASE64 else WebSocket.send
    ctx.on_end(lambda _: log.close())

    def start(duplex: Duplex) -> None:
        stream = MessageStream(duplex, send)
        stream.write(b"")
        stream.start()
        relay.pump(log, stream)

    return websocket.answer(ctx.request, protocol, start)


def _line(socket: WebSocket, data: bytes) -> None:
    socket.send_text(data)


def _event(socket: WebSocket, data: bytes) -> None:
    socket.send(data[_PREFIX:])


def _base64(socket: WebSocket, data: bytes) -> None:
    socket.send_text(base64.b64encode(data))
