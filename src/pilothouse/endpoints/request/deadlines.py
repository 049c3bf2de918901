"""Ends many streams at their times with one timer: a timer of each would take more memory than its watch."""

import asyncio

from pilothouse.server.request import Stream

STEP = 5.0
"""Seconds that an end may be late."""

EXACT = 60.0
"""A stream that ends sooner has a timer of its own, and is not late."""


class Deadline:
    """The end of one stream that is due; `cancel` forgets it."""

    __slots__ = ("_where", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._where: dict[Deadline, None] | asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Leave the stream alone from now on."""
        if isinstance(self._where, dict):
            self._where.pop(self, None)
        elif self._where is not None:
            self._where.cancel()
        self._where = None


class Deadlines:
    """Closes streams at about their times. Every operation but the tick takes constant time."""

    def __init__(self) -> None:
        self._buckets: dict[int, dict[Deadline, None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, one: Deadline, seconds: float) -> None:
        """Close the stream after `seconds`, or up to STEP later when that is far away."""
        loop = asyncio.get_running_loop()
        if seconds < EXACT:
            one._where = loop.call_later(seconds, one.stream.close)
            return
        step = int((loop.time() + seconds) / STEP) + 1
        one._where = bucket = self._buckets.setdefault(step, {})
        bucket[one] = None
        if self._timer is None:
            self._timer = loop.call_later(STEP, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time() / STEP
        for step in [step for step, bucket in self._buckets.items() if step <= now or not bucket]:
            for one in list(self._buckets.pop(step)):
                one.stream.close()
        self._timer = loop.call_later(STEP, self._tick, loop) if self._buckets else None
