"""How late the event loop is: everything that holds it makes all requests wait."""

import asyncio

from pilothouse.lifecycle import Background
from pilothouse.metrics.instruments import Group, Histogram

INTERVAL = 0.1
"""Seconds between two looks."""

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class LoopLag(Group, Background):
    """Sets a timer again and again, and counts how much later than its time it fires."""

    def __init__(self) -> None:
        self.seconds = Histogram(
            "pilothouse_event_loop_lag_seconds",
            "[ALPHA] Seconds by which a timer of the event loop fired late.",
            (),
            SECONDS,
        )
        self._late = self.seconds.series()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(INTERVAL, self._look, loop)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._timer is not None
        self._late.observe(max(loop.time() - self._timer.when(), 0.0))
        self._timer = loop.call_later(INTERVAL, self._look, loop)
