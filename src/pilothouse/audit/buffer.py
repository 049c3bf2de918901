"""Events that wait for their back end, within a number of events and a budget of bytes."""

from collections import deque
from collections.abc import Callable, Sequence

from pilothouse.audit._audit import Event

BUDGET = 32 << 20
"""Bytes of the events that wait for one back end, those that it is sending included."""


class Buffer:
    """A queue from one thread to one other thread, or within one. What has no room in it is dropped.

    The bytes of an event are in use from `put` until `done`, so they are bounded while it is being sent as
    well. PERF: the events of one `put` stay together.
    """

    def __init__(self, most: int, dropped: Callable[[int, str], None], budget: int = BUDGET) -> None:
        """`most` is the number of events, `dropped` is told how many had no room, and why."""
        self._most = most
        self._budget = budget
        self._dropped = dropped
        self._groups: deque[tuple[int, Sequence[Event]]] = deque()
        self._put = self._done = 0
        self._come = self._gone = 0

    def __len__(self) -> int:
        return self._come - self._gone

    @property
    def used(self) -> int:
        """Bytes of all events that were put and are not done."""
        return self._put - self._done

    def put(self, events: Sequence[Event]) -> bool:
        """Add events; False when there was no room for one of them."""
        size = 0
        for event in events:
            size += event.size
        if (
            self._come - self._gone + len(events) <= self._most
            and self._put - self._done + size <= self._budget
        ):
            self._add(size, events)
            return True
        if len(events) == 1:
            full = len(self) >= self._most
            why = "audit buffer queue blocked" if full else f"the audit buffer holds its {self._budget} bytes"
            self._dropped(1, why)
            return False
        good = True
        for event in events:
            good &= self.put((event,))
        return good

    def _add(self, size: int, events: Sequence[Event]) -> None:
        self._put += size
        self._come += len(events)
        self._groups.append((size, events))

    def take(self, most: int, limit: int = 0) -> tuple[list[Event], int]:
        """At most `most` events, of at most `limit` bytes unless the first one alone has more;
        and their bytes, which are given back by `done`."""
        taken: list[Event] = []
        total = 0
        groups = self._groups
        while groups:
            size, events = groups[0]
            if len(taken) + len(events) > most or (limit and total + size > limit):
                if len(events) == 1 or len(taken) >= most:
                    if taken or most < 1:
                        break
                else:
                    groups.popleft()
                    groups.extendleft([(event.size, (event,)) for event in reversed(events)])
                    continue
            groups.popleft()
            taken += events
            total += size
        self._gone += len(taken)
        return taken, total

    def done(self, size: int) -> None:
        """Give back the bytes of events that were taken."""
        self._done += size
