"""The thread of a history's file."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pilothouse.history.thread import HistoryThread
from pilothouse.offload import Turns


@asynccontextmanager
async def started(turns: Turns | None = None) -> AsyncIterator[HistoryThread]:
    """A thread, which ends with the test."""
    thread = HistoryThread("history-test", turns)
    try:
        yield thread
    finally:
        thread.close()


async def test_calls_are_made_on_one_thread_in_order(runner: asyncio.Runner) -> None:
    made: list[int] = []
    async with started() as thread:
        names = await asyncio.gather(
            *(thread.run(lambda number=number: made.append(number)) for number in range(20)),
            *(thread.run(lambda: threading.current_thread().name) for _ in range(2)),
        )
    assert made == list(range(20)) and names[-2:] == ["history-test"] * 2


async def test_arguments_and_outcomes(runner: asyncio.Runner) -> None:
    async with started() as thread:
        assert await thread.run(divmod, 7, 2) == (3, 1)


async def test_errors_come_through(runner: asyncio.Runner) -> None:
    async with started() as thread:
        with pytest.raises(ZeroDivisionError):
            await thread.run(divmod, 1, 0)
        assert await thread.run(divmod, 1, 1) == (1, 0)


async def test_a_call_that_nobody_waits_for_is_not_made(runner: asyncio.Runner) -> None:
    made: list[str] = []
    entered, go_on = threading.Event(), threading.Event()

    def first() -> None:
        entered.set()
        go_on.wait()

    async with started() as thread:
        running = asyncio.ensure_future(thread.run(first))
        await asyncio.to_thread(entered.wait)
        waiting = asyncio.ensure_future(thread.run(made.append, "second"))
        await asyncio.sleep(0)
        running.cancel()
        waiting.cancel()
        go_on.set()
        await asyncio.gather(running, waiting, return_exceptions=True)
        await thread.run(made.append, "third")
    assert running.cancelled() and waiting.cancelled() and made == ["third"]


async def test_the_interpreter_switches_often_while_a_call_runs(runner: asyncio.Runner) -> None:
    turns = Turns()
    async with started(turns) as thread:
        assert await thread.run(lambda: turns.calls) == 1
        assert turns.calls == 0


async def test_after_its_end_it_takes_no_call(runner: asyncio.Runner) -> None:
    async with started() as thread:
        await thread.run(int)
    with pytest.raises(RuntimeError, match="history-test is closed"):
        await thread.run(int)
