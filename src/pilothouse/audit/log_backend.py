"""The log back end: writes each event as one line into a file (apiserver plugin/pkg/audit/log).

In the mode `batch` a thread writes, and requests never wait. In the blocking modes the event loop writes:
appending to the page cache takes a few microseconds. `blocking-strict` does so before the request goes on,
`blocking` before it waits for anything. The lines of reads, which are answered without a wait, are written
within GATHER_BLOCKING in the mode `blocking`, so those of many requests are one write. Events with large
objects are encoded and written by the thread in these modes as well: they are those of a request's end.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pilothouse.audit._audit import Event, Lines
from pilothouse.audit.batching import BATCH, BUFFERED, STRICT, Batching, Throttle
from pilothouse.audit.buffer import BUDGET, Buffer
from pilothouse.audit.event import LARGE
from pilothouse.audit.truncate import Truncation
from pilothouse.lifecycle import Background
from pilothouse.logs import Logger

log = Logger(__name__)

PLUGIN = "log"

BATCHING = Batching()
"""The defaults of the flags."""

GATHER = 0.005
"""Seconds for which the mode `batch` lets events gather between two writes."""

WRITE_BYTES = 1 << 20
"""Bytes of lines that the thread writes at once."""

GATHER_BLOCKING, GATHER_BYTES = 0.002, 256 * 1024
"""Seconds, and bytes, for which the mode `blocking` gathers lines that nothing waits for."""

CLOSE_SECONDS = 10.0
"""Time for what waits to be written when the server stops."""


class LineFile(Protocol):
    """A file that takes lines."""

    def write(self, data: bytes) -> None:
        """Append whole lines; OSError."""

    def close(self) -> None: ...


class LogBackend(Background):
    """Writes events to a file in the form `json` or `legacy`."""

    name = PLUGIN
    waits = False

    def __init__(
        self,
        file: LineFile,
        lost: Callable[[str, int, str], None],
        *,
        mode: str = BATCH,
        legacy: bool = False,
        batching: Batching = BATCHING,
        truncation: Truncation | None = None,
        budget: int = BUDGET,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`lost` is told of events that could not be written:
        plugin, number and reason, also on the thread."""
        self._file = file
        self._lost = lost
        self.strict = mode == STRICT
        self.legacy = legacy
        self._batch = mode == BATCH
        self._batching = batching
        self._truncation = truncation
        self._sleep = sleep
        self._throttle = Throttle(batching.rate, batching.burst)
        self._buffer = Buffer(batching.buffer, lambda count, why: lost(BUFFERED, count, why), budget)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gathered = Lines(GATHER_BYTES, self._begin, self._hand_on)
        self._gathers = False
        self._timer: asyncio.TimerHandle | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    @property
    def buffered(self) -> int:
        """Bytes of the events that wait for the thread."""
        return self._buffer.used

    def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.get_running_loop()
        self._gathers = not (self.strict or self.legacy or self._batching.rate)
        self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Write what waits, within a few seconds, and close the file."""
        self._hand_on()
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)
            if self._thread.is_alive():
                self._lost(PLUGIN, len(self._buffer), "the server stops and the file takes no lines")
                return
        await asyncio.to_thread(self._file.close)

    def store(self, event: Event) -> bool:
        """Write or queue the event of a request's beginning; False when the request must not go on."""
        return self.offer((event,)) or not self.strict

    def offer(self, events: Sequence[Event]) -> bool:
        """Write or queue events; whether that went well."""
        if self._truncation is not None:
            fit = self._truncation.fit
            events = [one for event in events if (one := fit(event)) is not None]
        if self._batch and not self._gathers:
            return self._queue(events)
        size = 0
        for event in events:
            size += event.size
        if size > LARGE and any(event.objects > LARGE for event in events):
            return self._queue(events)
        if not self._gathers:
            return self._write(events)
        for event in events:
            self._gathered.add(event.line)
        return True

    @property
    def lines(self) -> Lines | None:
        """The file that takes lines at once: they are gathered, and neither cut nor of another form."""
        return self._gathered if self._gathers and self._truncation is None else None

    def _begin(self) -> None:
        """A first line is gathered."""
        assert self._loop is not None
        self._timer = self._loop.call_later(GATHER if self._batch else GATHER_BLOCKING, self._hand_on)

    def flush(self) -> None:
        """Write what has been gathered: a request begins to wait. In the mode `batch` nothing hurries."""
        if not self._batch:
            self._hand_on()

    def _hand_on(self) -> None:
        """Write what has been gathered, or hand it to the thread."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines = self._gathered.take()
        if not lines:
            return
        if self._batch:
            self._queue([Event(0, line, b"") for line in lines])
        else:
            self._append(b"".join(lines), len(lines))

    def _queue(self, events: Sequence[Event]) -> bool:
        good = self._buffer.put(events)
        if not self._wake.is_set():
            self._wake.set()
        return good

    def _write(self, events: Sequence[Event]) -> bool:
        try:
            if self.legacy:
                data = b"".join([event.fields.text() for event in events])
            else:
                data = b"".join([event.line for event in events])
        except Exception as error:
            log.exception("Audit events cannot be encoded", events=len(events))
            self._lost(PLUGIN, len(events), str(error))
            return False
        return self._append(data, len(events))

    def _append(self, data: bytes, count: int) -> bool:
        """Write the lines of `count` events; whether that went well."""
        try:
            with self._lock:
                self._file.write(data)
        except OSError as error:
            self._lost(PLUGIN, count, str(error))
            return False
        return True

    # The thread

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait()
            self._wake.clear()
            self._fill()
            self.drain()
            if not self._gathers:
                self._sleep(GATHER)
        self.drain()

    def _fill(self) -> None:
        """Wait until a batch is full, or for as long as the flags say."""
        left = self._batching.wait if self._batching.most > 1 else 0.0
        while left > 0 and len(self._buffer) < self._batching.most and not self._closing:
            self._sleep(min(left, GATHER))
            left -= GATHER

    def drain(self) -> None:
        """Write all that waits. Where the rate of batches is not limited,
        as many events as there are go at once."""
        most = self._batching.most if self._batching.rate else self._batching.buffer
        while True:
            events, size = self._buffer.take(most, WRITE_BYTES)
            if not events:
                return
            delay = self._throttle.delay()
            if delay and not self._closing:
                self._sleep(delay)
            self._write(events)
            self._buffer.done(size)
