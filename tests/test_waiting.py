"""Coroutines that begin without a task, as requests do, and run in one once they wait."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from pilothouse.waiting import Pace, as_task, in_task


async def begun(
    coro: Coroutine[Any, Any, Any], then: Callable[[asyncio.Task[Any]], object] | None = None
) -> Any:
    """Begin a coroutine in a callback of the loop, as the parser does, and wait for its task."""
    loop = asyncio.get_running_loop()
    tasks: asyncio.Future[asyncio.Task[Any]] = loop.create_future()

    def callback() -> None:
        try:
            task = as_task(coro, coro.send(None))
        except BaseException as err:
            tasks.set_exception(err)
            return
        if then is not None:
            then(task)
        tasks.set_result(task)

    loop.call_soon(callback)
    return await (await tasks)


async def wait_for_both(first: Callable[[], Awaitable[None]]) -> list[str]:
    """Waits in several ways, beginning with `first`."""
    seen = []
    await first()
    assert asyncio.current_task() is not None
    async with asyncio.timeout(1):
        seen.append(await asyncio.sleep(0, "a"))
        seen.append(await asyncio.sleep(0.001, "b"))
    return seen


@pytest.mark.parametrize(
    "first",
    [in_task, partial(asyncio.sleep, 0), partial(asyncio.sleep, 0.001)],
    ids=["for a task", "for a turn", "for a timer"],
)
def test_from_the_first_wait_on_there_is_a_task(first: Callable[[], Awaitable[None]]) -> None:
    assert asyncio.run(begun(wait_for_both(first))) == ["a", "b"]


def test_before_it_there_is_none() -> None:
    async def too_early() -> None:
        async with asyncio.timeout(1):
            await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="task"):
        asyncio.run(begun(too_early()))


def test_inside_of_a_task_nothing_waits() -> None:
    async def main() -> bool:
        turned: list[bool] = []
        asyncio.get_running_loop().call_soon(turned.append, True)
        await in_task()
        return bool(turned)

    assert not asyncio.run(main())


def test_errors_go_both_ways() -> None:
    async def fails() -> str:
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(KeyError("inner"))
        try:
            await asyncio.gather(failed)
        except KeyError:
            await asyncio.sleep(0)
            raise ValueError("outer") from None
        return "no"

    with pytest.raises(ValueError, match="outer"):
        asyncio.run(begun(fails()))


@pytest.mark.parametrize("early", [True, False])
def test_a_cancel_reaches_the_coroutine_and_what_it_waits_for(early: bool) -> None:
    """`early` is before the task's first step."""
    events: list[str] = []

    async def inner() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("inner")
            raise

    async def outer() -> None:
        child = asyncio.ensure_future(inner())
        try:
            await child
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # clearing up may wait
            events.append("outer" if child.cancelled() else "the child runs on")
            raise

    def then(task: asyncio.Task[Any]) -> None:
        if early:
            task.cancel()
        else:
            asyncio.get_running_loop().call_later(0.001, task.cancel)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(begun(outer(), then))
    assert events == ["inner", "outer"]


@pytest.mark.parametrize("first", [in_task, partial(asyncio.sleep, 0)], ids=["for a task", "for a turn"])
def test_an_early_cancel_of_what_waits_for_a_turn(first: Callable[[], Awaitable[None]]) -> None:
    cleared = []

    async def outer() -> None:
        try:
            await wait_for_both(first)
        finally:
            cleared.append(True)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(begun(outer(), lambda task: task.cancel()))
    assert cleared == [True]


def test_a_cancel_may_be_taken_back() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
        return await asyncio.sleep(0, "done")

    assert asyncio.run(begun(stubborn(), lambda task: task.cancel())) == "done"


def test_a_pace_gives_others_their_turn_once_its_slice_is_used_up() -> None:
    async def turns(pace: Pace) -> int:
        count = 0

        async def other() -> None:
            nonlocal count
            while True:
                count += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        for _ in range(10):
            await pace.pause()
        task.cancel()
        return count

    assert asyncio.run(turns(Pace(60))) == 0
    assert asyncio.run(turns(Pace(0))) == 10
