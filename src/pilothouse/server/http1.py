"""HTTP/1.1 connections of one listener: limits, time-outs, compression and the end of connections."""

import asyncio
import ctypes
import zlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from pilothouse._http1 import Service
from pilothouse.errors import RequestEntityTooLarge
from pilothouse.server.pump import pump
from pilothouse.server.request import Handler, Judge, Packable, Part, Response, Stream

SLICE = 256 * 1024
"""Bytes given to one call of the compressor, which runs on a thread."""

AHEAD = 1024 * 1024
"""Compressed bytes that may wait for a slow peer before the compressor pauses."""

MANY = 64
"""Connections whose end makes it worth while to give memory back: each had up to half a megabyte of buffers."""

FAREWELL = 0.5
"""Seconds that peers have at the end to take what was sent and close their side."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on a connection, in bytes and seconds; the defaults are kube-apiserver's.

    `body_budget` is what all bodies that are being received may have together, short ones not counted;
    `unfinished_budget` is for heads and short bodies of which a part has come. `connections` may be open; on `strangers` of them nobody was authenticated yet. 0 = as many as there are descriptors for.
    """

    header_bytes: int = 1 << 20
    body_bytes: int = 3 * 1024 * 1024
    body_budget: int = 64 * 1024 * 1024
    unfinished_budget: int = 64 * 1024 * 1024
    header_timeout: float = 32.0
    body_timeout: float = 60.0
    idle_timeout: float = 90.0
    gzip_above: int = 128 * 1024
    connections: int = 0
    strangers: int = 0


class Http1:
    """Makes the protocols of a listener's connections and ends them: a protocol factory for asyncio.

    One timer sweeps over all connections; it runs only while there are any.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        peer_chain: Callable[[Any], tuple[bytes, ...]] = lambda _: (),
        loop: asyncio.AbstractEventLoop | None = None,
        admit: Judge | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._loop = loop or asyncio.get_running_loop()
        self._compressing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._gone = 0
        shortest = min(self.limits.header_timeout, self.limits.body_timeout, self.limits.idle_timeout)
        self._interval = max(0.05, min(4.0, shortest / 8))
        self.service = Service(
            handler,
            self._loop,
            too_large=_too_large(self.limits.body_bytes),
            compress=self._compress,
            peer_chain=peer_chain,
            max_header_bytes=self.limits.header_bytes,
            max_body_bytes=self.limits.body_bytes,
            body_budget=self.limits.body_budget,
            header_timeout=self.limits.header_timeout,
            body_timeout=self.limits.body_timeout,
            idle_timeout=self.limits.idle_timeout,
            gzip_above=self.limits.gzip_above,
            unfinished_budget=self.limits.unfinished_budget,
            admit=admit,
        )

    def __call__(self) -> Any:
        """Make the protocol of a new connection."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._sweep)
        return self.service()

    def _sweep(self) -> None:
        self._timer = None
        self.service.sweep()
        gone = self.service.accepted - self.service.open
        if gone - self._gone > MANY:
            self._gone = gone
            self._loop.run_in_executor(None, _trim)
        if self.service.open:
            self._timer = self._loop.call_later(self._interval, self._sweep)

    async def drain(self, deadline: float) -> bool:
        """Close idle connections, let the others finish their answer, cut what is left after `deadline` s."""
        changed = asyncio.Event()
        self.service.on_change = changed.set
        self.service.drain()
        try:
            await self._wait(changed, self.service.connections, deadline)
            await self._wait(changed, self.service.leaving, FAREWELL)
            return not self.service.connections
        finally:
            self.close()

    async def _wait(self, changed: asyncio.Event, until_empty: set[Any], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while until_empty:
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            pass

    def close(self) -> None:
        """Cut all connections now."""
        self.service.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _compress(self, stream: Stream, body: "Iterable[bytes] | Packable") -> None:
        parts = body.gzip() if isinstance(body, Packable) else _gzip(body)
        task = self._loop.create_task(pump(stream, _made(parts, self._loop), AHEAD))
        self._compressing.add(task)
        task.add_done_callback(self._compressing.discard)

        def cancel() -> None:
            task.cancel()

        stream.on_close(cancel)


def _trim() -> None:
    """Have glibc give the free pages inside of its heap back; other allocators do so by themselves."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        pass


def _too_large(limit: int) -> Response:
    error = RequestEntityTooLarge(f"Request entity too large: limit is {limit}")
    return Response(error.code, orjson.dumps(error.status()) + b"\n")


def _slices(pieces: Iterable[bytes]) -> "Iterator[list[bytes] | memoryview]":
    """Group small pieces and cut long ones, so that each part has about SLICE bytes."""
    group: list[bytes] = []
    size = 0
    for piece in pieces:
        if len(piece) > 2 * SLICE:
            if group:
                yield group
                group, size = [], 0
            view = memoryview(piece)
            for at in range(0, len(piece), SLICE):
                yield view[at : at + SLICE]
            continue
        group.append(piece)
        size += len(piece)
        if size >= SLICE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _gzip(pieces: Iterable[bytes]) -> Iterator[Part]:
    """A body as a gzip stream, level 1 as upstream."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)

    def packed(part: "list[bytes] | memoryview") -> bytes:
        return compressor.compress(b"".join(part) if isinstance(part, list) else part)

    for part in _slices(pieces):
        yield partial(packed, part)
    yield compressor.flush


async def _made(parts: Iterator[Part], loop: asyncio.AbstractEventLoop) -> AsyncGenerator[bytes, None]:
    """The parts of a body; those that take long are made on a thread."""
    for part in parts:
        yield part if isinstance(part, bytes) else await loop.run_in_executor(None, part)
