"""A transport and a client without sockets, for tests of the HTTP protocol."""

import asyncio
import copy
import functools
import http.client
import io
from collections.abc import Awaitable, Callable
from typing import Any, Self

from event_loops import running
from virtual_time import VirtualLoop

from pilothouse.server.http1 import Http1, Limits
from pilothouse.server.request import Handler, Judge, Request, Response


def run(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test on a loop of its own, whose time is virtual:
    a sleep ends when nothing else is left to do."""

    @functools.wraps(test)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        with running(VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))  # type: ignore[arg-type]

    return wrapper


class FakeTransport(asyncio.Transport):
    """Keeps what is written; `room` bytes are taken before it asks the protocol to pause."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.protocol: Any = None
        self.writes: list[bytes] = []
        self.room = room
        self.held = 0
        self.closed = self.aborted = self.reading_paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("10.1.2.3", 4567) if name == "peername" else default

    def write(self, data: Any) -> None:
        assert not self.closed
        self.writes.append(bytes(data))
        self.held += len(data)
        if self.held > self.room:
            self.protocol.pause_writing()

    def drain(self) -> None:
        """Let the peer take everything."""
        self.held = 0
        self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self.held

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limit = high

    def pause_reading(self) -> None:
        assert not self.reading_paused
        self.reading_paused = True

    def resume_reading(self) -> None:
        assert self.reading_paused
        self.reading_paused = False

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    @property
    def sent(self) -> bytes:
        return b"".join(self.writes)


class Peer:
    """One connection to a handler; `seen` has the requests that the handler got."""

    def __init__(
        self,
        handler: Handler | None = None,
        limits: Limits | None = None,
        room: int = 1 << 40,
        admit: Judge | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.seen: list[Request] = []
        answer: Callable[[Request], Any] = handler or (lambda _: Response(200, b"{}"))

        def record(request: Request) -> Any:
            self.seen.append(request)
            return answer(request)

        self.http1 = Http1(record, limits, admit=admit, clock=clock)
        self.connect(room)

    def connect(self, room: int = 1 << 40, transport: FakeTransport | None = None) -> None:
        self.transport = transport or FakeTransport(room)
        self.protocol: Any = self.http1()
        self.transport.protocol = self.protocol
        self.protocol.connection_made(self.transport)

    def another(self) -> Self:
        """One more connection of the same listener."""
        peer = copy.copy(self)
        peer.connect()
        return peer

    def send(self, *parts: bytes) -> Self:
        for part in parts:
            self.protocol.data_received(part)
        return self

    def lose(self) -> None:
        self.protocol.connection_lost(None)

    def answers(self, *methods: str) -> list[tuple[int, dict[str, str], bytes]]:
        """The answers that were sent, read by the standard library's client:
        (status, headers, body) of each."""
        return read_answers(self.transport.sent, *methods)


class _Socket:
    def __init__(self, file: io.BytesIO) -> None:
        self.file = file

    def makefile(self, *_: Any) -> io.BufferedReader:
        return self.file  # type: ignore[return-value]


class _Kept(io.BytesIO):
    def close(self) -> None:  # the client closes its file after each answer
        pass


def read_answers(data: bytes, *methods: str) -> list[tuple[int, dict[str, str], bytes]]:
    file = _Kept(data)
    out: list[tuple[int, dict[str, str], bytes]] = []
    while file.tell() < len(data):
        method = methods[len(out)] if len(out) < len(methods) else "GET"
        response = http.client.HTTPResponse(_Socket(file), method=method)  # type: ignore[arg-type]
        response.begin()
        out.append((response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()))
    return out
