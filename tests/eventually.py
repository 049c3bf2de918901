"""Waiting for what another thread, process or socket does:
by short polls, with an error that says what did not come."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

T = TypeVar("T")

PAUSE, LONGEST = 0.005, 0.1
"""Seconds between two looks, at first and at the most: a look may be a request, and takes processor time."""


def pause(waited: float) -> float:
    """Seconds until the next look, when so many have passed: a twentieth of them."""
    return min(max(PAUSE, waited / 20), LONGEST)


def eventually(check: Callable[[], T], what: str, seconds: float = 10) -> T:
    """Return what `check` returns as soon as that is true;
    AssertionError with `what` after this many seconds."""
    start = time.monotonic()
    while not (found := check()):
        waited = time.monotonic() - start
        assert waited < seconds, f"waited {seconds} s for {what}"
        time.sleep(pause(waited))
    return found


@overload
async def aeventually(check: Callable[[], Awaitable[T]], what: str, seconds: float = 10) -> T: ...


@overload
async def aeventually(check: Callable[[], T], what: str, seconds: float = 10) -> T: ...


async def aeventually(check: Callable[[], T | Awaitable[T]], what: str, seconds: float = 10) -> T:
    """Like eventually(), on the loop, by its time; `check` may be a coroutine function."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    while True:
        found = check()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return cast(T, found)
        waited = loop.time() - start
        assert waited < seconds, f"waited {seconds} s for {what}"
        await asyncio.sleep(pause(waited))
