"""The clock of a simulated cluster."""

import asyncio
from datetime import UTC
from functools import partial

import pytest
from virtual_time import VirtualLoop

from pilothouse.simulate.clock import FEW, Clock


async def test_timers_run_in_order_when_time_goes_on(clock: Clock, virtual: VirtualLoop) -> None:
    ran: list[tuple[str, float]] = []
    start = clock.time()

    def note(name: str) -> None:
        ran.append((name, clock.time() - start))

    for name, seconds in (("c", 3), ("a", 1), ("b", 2)):
        clock.call_later(seconds, partial(note, name))
    await virtual.advance(2.5)
    assert ran == [("a", 1), ("b", 2)]
    await virtual.advance(1)
    assert ran[2:] == [("c", 3)]


async def test_advance_runs_each_at_its_time_also_what_they_begin(clock: Clock) -> None:
    ran: list[float] = []
    start = clock.time()

    def again() -> None:
        ran.append(clock.time() - start)
        clock.call_later(10, again)

    clock.call_later(10, again)
    clock.advance(35)
    assert ran == [10, 20, 30]
    assert clock.time() == start + 35
    assert clock.now().tzinfo is UTC and clock.now().timestamp() == start + 35


async def test_a_moved_clock_wakes_earlier(clock: Clock, virtual: VirtualLoop) -> None:
    ran: list[float] = []
    clock.call_later(100, lambda: ran.append(virtual.time()))
    before = virtual.time()
    clock.advance(99)
    await virtual.advance(2)
    assert ran == [before + 1]


async def test_a_cancelled_timer_does_not_run_and_is_forgotten(clock: Clock, virtual: VirtualLoop) -> None:
    ran: list[int] = []
    for number in range(4 * FEW):
        clock.call_later(1000 + number, partial(ran.append, number)).cancel()
    assert len(clock._timers) <= FEW + 1
    kept = clock.call_later(5, lambda: ran.append(-1))
    clock.advance(5000)
    kept.cancel()
    assert ran == [-1]


async def test_caught_up_waits_for_coroutines_of_callbacks(clock: Clock) -> None:
    ran: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(3)
        ran.append("slow")

    clock.call_later(10, slow)
    clock.advance(20)
    assert ran == []
    await clock.caught_up()
    assert ran == ["slow"]


async def test_a_callback_that_fails_keeps_nobody_else_from_running(clock: Clock) -> None:
    ran: list[str] = []

    def fail() -> None:
        raise ValueError("no")

    clock.call_later(1, fail)
    clock.call_later(2, lambda: ran.append("next"))
    clock.advance(3)
    assert ran == ["next"]


async def test_a_closed_clock_runs_nothing_more(clock: Clock, virtual: VirtualLoop) -> None:
    ran: list[str] = []

    async def never() -> None:
        await asyncio.sleep(1)
        ran.append("task")

    clock.call_later(0, never)
    clock.call_later(5, lambda: ran.append("timer"))
    clock.advance(0)
    await clock.close()
    clock.call_later(1, lambda: ran.append("late"))
    await virtual.advance(10)
    assert ran == []


async def test_time_does_not_go_back(clock: Clock) -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_without_a_wall_it_is_the_real_time() -> None:
    first = Clock().time()
    assert first > 1_700_000_000 and Clock().stamp(0) == "1970-01-01T00:00:00Z"


async def test_time_passes_from_one_timer_to_the_next(clock: Clock) -> None:
    """The next timer waits for the work that a timer has begun, which may begin more."""
    start, told = clock.time(), []

    async def settled() -> None:
        told.append(round(clock.time() - start))
        await clock.caught_up()

    async def again() -> None:
        await asyncio.sleep(0)
        if clock.time() - start < 250:
            clock.call_later(100, again)

    clock.call_later(100, again)
    clock.call_later(100.5, lambda: None)
    moved: list[float] = []
    clock.moved.append(lambda: moved.append(clock.time() - start))
    await clock.pass_time(1000, settled)
    assert told == [0, 101, 202, 303, 1000], "timers within a second are taken together"
    assert moved[-1] == 1000 == clock.time() - start


async def test_a_short_time_passes_in_small_steps(clock: Clock) -> None:
    start, ran = clock.time(), []
    for seconds in (0.2, 0.4):
        clock.call_later(seconds, lambda: ran.append(clock.time() - start))

    async def settled() -> None: ...

    await clock.pass_time(1, settled)
    assert ran == [pytest.approx(0.2), pytest.approx(0.4)]
    with pytest.raises(ValueError, match="cannot go back"):
        await clock.pass_time(-1, settled)


async def test_a_frozen_clock_stands_still(clock: Clock, virtual: VirtualLoop) -> None:
    ran: list[str] = []
    clock.call_later(5, lambda: ran.append("later"))
    clock.freeze()
    first = clock.time()
    clock.call_later(0, lambda: ran.append("now"))
    await virtual.advance(10)
    assert clock.time() == first and ran == ["now"] and clock.frozen
    clock.advance(2)
    clock.thaw()
    assert clock.time() == first + 2 and not clock.frozen
    await virtual.advance(3)
    assert ran == ["now", "later"]


async def test_sleep_is_of_this_clock(clock: Clock) -> None:
    sleeping = asyncio.create_task(clock.sleep(3600))
    await asyncio.sleep(0)
    clock.advance(3599)
    await asyncio.sleep(0)
    assert not sleeping.done()
    clock.advance(1)
    await sleeping
    cancelled = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert not any(timer.pending for _, _, timer in clock._timers)
