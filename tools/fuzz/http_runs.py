"""Connections of HTTP over a transport without a socket;
when one has ended nothing of it is counted any more."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fuzz.engines import same, tight

from pilothouse.server.http1 import Http1, Limits
from pilothouse.server.http2 import Http2
from pilothouse.server.request import Request, Response

LIMITS = Limits(
    header_bytes=8192, body_bytes=100_000, unfinished_budget=400_000, body_budget=400_000, streams=20
)
"""Small ones, so that inputs reach them."""

Seen = list[tuple[str, str, list[tuple[str, str]], bytes]]


class Pipe(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.closed = self.paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default

    def write(self, data: Any) -> None:
        if self.closed:
            raise AssertionError("it writes to a closed transport")
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


def answer(request: Request) -> Response:
    """An answer that hangs on the request: short, long, or a stream."""
    if request.path.startswith("/stream"):

        def start(stream: Any) -> None:
            stream.write(b"one")
            stream.write(b"two" * 1000)
            stream.close()

        return Response(200, start=start)
    if request.path.startswith("/long"):
        return Response(200, [b"x" * 20_000, b"y" * 20_000])
    return Response(404 if request.path.startswith("/none") else 200, request.body[:100] or b"{}")


class Run:
    """One connection from its beginning to its end, and what its server saw and sent."""

    def __init__(self, protocol: str) -> None:
        self.seen: Seen = []
        self.http1 = Http1(self._answer, LIMITS, clock=lambda: 1000.0)
        self.connection: Any = self.http1() if protocol == "http1" else Http2(self.http1)()
        self.pipe = Pipe()

    def _answer(self, request: Request) -> Response:
        self.seen.append((request.method, request.target, request.all_headers, request.body))
        return answer(request)

    async def feed(self, parts: list[bytes], *, buffered: bool) -> None:
        """Give it these bytes as sockets do; `buffered`: through its own buffer."""
        self.connection.connection_made(self.pipe)
        for part in parts:
            if self.pipe.closed:
                break
            if buffered:
                for at in range(0, len(part), 65536):
                    view = self.connection.get_buffer(-1)
                    view[: len(part[at : at + 65536])] = part[at : at + 65536]
                    self.connection.buffer_updated(len(part[at : at + 65536]))
                    await self._turns()
            else:
                with tight(part) as data:
                    self.connection.data_received(data)
                await self._turns()
        await asyncio.sleep(0)
        await self._turns()
        self._end()

    async def _turns(self) -> None:
        """Wait until it reads again."""
        for _ in range(20_000):
            if self.pipe.closed or not self.pipe.paused:
                return
            await asyncio.sleep(0)
        raise AssertionError("it never reads again")

    def _end(self) -> None:
        service = self.http1.service
        self.connection.connection_lost(None)
        left = service.unfinished.held, service.bodies.reserved, len(service.connections)
        self.http1.close()
        same("bytes and connections that are counted in the end", left, (0, 0, 0))


def on_a_loop(check: Callable[[bytes], Awaitable[None]]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        asyncio.run(check(data))  # type: ignore[arg-type]

    return run
