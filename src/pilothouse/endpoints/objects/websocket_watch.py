"""A watch over a WebSocket (handlers WatchServer.HandleWS)."""

from collections.abc import Callable

from pilothouse.endpoints.request.context import Context
from pilothouse.server import websocket
from pilothouse.server.request import Response, Stream
from pilothouse.server.upgrade import Duplex
from pilothouse.server.websocket import MessageStream, WebSocket

_PREFIX = 4
"""Bytes before a protobuf event that tell its length; a message does without."""


def watch(ctx: Context, begin: Callable[[Stream], None]) -> Response:
    """Each event is a message: text in JSON, else binary.
    The subprotocol has no effect; several are one too many."""
    offered = websocket.protocols(ctx.request)
    send = _event if ctx.media.format == "protobuf" else _line

    def start(duplex: Duplex) -> None:
        stream = MessageStream(duplex, send)
        begin(stream)
        stream.start()

    if len(offered) > 1:
        return Response(400, b"", "")
    return websocket.answer(ctx.request, offered[0] if offered else "", start)


def _line(socket: WebSocket, data: bytes) -> None:
    socket.send_text(data)


def _event(socket: WebSocket, data: bytes) -> None:
    socket.send(data[_PREFIX:])
