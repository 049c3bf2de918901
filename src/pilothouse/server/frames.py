"""Gives the frames of a connection that was taken over to a receiver, in turns and within a budget.

A peer that sends many small frames makes much work with few bytes. So a connection reads as many of them as a
turn has room for (`_turns`); the others wait until its turn comes again. What a receiver writes to either
side during a turn goes out as one write at the end of it.
Frames that nobody needs have a budget: a peer that has used it up is sent away.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from pilothouse.server._turns import Line, Taker
from pilothouse.server.upgrade import Duplex

IDLE_FRAMES, IDLE_PER_SECOND = 10_000, 330.0
"""Frames without data that a peer may send at once, and per second;
HTTP/2 has the same bounds for its peers."""

BATCH = 32_000
"""Units that a reader may use before the turn is looked at."""

AHEAD = 256 * 1024
"""Bytes that are taken from a connection whose turn has not come; then it is not read.

Were it not read at once, what the peer sends just before it closes would be lost: TLS transports drop it.
"""

OBJECT = 64
"""Bytes that a piece takes besides its own."""

E = TypeVar("E")
W_co = TypeVar("W_co", covariant=True)


class FrameReader(Protocol[E, W_co]):
    """Reads frames out of bytes: those of `_websocket` and `_spdy`."""

    @property
    def empty(self) -> int:
        """Frames without data that have come."""

    @property
    def spent(self) -> int:
        """Units that the last `read` has used."""

    @property
    def pending(self) -> bool:
        """Whether there are bytes that were not read."""

    @property
    def error(self) -> W_co:
        """The fault of the peer; nothing more is read then."""

    def feed(self, data: bytes) -> None:
        """Take bytes of the peer."""

    def read(self, units: int) -> list[E]:
        """The next events, until the units are spent."""


class Frames(Generic[E, W_co]):
    """The frames of one duplex, to whose receiver they belong: it passes on `received` and `closed`.

    take: gets the events. refuse: gets the reader's `error`, or `flood` when the peer has sent too many
    frames without data; it ends the connection, and nothing is read any more.
    """

    def __init__(
        self,
        duplex: Duplex,
        line: Line,
        reader: FrameReader[E, W_co],
        take: Callable[[list[E]], None],
        refuse: Callable[[W_co], None],
        flood: W_co,
    ) -> None:
        self._duplex = duplex
        self._reader = reader
        self._take = take
        self._refuse = refuse
        self._flood = flood
        self._turn = Taker(line, self._go_on)
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[bytes] = deque()
        self._held = 0  # bytes in them
        self.paused = self._stopped = False
        self._then: Callable[[], None] | None = None
        self._credit, self._at = float(IDLE_FRAMES), self._loop.time()
        self._seen = 0  # frames without data that were charged
        self.sinks: tuple[Duplex, ...] = (duplex,)
        """The connections that events are written to."""

    @property
    def _pending(self) -> bool:
        return not self._stopped and (self._reader.pending or bool(self._chunks))

    def received(self, data: bytes) -> None:
        """Bytes of the peer."""
        if self._stopped:
            return
        self._chunks.append(data)
        self._held += len(data) + OBJECT
        if not (self.paused or self._turn.waits):
            self._run()
        self._regulate()

    def pause(self) -> None:
        """Give no more events. Those of the turn that is under way may still come; calls do not add up."""
        self.paused = True
        self._duplex.pause_reading()

    def resume(self) -> None:
        """Give events again, from the next turn on."""
        self.paused = False
        self._regulate()

    def stop(self) -> None:
        """Give no more events, ever."""
        self._stopped = True
        self._chunks.clear()
        self._turn.close()
        self._tell_end()

    def closed(self, then: Callable[[], None]) -> None:
        """The connection has ended; call `then` once what has come was given to the receiver."""
        if self._pending:
            self._then = then
        else:
            then()

    def charge(self, frames: int = 1) -> None:
        """Count frames that carried nothing for anybody; too many end the connection."""
        now = self._loop.time()
        earned = (now - self._at) * IDLE_PER_SECOND
        self._credit = min(self._credit + earned, IDLE_FRAMES) - frames
        self._at = now
        if self._credit < 0 and not self._stopped:
            self.stop()
            self._refuse(self._flood)

    # --- turns

    def _go_on(self) -> None:
        try:
            if not self.paused:
                self._run()
            self._regulate()
        except BaseException:
            self._duplex.abort()
            raise

    def _run(self) -> None:
        """Read as many frames as the turn has room for."""
        self._turn.begin()
        for sink in self.sinks:
            sink.gather()
        try:
            while self._pending and not self.paused:
                self._read()
                if not self._turn.spend(self._reader.spent):
                    break
        finally:
            self._turn.end()
            for sink in self.sinks:
                sink.flush()

    def _read(self) -> None:
        reader = self._reader
        if not reader.pending and self._chunks:
            data = self._chunks.popleft()
            self._held -= len(data) + OBJECT
            reader.feed(data)
        events = reader.read(BATCH)
        if events:
            self._take(events)
        if reader.empty != self._seen:
            frames, self._seen = reader.empty - self._seen, reader.empty
            self.charge(frames)
        if reader.error and not self._stopped:
            self.stop()
            self._refuse(reader.error)

    def _regulate(self) -> None:
        """Wait for another turn if there is work left; else read on, or tell the end."""
        if self.paused or self._stopped:
            return
        if self._pending:
            self._turn.wait()
        elif self._then is not None:
            self._tell_end()
            return
        if self._held > AHEAD:
            self._duplex.pause_reading()
        else:
            self._duplex.resume_reading()

    def _tell_end(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()
