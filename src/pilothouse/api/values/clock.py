"""The time that objects tell of and are judged by: the real one, unless a server is given a clock that moves.

What is measured (latencies, timeouts, waits) and what comes from elsewhere (certificates, OpenID tokens) goes
by the real time in any case.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Alarm(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Call it off."""


CallLater = Callable[[float, Callable[[], None]], Alarm]
"""Takes seconds, and what to call after them."""


class ServerClock(Protocol):
    """The time of a server. Its methods are bound where they are called often."""

    def time(self) -> float:
        """The time in Unix seconds."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        """Call back after this many seconds of the clock."""

    async def sleep(self, seconds: float, /) -> None:
        """Wait for this many seconds of the clock."""

    def thaw(self) -> None:
        """Let the time go on, if it was to stand still."""

    async def close(self) -> None:
        """Call nobody back any more."""


def on_loop(seconds: float, callback: Callable[[], None]) -> Alarm:
    """Call back after seconds of real time."""
    return asyncio.get_running_loop().call_later(seconds, callback)


class SystemClock:
    """The real time."""

    time = staticmethod(time.time)
    call_later = staticmethod(on_loop)

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds)

    def thaw(self) -> None:
        """Do nothing: it never stands still."""

    async def close(self) -> None:
        """Do nothing: it has no calls of its own."""


SYSTEM = SystemClock()
