"""Events of a controller, written beside its work, at most as many of an object as upstream's recorder
lets through."""

import asyncio
from collections import deque

from pilothouse.api.values.fields import Object
from pilothouse.controllers.recorder import Recorder
from pilothouse.registry.client import Client
from pilothouse.simulate.clock import Clock

BURST = 25
"""Events of one object at once (EventSourceObjectSpamFilter)."""
REFILL = 300.0
"""Seconds after which an object may have one more."""
AGAIN = 60.0
"""Seconds in which an event is not told again."""
SIMILAR = 10
"""Different notes of one object and reason from which on they are told by one event (EventAggregator)."""
FORGOTTEN = 600.0
"""Seconds without such an event after which they are told one by one again."""
COMBINED = "(combined from similar events): "
REMEMBERED = 4096
"""Objects whose events are counted; when there are more, the count begins anew."""


class EventQueue:
    """Takes events at once and writes them one after the other."""

    def __init__(self, client: Client, clock: Clock, component: str) -> None:
        self._recorder = Recorder(client, component)
        self._client = client
        self._clock = clock
        self._waiting: deque[tuple[Object, str, str, str, bool]] = deque()
        self._similar: dict[tuple[str, str, str], tuple[float, set[str]]] = {}
        self._left: dict[str, tuple[float, float]] = {}
        self._last: dict[tuple[str, str], tuple[str, float]] = {}
        self._task: asyncio.Task[None] | None = None

    def normal(self, about: Object, reason: str, note: str) -> None:
        """Tell of something that is as it should be."""
        self._add(about, "Normal", reason, note)

    def warning(self, about: Object, reason: str, note: str) -> None:
        """Tell of something that has failed."""
        self._add(about, "Warning", reason, note)

    async def close(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _add(self, about: Object, kind: str, reason: str, note: str) -> None:
        uid = about["metadata"].get("uid", "")
        if self._is_told(uid, reason, note):
            return
        combined = self._is_one_of_many((uid, kind, reason), note)
        if not self._may(uid):
            return
        told = f"{COMBINED}{note}" if combined else note
        self._waiting.append((about, kind, reason, told, combined))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._write(), name="events")

    def _is_told(self, uid: str, reason: str, note: str) -> bool:
        """Whether an object has just had this event; notes that it has it now."""
        key, now = (uid, reason), self._clock.time()
        last, at = self._last.get(key, ("", 0.0))
        if last == note and now - at < AGAIN:
            return True
        if key not in self._last and len(self._last) >= REMEMBERED:
            self._last.clear()
        self._last[key] = (note, now)
        return False

    def _is_one_of_many(self, key: tuple[str, str, str], note: str) -> bool:
        """Whether an object has had so many events with other notes that they are told by one."""
        now = self._clock.time()
        if key not in self._similar and len(self._similar) >= REMEMBERED:
            self._similar.clear()
        last, notes = self._similar.get(key, (now, set()))
        if now - last > FORGOTTEN:
            notes = set()
        notes.add(note)
        self._similar[key] = now, notes
        if len(notes) < SIMILAR:
            return False
        notes.pop()
        return True

    def _may(self, uid: str) -> bool:
        """Whether an object may have another event; takes it from its share."""
        now = self._clock.time()
        if uid not in self._left and len(self._left) >= REMEMBERED:
            self._left.clear()
        left, since = self._left.get(uid, (float(BURST), now))
        left = min(BURST, left + (now - since) / REFILL)
        self._left[uid] = (left - 1 if left >= 1 else left, now)
        return left >= 1

    async def _write(self) -> None:
        while self._waiting:
            about, kind, reason, note, combined = self._waiting.popleft()
            if not self._ends(about["metadata"].get("namespace", "")):
                await self._recorder.tell(about, kind, reason, note, any_note=combined)

    def _ends(self, namespace: str) -> bool:
        """Whether a namespace takes no more events."""
        found = self._client.readers.get("namespaces", "", namespace) if namespace else None
        return found is not None and (found.get("status") or {}).get("phase") == "Terminating"
