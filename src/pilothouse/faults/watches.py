"""Watches that a fault may slow down, cut, or end with an ERROR event, also while they run."""

import asyncio
from collections import deque
from collections.abc import Callable

from pilothouse.faults.faults import Fault, Faults
from pilothouse.faults.subject import Subject
from pilothouse.server.request import Stream


class DroppedByFaultError(asyncio.CancelledError):
    """A request whose connection a fault cuts."""


class FaultyWatch:
    """The stream of a watch, through which its events go.

    error: encodes the ERROR event of a fault. struck: told of a fault that strikes a watch that runs.
    """

    def __init__(
        self,
        stream: Stream,
        subject: Subject,
        faults: Faults,
        error: Callable[[Fault], bytes],
        struck: Callable[[Fault], None],
    ) -> None:
        self.subject = subject
        self._stream = stream
        self._error, self._struck = error, struck
        self._loop = asyncio.get_running_loop()
        self._fault: Fault | None = None
        self._left = 0
        """Events until the fault ends the watch, 0 when it does not."""
        self._delay = 0.0
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued = 0
        self._timer: asyncio.TimerHandle | None = None
        self._over = self._closing = False
        self._drained: list[Callable[[], None]] = []
        faults.watches[self] = None
        stream.on_close(lambda: self._leave(faults))

    def suffer(self, fault: Fault) -> None:
        """Have a fault from now on, though the watch runs already."""
        self._struck(fault)
        self.take(fault)

    def take(self, fault: Fault) -> None:
        """Have a fault from now on."""
        rule = fault.rule
        self._fault, self._delay, self._left = fault, rule.delay, rule.after_events
        if rule.ends_watches and not rule.after_events:
            self._loop.call_soon(self._end)

    def recover(self, fault: Fault) -> None:
        """Have a fault no longer; events that wait go out at once."""
        if self._fault is fault and not (fault.rule.ends_watches and not self._left):
            self._fault, self._delay, self._left = None, 0.0, 0
            self._flush(everything=True)

    # --- as `server.request.Stream`

    def write(self, data: bytes) -> None:
        if self._over:
            return
        if not (self._delay or self._queue):
            self._pass(data)
            return
        self._queue.append((self._loop.time() + self._delay, data))
        self._queued += len(data)
        self._wait()

    def buffered(self) -> int:
        return self._queued + self._stream.buffered()

    def close(self) -> None:
        self._closing = True
        if not self._queue:
            self._stream.close()

    def abort(self, error: BaseException | None = None) -> None:
        self._stream.abort(error)

    def on_close(self, callback: Callable[[], None]) -> None:
        self._stream.on_close(callback)

    def on_drain(self, callback: Callable[[], None]) -> None:
        self._drained.append(callback)
        self._stream.on_drain(callback)

    # --- what a fault does

    def _pass(self, data: bytes) -> None:
        self._stream.write(data)
        if self._left:
            self._left -= 1
            if not self._left:
                self._over = True
                self._loop.call_soon(self._end)

    def _end(self) -> None:
        """End the watch as the fault has it."""
        fault = self._fault
        if fault is None:
            return
        self._over = True
        if fault.rule.drop:
            self._stream.abort(ConnectionAbortedError(f"the fault {fault.name} has cut the watch"))
        else:
            self._stream.write(self._error(fault))
            self._stream.close()

    def _wait(self) -> None:
        if self._timer is None and self._queue:
            self._timer = self._loop.call_at(self._queue[0][0], self._due)

    def _due(self) -> None:
        self._timer = None
        self._flush()

    def _flush(self, *, everything: bool = False) -> None:
        """Write the events whose time has come."""
        now = self._loop.time()
        while self._queue and not self._over and (everything or self._queue[0][0] <= now):
            data = self._queue.popleft()[1]
            self._queued -= len(data)
            self._pass(data)
        self._wait()
        if not self._queue:
            if self._closing:
                self._stream.close()
            for callback in self._drained:
                callback()

    def _leave(self, faults: Faults) -> None:
        faults.watches.pop(self, None)
        self._over = True
        self._queue.clear()
        self._queued = 0
        if self._timer is not None:
            self._timer.cancel()
