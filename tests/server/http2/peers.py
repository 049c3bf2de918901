"""Clients of HTTP/2 without sockets: one that writes any frames, and one that h2 keeps to the protocol."""

import asyncio
import struct
from collections.abc import Callable, Iterable
from enum import IntEnum, IntFlag
from typing import Any

import h2.config
import h2.connection
import h2.events
import hpack
from server.fake_transport import FakeTransport, Peer

from pilothouse.server.http1 import Limits
from pilothouse.server.http2 import Http2
from pilothouse.server.request import Handler, Judge

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Kind(IntEnum):
    """The types of frames (RFC 9113, 6)."""

    DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)


class Flag(IntFlag):
    """The flags of a frame."""

    END_STREAM = ACK = 1
    END_HEADERS, PADDED, PRIORITIZED = 4, 8, 32


class Code(IntEnum):
    """Why a stream or a connection ends (RFC 9113, 7)."""

    NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
    STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = 5, 6, 7, 8, 9
    ENHANCE_YOUR_CALM = 11


WIDE = struct.pack(">HI", 4, 0x7FFFFFFF)
"""A setting: the windows of all streams are as large as they can be."""

Fields = Iterable[tuple[str, str]]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def number(kind: int, stream: int, value: int) -> bytes:
    """A frame whose payload is a number."""
    return frame(kind, 0, stream, struct.pack(">I", value))


def fields(method: str = "GET", path: str = "/", *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [(":method", method), (":scheme", "https"), (":path", path), (":authority", "a"), *more]


class Raw(Peer):
    """A connection on which any frames can be sent.
    Windows are as large as they can be unless `settings` says else."""

    def __init__(
        self,
        handler: Handler | None = None,
        limits: Limits | None = None,
        room: int = 1 << 40,
        admit: Judge | None = None,
        clock: Callable[[], float] | None = None,
        settings: bytes | None = WIDE,
    ) -> None:
        self.settings, self.longest = settings, 16384
        super().__init__(handler, limits, room, admit, clock)

    def connect(self, room: int = 1 << 40, transport: FakeTransport | None = None) -> None:
        if not hasattr(self, "http2"):
            self.http2 = Http2(self.http1)
        self.encoder, self.next = hpack.Encoder(), 1
        self.transport = transport or FakeTransport(room)
        self.protocol = self.transport.protocol = self.http2()
        self.protocol.connection_made(self.transport)
        if self.settings is not None:
            self.send(PREFACE + frame(Kind.SETTINGS, 0, 0, self.settings))
            self.send(number(Kind.WINDOW_UPDATE, 0, 0x7FFFFFFF - 65535) if self.settings == WIDE else b"")

    def head(self, *, stream: int = 0, ends: bool = True, of: Fields | None = None) -> bytes:
        """HEADERS of a request on the next stream, or on the one that is named."""
        if not stream:
            stream, self.next = self.next, self.next + 2
        block = self.encoder.encode(list(of or fields()), huffman=stream % 4 == 1)
        return frame(Kind.HEADERS, Flag.END_HEADERS | (Flag.END_STREAM if ends else 0), stream, block)

    async def pour(self, *parts: bytes) -> None:
        """Send as a socket does: nothing more while the server does not read."""
        for part in parts:
            self.send(part)
            while self.transport.reading_paused and not self.transport.closed:
                await asyncio.sleep(0)
                await asyncio.sleep(0)  # what is queued goes out

    def ask(self, method: str = "GET", path: str = "/", *more: tuple[str, str], body: bytes = b"") -> int:
        """Send a request whole; the number of its stream."""
        stream = self.next
        self.send(self.head(ends=not body, of=fields(method, path, *more)))
        for at in range(0, len(body), 16384):
            end = Flag.END_STREAM if at + 16384 >= len(body) else 0
            self.send(frame(Kind.DATA, end, stream, body[at : at + 16384]))
        return stream

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        """(kind, flags, stream, payload) of all that was sent."""
        out, data, at = [], self.transport.sent, 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 3])
            assert size <= self.longest
            payload = data[at + 9 : at + 9 + size]
            assert len(payload) == size, "half a frame"
            out.append((data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9]), payload))
            at += 9 + size
        return out

    def of_kind(self, kind: int) -> list[tuple[int, int, bytes]]:
        return [(flags, stream, payload) for one, flags, stream, payload in self.frames() if one == kind]

    def resets(self) -> dict[int, int]:
        """Stream -> code of each RST_STREAM."""
        return {stream: int.from_bytes(payload) for _, stream, payload in self.of_kind(Kind.RST_STREAM)}

    def goaways(self) -> list[tuple[int, int]]:
        """(last stream, code) of each GOAWAY."""
        return [struct.unpack(">II", payload[:8]) for _, _, payload in self.of_kind(Kind.GOAWAY)]

    def answers_of(self) -> dict[int, "Answer"]:
        """Stream -> its answer, read by hpack."""
        decoder = hpack.Decoder()
        out: dict[int, Answer] = {}
        block, of = b"", 0
        for kind, flags, stream, payload in self.frames():
            if kind in (Kind.HEADERS, Kind.CONTINUATION):
                block, of = block + payload, stream
                if kind == Kind.HEADERS and flags & Flag.END_STREAM:
                    out.setdefault(stream, Answer()).ended = True
                if flags & Flag.END_HEADERS:
                    out.setdefault(of, Answer()).take(decoder.decode(block))
                    block = b""
            elif kind == Kind.DATA:
                out[stream].body += payload
                out[stream].ended |= bool(flags & Flag.END_STREAM)
        return out

    def status(self, stream: int = 1) -> int:
        return self.answers_of()[stream].status


class Answer:
    """One answer; `ended` when the stream was."""

    def __init__(self) -> None:
        self.status, self.body = 0, b""
        self.headers: dict[str, str] = {}
        self.ended = self.continued = False

    def take(self, pairs: Iterable[Any]) -> None:
        headers = {str(name): str(value) for name, value in pairs}
        status = int(headers.pop(":status"))
        if status == 100:
            self.continued = True
        else:
            assert not self.status
            self.status, self.headers = status, headers


class Client:
    """A client whose every frame, and every frame that it gets, h2 holds against the protocol."""

    def __init__(self, raw: Raw) -> None:
        self.raw, self.taken = raw, 0
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self.bodies: dict[int, bytes] = {}
        self.heads: dict[int, dict[str, str]] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.events: list[Any] = []
        self.flush()

    def flush(self) -> None:
        """Send what h2 has, and take what has come, until there is no more."""
        while (data := self.h2.data_to_send()) or len(self.raw.transport.sent) > self.taken:
            if data:
                self.raw.send(data)
            sent = self.raw.transport.sent
            new, self.taken = sent[self.taken :], len(sent)
            for event in self.h2.receive_data(new):
                self._take(event)

    def _take(self, event: Any) -> None:
        self.events.append(event)
        if isinstance(event, h2.events.ResponseReceived):
            self.heads[event.stream_id] = {str(k, "ascii"): str(v, "utf-8") for k, v in event.headers}
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.resets[event.stream_id] = event.error_code

    def ask(self, method: str = "GET", path: str = "/", *more: tuple[str, str], ends: bool = True) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, fields(method, path, *more), end_stream=ends)
        self.flush()
        return stream
