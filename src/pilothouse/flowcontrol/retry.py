"""The time after which a refused client should come again:
longer while many are refused (apiserver flowcontrol droppedRequestsTracker)."""

import time
from collections.abc import Callable

LONGEST = 32
"""Seconds that a client is asked to wait at the most."""


class RetryAfter:
    """The Retry-After of one priority level, in whole seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.seconds = 1
        self._clock = clock
        self._second = 0
        self._count = 0
        self._doubled = 0
        self._history: list[tuple[int, int]] = []
        """(second, how many were refused in it), for as many seconds as are looked at."""

    def refused(self) -> int:
        """Count a refusal; the seconds after which its client should come again."""
        now = int(self._clock())
        if now != self._second:
            self._history.append((self._second, self._count))
            self._second, self._count = now, 0
            self._adjust(now)
        self._count += 1
        return self.seconds

    def _adjust(self, now: int) -> None:
        """Double when three a second were refused lately; count down when there was less than one."""
        self._history = [row for row in self._history if now - row[0] <= LONGEST]
        dropped = sum(count for second, count in self._history if now - second <= self.seconds)
        if dropped >= 3 * self.seconds and now - self._doubled >= self.seconds:
            self.seconds = min(2 * self.seconds, LONGEST)
            self._doubled = now
        elif dropped < self.seconds and self.seconds > 1:
            self.seconds -= 1
