"""Parts that the embedded stores share: the watches that get each commit, and the expiry of keys."""

import asyncio
import heapq
import time
from collections.abc import Callable

from pilothouse.api.values.clock import Alarm, CallLater, on_loop
from pilothouse.logs import Logger
from pilothouse.storage.interface import StorageError, StorageEvent, Subscription, Unavailable

log = Logger(__name__)

MAX_SLEEP = 3600.0
"""Seconds between two looks at the earliest deadline, so that a clock that was set is noticed."""


class Subscriber:
    """One watch of a store. While it is held, live events wait behind the replay of old ones."""

    __slots__ = ("_held", "_on_error", "_on_events", "closed", "prefix", "prev_kv", "revision")

    def __init__(
        self,
        prefix: str,
        revision: int,
        on_events: Callable[[list[StorageEvent]], None],
        on_error: Callable[[StorageError], None],
        prev_kv: bool,
    ) -> None:
        self.prefix = prefix
        self.revision = revision
        self.prev_kv = prev_kv
        self.closed = False
        self._on_events = on_events
        self._on_error = on_error
        self._held: list[list[StorageEvent]] | None = None

    def hold(self) -> None:
        """Keep live events back until release()."""
        self._held = []

    def release(self) -> None:
        """Deliver what was kept back; from now on events go straight through."""
        held, self._held = self._held or [], None
        for events in held:
            self.deliver(events)

    def offer(self, events: list[StorageEvent]) -> None:
        """Deliver those events of one commit, in order, that match the subscription."""
        prefix, revision = self.prefix, self.revision
        if prefix or events[0].kv.mod < revision:
            events = [e for e in events if e.kv.mod >= revision and e.kv.key.startswith(prefix)]
            if not events:
                return
        if self._held is not None:
            self._held.append(events)
        else:
            self.deliver(events)

    def deliver(self, events: list[StorageEvent]) -> None:
        """Call the watcher. One that raises has lost events, so its watch ends."""
        if self.closed or not events:
            return
        try:
            self._on_events(events)
        except Exception as error:
            log.exception("A watcher of the store failed")
            self.fail(Unavailable(f"watcher failed: {error}"))

    def fail(self, error: StorageError) -> None:
        """End the watch with an error."""
        if not self.closed:
            self.closed = True
            self._on_error(error)


class Feed:
    """The watches of one store."""

    def __init__(self) -> None:
        self._subscribers: tuple[Subscriber, ...] = ()
        self.wants_previous = False
        """Whether a subscriber wants the state before each change."""

    def add(self, subscriber: Subscriber) -> Subscription:
        """Add a subscriber; closing the subscription removes it."""
        self._set((*self._subscribers, subscriber))

        def close() -> None:
            subscriber.closed = True
            self._remove(subscriber)

        return Subscription(close)

    def publish(self, events: list[StorageEvent]) -> None:
        """Send the events of one commit to all subscribers; the events of a revision stay together."""
        for subscriber in self._subscribers:
            subscriber.offer(events)
            if subscriber.closed:
                self._remove(subscriber)

    def _remove(self, subscriber: Subscriber) -> None:
        self._set(tuple(one for one in self._subscribers if one is not subscriber))

    def _set(self, subscribers: tuple[Subscriber, ...]) -> None:
        self._subscribers = subscribers
        self.wants_previous = any(one.prev_kv for one in subscribers)

    def close(self, error: StorageError) -> None:
        """End all watches."""
        subscribers = self._subscribers
        self._set(())
        for subscriber in subscribers:
            subscriber.fail(error)


class Expiry:
    """Calls `expire(key, mod)` when a key's deadline has passed: a heap and one timer.

    `clock` gives Unix seconds, `call_later` calls back after seconds of it.
    """

    def __init__(
        self,
        expire: Callable[[str, int], None],
        clock: Callable[[], float] = time.time,
        call_later: CallLater = on_loop,
    ) -> None:
        self._expire = expire
        self._clock = clock
        self._call_later = call_later
        self._heap: list[tuple[int, str, int]] = []
        self._timer: Alarm | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def deadline(self, ttl: float) -> int:
        """Unix time in milliseconds at which something written now is due; 0 = never."""
        return int((self._clock() + ttl) * 1000) if ttl else 0

    def load(self, entries: list[tuple[int, str, int]]) -> None:
        """Remember many (deadline, key, mod) at once."""
        self._heap += entries
        heapq.heapify(self._heap)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to expire keys."""
        self._loop = loop
        self._arm()

    def close(self) -> None:
        """Stop expiring keys."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()

    def add(self, deadline: int, key: str, mod: int) -> None:
        """Remember that the version `mod` of a key is due at `deadline`; later versions make it void."""
        heapq.heappush(self._heap, (deadline, key, mod))
        if self._heap[0][1] == key:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None and self._heap:
            delay = self._heap[0][0] / 1000 - self._clock()
            self._timer = self._call_later(min(max(delay, 0.0), MAX_SLEEP), self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = int(self._clock() * 1000)
        while self._heap and self._heap[0][0] <= now:
            _, key, mod = heapq.heappop(self._heap)
            self._expire(key, mod)
        self._arm()
