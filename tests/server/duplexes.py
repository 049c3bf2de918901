"""Duplexes over fake transports, and frames of WebSocket clients made by hand."""

import asyncio
import struct
from typing import Any

from server.fake_transport import FakeTransport

from pilothouse.server._turns import Line
from pilothouse.server.upgrade import Duplex


class Peer:
    """The other end of one duplex: sends to it, and sees what it sends.
    It takes `room` bytes before it blocks."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.transport = FakeTransport(room)
        self.transport.protocol = self
        self.line = Line(asyncio.get_running_loop())
        self.duplex = Duplex(self.transport, self.line)

    def pause_writing(self) -> None:
        self.duplex.on_blocked(True)

    def resume_writing(self) -> None:
        self.duplex.on_blocked(False)

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.duplex.on_data(part)

    def take(self) -> bytes:
        """The bytes that were sent since the last call."""
        data = self.transport.sent
        self.transport.writes.clear()
        return data

    def lose(self, error: BaseException | None = None) -> None:
        self.duplex.on_lost(error)

    @property
    def closed(self) -> bool:
        return self.transport.closed

    @property
    def paused(self) -> bool:
        return self.transport.reading_paused


class Log:
    """A receiver that keeps what it gets."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def received(self, data: bytes) -> None:
        self.seen.append(data)

    def message(self, data: bytes | bytearray, finished: bool) -> None:
        self.seen.append((bytes(data), finished))

    def blocked(self, blocked: bool) -> None:
        self.seen.append(blocked)

    def closed(self, error: BaseException | None) -> None:
        self.seen.append(("closed", error))

    def leave(self) -> None:
        self.seen.append("leave")


KEY = b"\x01\x02\x03\x04"


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, length: int = -1
) -> bytes:
    """A frame of RFC 6455, 5.2; `length` is claimed instead of the payload's."""
    size = len(payload) if length < 0 else length
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack(">BB", fin << 7 | opcode, mask | size)
    elif size < 1 << 16:
        head = struct.pack(">BBH", fin << 7 | opcode, mask | 126, size)
    else:
        head = struct.pack(">BBQ", fin << 7 | opcode, mask | 127, size)
    if not masked:
        return head + payload
    return head + KEY + bytes(byte ^ KEY[i % 4] for i, byte in enumerate(payload))


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """The opcodes and payloads of unmasked frames, as a server sends them."""
    out, at = [], 0
    while at < len(data):
        opcode, size = data[at] & 15, data[at + 1]
        assert data[at] & 0x80 and not size & 0x80, "whole and unmasked"
        at += 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            size = int.from_bytes(data[at : at + wide])
            at += wide
        out.append((opcode, data[at : at + size]))
        at += size
    return out
