"""The ends of watches and of requests: when they are due, and nothing is left of those that end before."""

import gc
import weakref
from typing import Any

import pytest
from virtual_time import VirtualLoop

from pilothouse.api.values.identity import RequestInfo
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.deadlines import STEP, Deadline, Deadlines, RequestDeadlines
from pilothouse.server.request import Request


class Ending:
    """A stream that keeps when it was closed."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop, self.begun = loop, loop.time()
        self.after: float | None = None

    def close(self) -> None:
        self.after = self.loop.time() - self.begun


@pytest.mark.parametrize("seconds", [0.0, 1.5, 59.0, 60.0, 300.0, 3599.5])
async def test_a_stream_ends_in_time(virtual: VirtualLoop, seconds: float) -> None:
    deadlines, stream = Deadlines(), Ending(virtual)
    one: Any = stream
    deadlines.add(Deadline(one), seconds)
    await virtual.advance(seconds + 2 * STEP)
    late = 0.0 if seconds < 60 else 2 * STEP
    assert stream.after is not None and seconds <= stream.after <= seconds + late


async def test_what_is_cancelled_is_left_alone(virtual: VirtualLoop) -> None:
    deadlines = Deadlines()
    streams = [Ending(virtual) for _ in range(6)]
    entries = []
    for i, stream in enumerate(streams):
        one: Any = stream
        entries.append(Deadline(one))
        deadlines.add(entries[-1], 10.0 if i < 3 else 100.0)
    for entry in entries[::3]:
        entry.cancel()
        entry.cancel()
    await virtual.advance(200)
    assert [stream.after is None for stream in streams] == [True, False, False] * 2
    assert not deadlines._buckets and deadlines._timer is None, "no timer runs for nothing"


class Carried:
    """The rest of a request, which keeps when it was cancelled."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop, self.begun = loop, loop.time()
        self.after: float | None = None
        self.callbacks: list[Any] = []

    def cancel(self) -> None:
        assert self.after is None
        self.after = self.loop.time() - self.begun

    def add_done_callback(self, callback: Any) -> None:
        self.callbacks.append(callback)


def context() -> Any:
    request = Request("GET", "/api", {}, [], b"")
    return Context(request, RequestInfo("/api", "get"), {}, "one")


async def test_requests_end_at_the_deadline_of_the_server(virtual: VirtualLoop) -> None:
    deadlines, all_ = RequestDeadlines(60.0), []
    for _ in range(10):
        ctx, carried = context(), Carried(virtual)
        deadlines.enter(ctx, carried)  # type: ignore[arg-type]
        assert ctx.deadline == virtual.time() + 60
        all_.append((ctx, carried))
        await virtual.advance(5)
    for ctx, _ in all_[::2]:
        deadlines.leave(ctx)
    await virtual.advance(120)
    for i, (ctx, carried) in enumerate(all_):
        assert ctx.expired is bool(i % 2)
        assert carried.after is None if i % 2 == 0 else 60 <= carried.after <= 60.01
        deadlines.leave(ctx)


async def test_one_timer_is_enough_for_all(virtual: VirtualLoop) -> None:
    deadlines, timers = RequestDeadlines(60.0), []
    call_at = virtual.call_at

    def counted(when: float, *args: Any, **more: Any) -> Any:
        timers.append(when)
        return call_at(when, *args, **more)

    virtual.call_at = counted  # type: ignore[method-assign,assignment]
    begun = virtual.time()
    for _ in range(100):
        ctx = context()
        deadlines.enter(ctx, Carried(virtual))  # type: ignore[arg-type]
        deadlines.leave(ctx)
    last = context()
    deadlines.enter(last, Carried(virtual))  # type: ignore[arg-type]
    assert timers == [begun + 60]
    deadlines.leave(last)
    del virtual.call_at
    await virtual.advance(200)
    ctx, carried = context(), Carried(virtual)
    deadlines.enter(ctx, carried)  # type: ignore[arg-type]
    await virtual.advance(61)
    assert ctx.expired


async def test_a_request_may_have_a_deadline_of_its_own(virtual: VirtualLoop) -> None:
    deadlines, ctx, carried = RequestDeadlines(60.0), context(), Carried(virtual)
    deadlines.at(ctx, carried, 2.0)  # type: ignore[arg-type]
    assert ctx.deadline == virtual.time() + 2
    other, done = context(), Carried(virtual)
    deadlines.at(other, done, 2.0)  # type: ignore[arg-type]
    for callback in done.callbacks:
        callback(done)
    await virtual.advance(3)
    assert ctx.expired and carried.after == pytest.approx(2) and not other.expired


async def test_a_timer_does_not_keep_a_server(virtual: VirtualLoop) -> None:
    deadlines = RequestDeadlines(60.0)
    deadlines.enter(context(), Carried(virtual))  # type: ignore[arg-type]
    found = weakref.ref(deadlines)
    del deadlines
    gc.collect()
    assert found() is None
    await virtual.advance(61)
