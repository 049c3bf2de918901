"""The code of plugins runs beside the loop, and ends in time."""

import asyncio
import sys
import threading
from typing import Any

import pytest
from eventually import aeventually

from pilothouse.admission.installed import calls
from pilothouse.admission.installed.calls import Busy, Calls
from pilothouse.offload import Turns

LONG = 30.0


class Counted(Turns):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0

    def begin(self) -> None:
        self.now += 1

    def end(self) -> None:
        self.now -= 1


async def late(made: Any, call: Any, begun: Any) -> None:
    """Make calls that end by their time until `begun()`: on a busy machine some end before they begin."""
    async with asyncio.timeout(LONG):
        while not begun():
            with pytest.raises(TimeoutError):
                await made.run(call, 0.001)


@pytest.fixture
def made(runner: asyncio.Runner) -> Any:
    made = Calls("test", Counted())
    yield made
    made.close()


async def test_a_def_runs_on_a_thread(made: Any) -> None:
    outcome = await made.run(threading.get_ident, LONG)
    assert outcome.error is None and outcome.value != threading.get_ident()
    again = [await made.run(threading.get_ident, LONG) for _ in range(20)]
    assert len({one.value for one in again}) <= calls.THREADS, "threads that are free are used again"


async def test_an_async_def_runs_on_a_loop_of_its_own(made: Any) -> None:
    async def loop() -> Any:
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    first, second = await made.run(loop, LONG), await made.run(loop, LONG)
    assert first.value is second.value is not asyncio.get_running_loop()


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("its own"), SystemExit(3)])
async def test_errors_are_outcomes(made: Any, error: BaseException) -> None:
    def fail() -> None:
        raise error

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise error

    assert (await made.run(fail, LONG)).error is error
    assert (await made.run(fail_later, LONG)).error is error
    assert (await made.run(int, LONG)).value == 0, "what has failed does not keep others from running"


async def test_an_endless_loop_is_ended(made: Any) -> None:
    def forever() -> None:
        while True:
            pass

    with pytest.raises(TimeoutError):
        await made.run(forever, 0.001)
    await aeventually(lambda: made._turns.now == 0, "its end")
    assert (await made.run(int, LONG)).value == 0


async def test_a_coroutine_is_cancelled(made: Any) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def forever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await late(made, forever, begun.is_set)
    await aeventually(ended.is_set, "its end")


@pytest.mark.skipif(
    sys.gettrace() is not None, reason="CPython 3.11: what is traced waits for an exception of another thread"
)
async def test_what_blocks_keeps_only_its_own_threads(made: Any) -> None:
    """A call that waits in C cannot be ended; those behind it fail by their time and are never begun."""
    blocked, begun = threading.Event(), []

    def wait() -> None:
        begun.append(1)
        blocked.wait()

    await late(made, wait, lambda: len(begun) == calls.THREADS)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await made.run(wait, 0.001)
    assert made._turns.now == calls.THREADS
    blocked.set()
    await aeventually(lambda: made._turns.now == 0, "its end")
    assert len(begun) == calls.THREADS
    assert (await made.run(int, LONG)).value == 0


async def test_a_blocked_loop_keeps_only_its_own_calls(made: Any) -> None:
    blocked, begun = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        blocked.wait()

    async def answer() -> int:
        return 1

    await late(made, wait, begun.is_set)
    with pytest.raises(TimeoutError):
        await made.run(answer, 0.001)
    blocked.set()
    assert (await made.run(answer, LONG)).value == 1


async def test_calls_are_limited(made: Any) -> None:
    blocked = threading.Event()
    waiting = [asyncio.ensure_future(made.run(blocked.wait, LONG)) for _ in range(calls.MOST)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await made.run(int, LONG)
    blocked.set()
    await asyncio.gather(*waiting)
    assert (await made.run(int, LONG)).value == 0


async def test_who_leaves_ends_the_call(made: Any) -> None:
    begun = threading.Event()

    def forever() -> None:
        begun.set()
        while True:
            pass

    task = asyncio.ensure_future(made.run(forever, LONG))
    await aeventually(begun.is_set, "its end")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await aeventually(lambda: made._turns.now == 0, "its end")


async def test_a_close_ends_the_threads(runner: asyncio.Runner) -> None:
    closing = Calls("closing", Turns())

    async def answer() -> None:
        return None

    await closing.run(int, LONG)
    await closing.run(answer, LONG)
    closing.close()
    await aeventually(
        lambda: not any(one.name == "admission closing" for one in threading.enumerate()), "its end"
    )
