"""Port-forward to pods whose kubelet is in this process: kubectl's SPDY within a WebSocket
(KEP-4006, upstream's portforward.TunnelingConnection).

Each connection is a pair of streams, one for errors and one for data; a connection gets what the pod sends of
its own accord, and ends when the client has sent something.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pilothouse import errors
from pilothouse.endpoints.request.context import Context
from pilothouse.outbound import spdy
from pilothouse.server import websocket
from pilothouse.server.request import Response
from pilothouse.server.upgrade import Duplex
from pilothouse.server.websocket import GOING_AWAY, NORMAL, PROTOCOL_ERROR, WebSocket, is_websocket

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
LONGEST = 64 * 1024
"""Bytes of the longest control frame, and of the headers that it may hold."""

STREAMS = 256
"""Streams that may be open at once."""


class ClientFrame(NamedTuple):
    """A frame: `type` as in outbound/spdy.py; of data only the size is kept."""

    type: int
    stream: int = 0
    fin: bool = False
    size: int = 0
    value: int = 0
    headers: Mapping[str, str] = MappingProxyType({})


class FrameParser:
    """Reads the frames of a client with their headers; ValueError for what SPDY does not allow."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zdict=spdy.DICTIONARY)
        self._bytes = b""

    def feed(self, data: bytes) -> Iterator[ClientFrame]:
        """The frames that are complete with further bytes; data is told piece by piece."""
        self._bytes += data
        while len(self._bytes) >= 8:
            first, rest = struct.unpack_from(">II", self._bytes)
            flags, size = rest >> 24, rest & 0xFFFFFF
            if size > LONGEST:
                raise ValueError("frame too large")
            if len(self._bytes) < 8 + size:
                return
            body, self._bytes = self._bytes[8 : 8 + size], self._bytes[8 + size :]
            fin = bool(flags & spdy.FIN)
            if first >> 31:
                yield self._control(first & 0xFFFF, fin, body)
            else:
                yield ClientFrame(spdy.DATA, first, fin, size)

    def _control(self, kind: int, fin: bool, body: bytes) -> ClientFrame:
        if kind not in (spdy.SYN_STREAM, spdy.RST_STREAM, spdy.PING):
            return ClientFrame(kind)
        if len(body) < (10 if kind == spdy.SYN_STREAM else 4):
            raise ValueError("invalid control frame")
        number = struct.unpack_from(">I", body)[0]
        if kind == spdy.PING:
            return ClientFrame(kind, value=number)
        stream = number & 0x7FFFFFFF
        if kind == spdy.RST_STREAM:
            return ClientFrame(kind, stream)
        return ClientFrame(kind, stream, fin, headers=self._headers(body[10:]))

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, LONGEST)
            if self._inflate.unconsumed_tail:
                raise ValueError("headers too large")
            count, at = struct.unpack_from(">I", plain)[0], 4
            texts: list[str] = []
            for _ in range(2 * min(count, 100)):
                size = struct.unpack_from(">I", plain, at)[0]
                texts.append(plain[at + 4 : at + 4 + size].decode("latin-1"))
                at += 4 + size
        except (zlib.error, struct.error) as error:
            raise ValueError(str(error)) from None
        return dict(zip(texts[::2], texts[1::2], strict=True))


def forward(ctx: Context, answer: Callable[[int], bytes]) -> Response:
    """Forward connections; `answer` says what a port sends, and raises a StatusError if nobody listens."""
    if not is_websocket(ctx.request):
        raise errors.BadRequest("simulated pods are reached by WebSockets only, not by SPDY")
    return websocket.answer(
        ctx.request,
        websocket.choose(ctx.request, (PROTOCOL,)),
        lambda duplex: Forwarding(duplex, answer).start(),
    )


class Forwarding:
    """The connections of one client."""

    def __init__(self, duplex: Duplex, answer: Callable[[int], bytes]) -> None:
        self._socket = WebSocket(duplex)
        self._answer = answer
        self._frames = FrameParser()
        self._writer = spdy.FrameWriter()
        self._errors: dict[str, int] = {}
        """Connection -> its stream for errors."""
        self._open: dict[int, str] = {}
        """Stream for data -> its connection."""

    def start(self) -> None:
        """Begin to read frames."""
        self._socket.start(self)

    # --- the socket's messages

    def message(self, data: bytes, finished: bool) -> None:
        self._socket.frames.charge()
        try:
            for frame in self._frames.feed(data):
                self._take(frame)
        except ValueError:
            self._socket.close(PROTOCOL_ERROR)

    def blocked(self, blocked: bool) -> None:
        if blocked:
            self._socket.pause_reading()
        else:
            self._socket.resume_reading()

    def closed(self, error: BaseException | None) -> None:
        self._open.clear()

    def leave(self) -> None:
        self._socket.close(GOING_AWAY)

    # --- frames

    def _take(self, frame: ClientFrame) -> None:
        if frame.type == spdy.PING and frame.value % 2:  # the client's are odd
            self._socket.send(spdy.ping(frame.value))
        elif frame.type == spdy.GOAWAY:
            self._socket.close(NORMAL)
        elif frame.type == spdy.SYN_STREAM:
            self._begin(frame)
        elif frame.stream in self._open and (frame.type == spdy.RST_STREAM or frame.fin or frame.size):
            self._end(frame.stream)

    def _begin(self, frame: ClientFrame) -> None:
        """Accept a stream; one for data is sent what its port sends."""
        if len(self._open) + len(self._errors) >= STREAMS:
            self._socket.send(spdy.rst_stream(frame.stream, spdy.REFUSED_STREAM))
            return
        self._socket.send(self._writer.syn_reply(frame.stream))
        connection = frame.headers.get("requestid", "")
        if frame.headers.get("streamtype") == "error":
            self._errors[connection] = frame.stream
            return
        self._open[frame.stream] = connection
        port = frame.headers.get("port", "")
        try:
            sent = self._answer(int(port) if port.isascii() and port.isdigit() else 0)
        except errors.StatusError as error:
            self._fail(connection, str(error))
            self._end(frame.stream)
            return
        self._send(frame.stream, sent)

    def _fail(self, connection: str, text: str) -> None:
        stream = self._errors.pop(connection, 0)
        if stream:
            self._send(stream, text.encode(), fin=True)

    def _end(self, stream: int) -> None:
        """End a connection: both its streams."""
        connection = self._open.pop(stream)
        self._send(stream, b"", fin=True)
        other = self._errors.pop(connection, 0)
        if other:
            self._send(other, b"", fin=True)

    def _send(self, stream: int, data: bytes, *, fin: bool = False) -> None:
        for part in spdy.data_frames(stream, data, fin=fin):
            self._socket.send(part)
