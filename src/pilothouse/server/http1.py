"""HTTP/1.1 connections of one listener: their limits, time-outs and draining."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from pilothouse.errors import RequestEntityTooLarge
from pilothouse.process.frozen import frozen
from pilothouse.process.heap import give_back
from pilothouse.server._answers import Service
from pilothouse.server._http1 import Connection
from pilothouse.server.compress import Compressor
from pilothouse.server.request import Handler, Judge, Response

TRIM_AFTER = 64
"""Connections that end before free memory is returned to the system; each had up to 600 KB of buffers."""

TRIM_SECONDS = 1.0
"""Seconds between two such returns while connections with large buffers end."""

CLOSE_GRACE = 0.5
"""Seconds for peers to read what was sent and to close their side when the server stops."""


@frozen
class Limits:
    """Limits on connections, in bytes and seconds; the defaults are kube-apiserver's.

    `handshake_timeout` is for the first bytes of a connection, and again for its TLS handshake (10 seconds as
    in Go's default transport). `last_handshakes` is for the TCP handshakes that have begun when the port is
    closed: some round trips in a data center. `body_budget` is what all bodies that are being received may
    have together, short ones not counted; `unfinished_budget` is for heads and short bodies of which a part
    has come, with TLS's buffers for them. At most `connections` are open, and on at most `unauthenticated` of
    them nobody was authenticated yet; 0 = as many as there are descriptors for. An HTTP/2 connection has at
    most `streams` requests at a time: upstream's 100 are too few for kubelets
    (kubernetes#74302 has it for 250), because each of their watches is one.
    """

    header_bytes: int = 1 << 20
    body_bytes: int = 3 * 1024 * 1024
    body_budget: int = 64 * 1024 * 1024
    unfinished_budget: int = 64 * 1024 * 1024
    header_timeout: float = 32.0
    body_timeout: float = 60.0
    idle_timeout: float = 90.0
    handshake_timeout: float = 10.0
    last_handshakes: float = 0.03
    gzip_above: int = 128 * 1024
    connections: int = 0
    unauthenticated: int = 0
    streams: int = 1000


class Http1:
    """Protocol factory for asyncio: makes the connections of a listener,
    checks their time-outs and ends them.

    One timer sweeps over all connections; it runs only while there are any. `clock` is what time-outs are
    measured by, in seconds; None is the monotonic clock, which is read without a call into Python.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        peer_chain: Callable[[Any], tuple[bytes, ...]] = lambda _: (),
        loop: asyncio.AbstractEventLoop | None = None,
        admit: Judge | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._loop = loop or asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = 0
        self._freed = 0
        self._trimmed = 0.0
        self._compressor = Compressor()
        shortest = min(self.limits.header_timeout, self.limits.body_timeout, self.limits.idle_timeout)
        self._interval = max(0.05, min(4.0, shortest / 8))
        self.service = Service(
            handler,
            self._loop,
            too_large=_too_large(self.limits.body_bytes),
            compress=self._compressor.compress,
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
            clock=clock,
        )
        self.service.on_freed = self._on_freed

    def __call__(self) -> Connection:
        """Make the protocol of a new connection."""
        self.keep_time()
        return Connection(self.service)

    def keep_time(self) -> None:
        """Check time-outs from now on, of connections of either protocol."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        self.service.sweep()
        ended = self.service.accepted - self.service.open
        if ended - self._ended > TRIM_AFTER:
            self._ended = ended
            self._loop.run_in_executor(None, give_back)
        if self.service.open:
            self._timer = self._loop.call_later(self._interval, self._sweep)

    def _on_freed(self) -> None:
        """Return the buffers of connections soon:
        those of a thousand are far apart in the heap, and others would grow it."""
        self._freed += 1
        now = self._loop.time()
        if self._freed > TRIM_AFTER and now - self._trimmed > TRIM_SECONDS:
            self._freed, self._trimmed = 0, now
            self._loop.run_in_executor(None, give_back)

    async def drain(self, deadline: float) -> bool:
        """Close idle connections, let others finish their answer, cut the rest after `deadline` seconds.

        Returns True if no connection had to be cut.
        """
        changed = asyncio.Event()
        self.service.on_change = changed.set
        self.service.drain()
        try:
            await self._wait(changed, self.service.connections, deadline)
            await self._wait(changed, self.service.leaving, CLOSE_GRACE)
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
        """Cut all connections immediately."""
        self.service.on_freed = None
        self.service.abort()
        self._compressor.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _too_large(limit: int) -> Response:
    error = RequestEntityTooLarge(f"Request entity too large: limit is {limit}")
    return Response(error.code, orjson.dumps(error.status()) + b"\n")
