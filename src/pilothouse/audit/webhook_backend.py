"""The webhook back end: posts lists of events to a service (apiserver plugin/pkg/audit/webhook and buffered).

In the mode `batch` events are gathered and sent by tasks, and requests never wait; at most IN_FLIGHT lists
are under way. A list that is not taken is sent again, up to ATTEMPTS times, and is then lost. In the blocking
modes the event of a request's beginning is sent before the request goes on;
those of its end are sent beside it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from pilothouse.audit._audit import Event, Lines
from pilothouse.audit.batching import BATCH, BUFFERED, STRICT, Batching, Throttle
from pilothouse.audit.buffer import BUDGET, Buffer
from pilothouse.audit.event import LARGE, item
from pilothouse.audit.truncate import Truncation
from pilothouse.lifecycle import Background
from pilothouse.logs import Logger
from pilothouse.waiting import in_task

log = Logger(__name__)

PLUGIN = "webhook"

ATTEMPTS, FACTOR, JITTER = 5, 1.5, 0.2
"""How often a list is sent, and how the wait between two attempts grows
(util/webhook DefaultRetryBackoff)."""

IN_FLIGHT = 64
"""Lists that may be under way at once; upstream has no such limit."""

BATCHING = Batching(most=400, wait=30.0, rate=10.0, burst=15)
"""The defaults of the flags."""

CLOSE_SECONDS = 10.0
"""Time for what waits to be sent when the server stops."""

Post = Callable[[bytes], Awaitable[object]]
"""Sends a body; OSError when it was not taken."""


class WebhookBackend(Background):
    """Posts events as an EventList."""

    name = PLUGIN
    legacy = False
    lines: Lines | None = None

    def __init__(
        self,
        post: Post,
        lost: Callable[[str, int, str], None],
        *,
        mode: str = BATCH,
        batching: Batching = BATCHING,
        truncation: Truncation | None = None,
        backoff: float = 10.0,
        budget: int = BUDGET,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`lost` is told of events that were not taken.
        `backoff` are the seconds before the second attempt. `clock` is the loop's unless it is given."""
        self._post = post
        self._lost = lost
        self.strict = mode == STRICT
        self.waits = mode != BATCH
        self._batching = batching
        self._at_once = self.waits or batching.most == 1 or batching.wait <= 0
        """Events are not gathered."""
        self._truncation = truncation
        self._backoff = backoff
        self._clock = clock
        self._buffer = Buffer(batching.buffer, lambda count, why: lost(BUFFERED, count, why), budget)
        self._full = asyncio.Event()
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._closing = False
        self._sending: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def buffered(self) -> int:
        """Bytes of the events that wait or are being sent."""
        return self._buffer.used

    def use(self, post: Post) -> None:
        """Send to another service from now on."""
        self._post = post

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="audit webhook")

    async def close(self) -> None:
        """Send what waits, within a few seconds."""
        if self._task is None:
            return
        self._closing = True
        self._full.set()
        await asyncio.wait((self._task,), timeout=CLOSE_SECONDS)
        if self._sending:
            await asyncio.wait(self._sending, timeout=CLOSE_SECONDS)
        for task in (self._task, *self._sending):
            task.cancel()
        await asyncio.wait((self._task, *self._sending))
        if self._buffer:
            self._lost(PLUGIN, len(self._buffer), "the server stops and the webhook takes no events")

    def store(self, event: Event) -> bool | Awaitable[bool]:
        """Queue the event of a request's beginning, or send it: whether the request may go on."""
        if not self.waits:
            self.offer((event,))
            return True
        return self._stored(event)

    async def _stored(self, event: Event) -> bool:
        fitting = self._fitting((event,))
        await in_task()
        return not fitting or await self._sent(fitting) or not self.strict

    def offer(self, events: Sequence[Event]) -> bool:
        """Queue events; whether there was room."""
        good = self._buffer.put(self._fitting(events))
        if self._at_once or len(self._buffer) >= self._batching.most:
            self._full.set()
        return good

    def flush(self) -> None:
        """Do nothing: events are on their way."""

    def _fitting(self, events: Sequence[Event]) -> Sequence[Event]:
        if self._truncation is None:
            return events
        return [one for event in events if (one := self._truncation.fit(event)) is not None]

    # Sending

    async def _run(self) -> None:
        batching = self._batching
        loop = asyncio.get_running_loop()
        throttle = Throttle(batching.rate, batching.burst, self._clock or loop.time)
        limit = self._truncation.batch if self._truncation is not None else 0
        while not self._closing or self._buffer:
            if len(self._buffer) < (1 if self._at_once else batching.most) and not self._closing:
                await self._gather()
            if not self._buffer:
                continue
            await self._room.acquire()
            if not self.waits:
                await asyncio.sleep(throttle.delay())
            task = loop.create_task(self._deliver(*self._buffer.take(batching.most, limit)))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _gather(self) -> None:
        """Wait until a batch is full, for as long as the flags say,
        or for one event where none are gathered."""
        self._full.clear()
        try:
            async with asyncio.timeout(None if self._at_once else self._batching.wait):
                await self._full.wait()
        except TimeoutError:
            pass

    async def _deliver(self, events: list[Event], size: int) -> None:
        try:
            await self._sent(events)
        finally:
            self._buffer.done(size)
            self._room.release()

    async def _sent(self, events: Sequence[Event]) -> bool:
        """Send a list until it is taken or all attempts have failed: whether it was taken."""
        why = "the server stops"
        try:
            large = sum([event.size for event in events]) > LARGE
            body = await asyncio.to_thread(event_list, events) if large else event_list(events)
            pause = self._backoff
            for attempt in range(ATTEMPTS):
                try:
                    await self._post(body)
                    return True
                except OSError as error:
                    why = str(error)
                if attempt == ATTEMPTS - 1 or self._closing:
                    break
                await asyncio.sleep(pause * (1 + random.random() * JITTER))
                pause *= FACTOR
        except asyncio.CancelledError:
            self._lost(PLUGIN, len(events), why)
            raise
        except Exception as error:
            log.exception("Audit events cannot be sent", events=len(events))
            why = str(error)
        self._lost(PLUGIN, len(events), why)
        return False


def event_list(events: Sequence[Event]) -> bytes:
    """The events as an audit.k8s.io/v1 EventList."""
    items = b",".join([item(event) for event in events])
    return b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[%b]}\n' % items
