"""Waiting for what another thread, process or socket does:
by short polls, with an error that says what did not come."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

T = TypeVar("T")

PAUSE = 0.005
"""Seconds between two looks."""


def eventually(check: Callable[[], T], what: str, seconds: float = 10) -> T:
    """Return what `check` returns as soon as that is true;
    AssertionError with `what` after this many seconds."""
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(PAUSE)
    return found


@overload
async def aeventually(check: Callable[[], Awaitable[T]], what: str, seconds: float = 10) -> T: ...


@overload
async def aeventually(check: Callable[[], T], what: str, seconds: float = 10) -> T: ...


async def aeventually(check: Callable[[], T | Awaitable[T]], what: str, seconds: float = 10) -> T:
    """Like eventually(), on the loop, by its time; `check` may be a coroutine function."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        found = check()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return cast(T, found)
        assert loop.time() < end, f"waited {seconds} s for {what}"
        await asyncio.sleep(PAUSE)
