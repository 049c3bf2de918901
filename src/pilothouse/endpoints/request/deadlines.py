"""Ends what takes too long, with one timer for many: a timer of each would take more memory than a watch, and
more instructions than many a wait."""

import asyncio
import weakref
from typing import Any, TypeAlias

from pilothouse.endpoints.request.context import Context
from pilothouse.server._continuation import Continuation
from pilothouse.server.request import Stream

Carried: TypeAlias = "asyncio.Task[Any] | Continuation[Any]"
"""The rest of a request, which can be cancelled."""

STEP = 5.0
"""Seconds that an end may be late."""

ROUNDED = 0.002
"""Seconds by which the clock of a loop may be behind when a timer of it runs."""

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


class RequestDeadlines:
    """Cancels requests that have waited for as long as the server gives them.

    All have as long, so the one that has waited longest is the first in the dict, and is due first.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waiting: dict[Context, Carried] = {}
        self._timed = False

    def enter(self, ctx: Context, carried: Carried) -> None:
        """Cancel a request when its time is up, unless it leaves before."""
        loop = asyncio.get_running_loop()
        ctx.deadline = loop.time() + self.seconds
        self._waiting[ctx] = carried
        if not self._timed:
            self._timed = True
            loop.call_at(ctx.deadline, _expire, weakref.ref(self), loop)

    def at(self, ctx: Context, carried: Carried, seconds: float) -> None:
        """Cancel a request after seconds of its own."""

        def expire() -> None:
            ctx.expired = True
            carried.cancel()

        timer = asyncio.get_running_loop().call_later(seconds, expire)
        ctx.deadline = timer.when()
        carried.add_done_callback(lambda _: timer.cancel())

    def leave(self, ctx: Context) -> None:
        """Let a request be: it no longer waits."""
        self._waiting.pop(ctx, None)

    def expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel the requests that are due, and wait for the next one."""
        now = loop.time() + ROUNDED
        due = []
        self._timed = False
        for ctx, carried in self._waiting.items():
            assert ctx.deadline is not None
            if ctx.deadline > now:
                self._timed = True
                loop.call_at(ctx.deadline, _expire, weakref.ref(self), loop)
                break
            due.append((ctx, carried))
        for ctx, carried in due:
            del self._waiting[ctx]
            ctx.expired = True
            carried.cancel()


def _expire(waiting: weakref.ref[RequestDeadlines], loop: asyncio.AbstractEventLoop) -> None:
    """Go on with the requests of a server, if it is there still."""
    found = waiting()
    if found is not None:
        found.expire(loop)
