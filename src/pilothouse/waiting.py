"""How a request waits: its coroutines run without a task until their first wait, and most often in one from
then on.

The HTTP server calls the handler inside the parser's callback, where there is no current task. The pipeline
runs a request's coroutine there with `send(None)`: one that never waits is answered at once, which most reads
are. One that waits goes on as a task (`as_task`), unless it waits for a commit alone (`CommitFuture`).

So code that runs before the first wait, or after a commit, may have no current task, and `asyncio.timeout`,
`asyncio.wait_for` and `asyncio.TaskGroup` fail in it. Code that needs them awaits `in_task()` first. The
admission chain does so before it awaits a plugin.
"""

import asyncio
import time
from collections.abc import Coroutine, Generator
from contextvars import Context
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


SLICE = 0.002
"""Seconds for which long work holds the event loop at a time."""


class CommitFuture(asyncio.Future[T]):
    """The outcome of a write that the store has accepted. A request that waits for nothing else goes on after
    it without a task (server/_continuation)."""


class Pace:
    """Lets the event loop go on in the middle of long work that runs on it."""

    def __init__(self, slice: float = SLICE) -> None:
        self._slice = slice
        self._until = time.perf_counter() + slice

    async def pause(self) -> None:
        """Wait for a turn of the loop once a slice of time is used up; awaited after each small step."""
        if time.perf_counter() >= self._until:
            await asyncio.sleep(0)
            self._until = time.perf_counter() + self._slice


async def woken(event: asyncio.Event, seconds: float) -> bool:
    """Wait until an event is set, at most for `seconds`, and clear it; whether it was set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True


async def in_task() -> None:
    """Return inside of a task: at once where there is one, else after the caller has been made one."""
    if asyncio.current_task() is None:
        await _suspend()


def as_task(coro: Coroutine[Any, Any, T], awaited: Any, context: Context | None = None) -> asyncio.Task[T]:
    """Go on with a coroutine, as a task, from its first wait on:
    `awaited` is what `coro.send(None)` returned.

    context: of the task; a copy of the current one where none is given.
    """
    rest = _rest(coro, awaited)
    rest.send(
        None
    )  # so that it has begun: a cancel before the task's first step would pass by `coro` otherwise
    return asyncio.get_running_loop().create_task(rest, context=context)


async def _rest(coro: Coroutine[Any, Any, T], awaited: Any) -> T:
    return await _resume(coro, awaited)


@coroutine
def _suspend() -> Generator[None, None, None]:
    yield


@coroutine
def _resume(coro: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Yield nothing once, for as_task();
    then `awaited`, unless that is nothing as well; then what `coro` yields."""
    waiting, first = None, True
    try:
        while True:
            try:
                sent = yield waiting
            except BaseException as err:
                waiting = None  # a future that holds this error, which leads back to this frame
                if first and _cancelled(awaited, err):
                    waiting = awaited
                else:
                    awaited = None
                    waiting = coro.throw(err)
            else:
                waiting = awaited if first and awaited is not None else coro.send(sent)
            first, awaited = False, None
    except StopIteration as done:
        value: T = done.value
        return value


def _cancelled(awaited: Any, err: BaseException) -> bool:
    """Whether a task that is cancelled before its first step has thereby cancelled what it waits for, as
    asyncio.Task.cancel() does later: then the error comes back from there."""
    return awaited is not None and isinstance(err, asyncio.CancelledError) and bool(awaited.cancel())
