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


async def test_the_loop_waits_for_a_short_call(runner: asyncio.Runner) -> None:
    """So that it needs no task; its errors come through."""
    thread = HistoryThread("history-test", patience=60)
    try:
        with pytest.raises(StopIteration, match="3"):
            thread.run_short(divmod, 7, 2).send(None)
        with pytest.raises(ZeroDivisionError):
            thread.run_short(divmod, 1, 0).send(None)
    finally:
        thread.close()


async def test_the_loop_waits_no_longer_than_its_patience(runner: asyncio.Runner) -> None:
    """Nor at all after a call that took longer."""
    thread = HistoryThread("history-test", patience=0.001)
    entered, gate = threading.Event(), threading.Event()

    def held() -> bool:
        entered.set()
        return gate.wait()

    try:
        long = asyncio.ensure_future(thread.run_short(held))
        await asyncio.to_thread(entered.wait)
        await asyncio.sleep(0.01)  # the call takes longer than the patience
        assert not long.done()
        gate.set()
        assert await long is True
        thread._made = None  # type: ignore[assignment]  # to wait for it fails
        assert await thread.run_short(int) == 0
    finally:
        thread.close()


async def test_the_loop_waits_for_no_short_call_behind_another_call(runner: asyncio.Runner) -> None:
    gate = threading.Event()
    thread = HistoryThread("history-test", patience=60)
    try:
        long = asyncio.ensure_future(thread.run(gate.wait))
        await asyncio.sleep(0)
        short = asyncio.ensure_future(thread.run_short(int))
        await asyncio.sleep(0)
        gate.set()
        assert (await long, await short) == (True, 0)
    finally:
        thread.close()


@pytest.mark.parametrize("patience", [0, 1e-6, 2e-5, 1e-4])
async def test_no_outcome_of_a_short_call_is_lost(runner: asyncio.Runner, patience: float) -> None:
    """The thread may be done before the loop goes on, after it, or at the same time."""
    turns = Turns()
    thread = HistoryThread("history-test", turns, patience)
    try:
        for number in range(300):
            thread._quick = True
            assert await thread.run_short(divmod, number, 7) == divmod(number, 7)
    finally:
        thread.close()
    assert turns.calls == 0


async def test_a_short_call_that_nobody_waits_for_any_more(runner: asyncio.Runner) -> None:
    gate = threading.Event()
    async with started() as thread:
        short = asyncio.ensure_future(thread.run_short(gate.wait))
        await asyncio.sleep(0.01)
        short.cancel()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await short
        assert await thread.run_short(int) == 0


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
