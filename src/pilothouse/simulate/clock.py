"""The time of a simulated cluster: the real one, and what was added to it."""

import asyncio
import heapq
import inspect
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from pilothouse.api import meta
from pilothouse.logs import Logger

log = Logger(__name__)

Callback = Callable[[], Awaitable[Any] | None]

TOGETHER = 1.0
"""Seconds within which timers are taken together, when much time passes."""

FEW = 64
"""Cancelled timers that are kept in any case until they are due."""


def _still() -> float:
    return 0.0


class Timer:
    """A callback that is due at a time; `cancel` calls it off.
    A quiet one may be late when much time passes."""

    __slots__ = ("_callback", "_clock", "due", "quiet")

    def __init__(self, clock: "Clock", due: float, callback: Callback, *, quiet: bool) -> None:
        self.quiet = quiet
        self._clock = clock
        self._callback: Callback | None = callback
        self.due = due

    def cancel(self) -> None:
        """Call it off; does nothing when it has run."""
        if self._callback is not None:
            self._callback = None
            self._clock.cancelled()

    @property
    def pending(self) -> bool:
        """Whether it will still run."""
        return self._callback is not None

    def take(self) -> Callback | None:
        """The callback, once."""
        callback, self._callback = self._callback, None
        return callback


class Clock:
    """The time by which simulated controllers work; it goes on by itself, and `advance` moves it forward.

    A callback may return a coroutine, which runs as a task. `caught_up` waits for the tasks that have begun
    so far: a controller that concludes something from what others have not written for some time waits for
    them first, because `advance` makes much time pass at once.

    `wall` is the time that goes on by itself, in Unix seconds. `moved` are called after each move.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._real = self._wall = wall
        self._passing = asyncio.Lock()
        self.moved: list[Callable[[], None]] = []
        self._offset = 0.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._cancelled = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._advancing = False
        self._closed = False

    def time(self) -> float:
        """The time in Unix seconds."""
        return self._wall() + self._offset

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def stamp(self, at: float | None = None) -> str:
        """The time, or `at` in Unix seconds, as objects have it: RFC 3339 in whole seconds."""
        return meta.now(self.time() if at is None else at)

    def stamp_micro(self) -> str:
        """The time as leases have it: RFC 3339 with six decimals."""
        return meta.now_micro(self.time())

    def call_later(self, seconds: float, callback: Callback, *, quiet: bool = False) -> Timer:
        """Call back after this many seconds of this clock."""
        timer = Timer(self, self.time() + max(seconds, 0.0), callback, quiet=quiet)
        if not self._closed:
            self._count += 1
            heapq.heappush(self._timers, (timer.due, self._count, timer))
            if self._timers[0][2] is timer:
                self._set_alarm()
        return timer

    def advance(self, seconds: float) -> None:
        """Move the time forward, and call what becomes due in order, each at its time."""
        if seconds < 0:
            raise ValueError("a clock cannot go back")
        target = self.time() + seconds
        self._advancing = True
        try:
            while self._timers and self._timers[0][0] <= target:
                due, _, timer = heapq.heappop(self._timers)
                self._offset += max(due - self.time(), 0.0)
                self._call(timer)
            self._offset += max(target - self.time(), 0.0)
        finally:
            self._advancing = False
            self._set_alarm()
        for listener in self.moved:
            listener()

    async def pass_time(self, seconds: float, settled: Callable[[], Awaitable[None]]) -> None:
        """Move the time forward from one timer to the next, and wait at each until all has settled that it
        has begun.

        Timers that are due within a hundredth of the time, or within a second, are taken together. Quiet ones
        wait for another one.
        """
        if seconds < 0:
            raise ValueError("a clock cannot go back")
        async with self._passing:
            await settled()
            target, together = self.time() + seconds, min(seconds / 100, TOGETHER)
            while (due := self._next()) is not None and due <= target:
                self.advance(max(min(due + together, target) - self.time(), 0.0))
                await settled()
            self.advance(max(target - self.time(), 0.0))
            await settled()

    def _next(self) -> float | None:
        """When the next timer is due that is not quiet."""
        return min((due for due, _, one in self._timers if one.pending and not one.quiet), default=None)

    @property
    def frozen(self) -> bool:
        """Whether the time moves by `advance` alone."""
        return self._wall is not self._real

    def freeze(self) -> None:
        """Let the time stand still; it moves by `advance` alone."""
        self._offset, self._wall = self.time(), _still
        self._set_alarm()

    def thaw(self) -> None:
        """Let the time go on by itself again."""
        now = self.time()
        self._wall = self._real
        self._offset = now - self._wall()
        self._set_alarm()

    async def sleep(self, seconds: float, /) -> None:
        """Wait for this many seconds of this clock."""
        over = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: None if over.done() else over.set_result(None))
        try:
            await over
        finally:
            timer.cancel()

    async def caught_up(self) -> None:
        """Wait until the coroutines of the callbacks that were called so far have ended."""
        waited = self._tasks - {asyncio.current_task()}
        if waited:
            await asyncio.wait(waited)

    async def close(self) -> None:
        """Drop all timers, and cancel what their callbacks have begun."""
        self._closed = True
        self._timers.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def cancelled(self) -> None:
        """A timer was called off: forget such timers when they are most of all."""
        self._cancelled += 1
        if self._cancelled > FEW and self._cancelled * 2 > len(self._timers):
            self._timers = [one for one in self._timers if one[2].pending]
            heapq.heapify(self._timers)
            self._cancelled = 0
            self._set_alarm()

    def _set_alarm(self) -> None:
        """Wake up when the next timer is due."""
        if self._advancing or self._closed:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._timers:
            seconds = max(self._timers[0][0] - self.time(), 0.0)
            if seconds and self.frozen:
                return
            self._alarm = asyncio.get_running_loop().call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now = self.time()
        while self._timers and self._timers[0][0] <= now:
            self._call(heapq.heappop(self._timers)[2])
        self._set_alarm()

    def _call(self, timer: Timer) -> None:
        callback = timer.take()
        if callback is None:
            self._cancelled = max(self._cancelled - 1, 0)
            return
        try:
            found = callback()
        except Exception:
            log.exception("A timer of the simulation failed")
            return
        if inspect.iscoroutine(found):
            task = asyncio.get_running_loop().create_task(found)
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A timer of the simulation failed", err=error)
