"""Events that wait for their back end, within a number of events and a budget of bytes."""

from collections import deque
from collections.abc import Callable, Iterable

from pilothouse._audit import Event

BUDGET = 32 << 20
"""Bytes of the events that wait for one back end, those that it is sending included."""


class Buffer:
    """A queue from one thread to one other thread, or within one. What has no room in it is dropped.

    The bytes of an event are in use from `put` until `done`, so they are bounded while it is being sent as well.
    """

    def __init__(self, most: int, dropped: Callable[[int, str], None], budget: int = BUDGET) -> None:
        """`most` is the number of events, `dropped` is told how many had no room, and why."""
        self._most = most
        self._budget = budget
        self._dropped = dropped
        self._events: deque[tuple[int, Event]] = deque()
        self._put = 0
        self._done = 0

    def __len__(self) -> int:
        return len(self._events)

    @property
    def used(self) -> int:
        """Bytes of all events that were put and are not done."""
        return self._put - self._done

    def put(self, events: Iterable[Event]) -> bool:
        """Add events; False when there was no room for one of them."""
        waiting, good = self._events, True
        for event in events:
            size = event.size
            if len(waiting) >= self._most:
                self._dropped(1, "audit buffer queue blocked")
                good = False
            elif self._put - self._done + size > self._budget:
                self._dropped(1, f"the audit buffer holds its {self._budget} bytes")
                good = False
            else:
                self._put += size
                waiting.append((size, event))
        return good

    def take(self, most: int, limit: int = 0) -> tuple[list[Event], int]:
        """At most `most` events, of at most `limit` bytes unless the first one alone has more; and their bytes, which
        are given back by `done`."""
        events: list[Event] = []
        total = 0
        while self._events and len(events) < most:
            size, event = self._events[0]
            if limit and events and total + size > limit:
                break
            self._events.popleft()
            events.append(event)
            total += size
        return events, total

    def done(self, size: int) -> None:
        """Give back the bytes of events that were taken."""
        self._done += size
