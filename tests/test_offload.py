"""Steps on threads: budgets of CPU time and memory, and fairness between users."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from pilothouse import errors, offload
from pilothouse.offload import INLINE, ROOM_OF_USER, Offload, Share, Work

LARGE = INLINE + 1


@pytest.fixture
def lane() -> object:
    sys.setswitchinterval(offload.SWITCH_INTERVAL)  # a loop before may have ended in the middle of a call
    lane = Offload()
    yield lane
    lane.close()


def spin(seconds: float) -> str:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return threading.current_thread().name


async def entered(lane: Offload, user: str, size: int = LARGE) -> Work:
    work = Work(lane, user)
    await work.enter(size)
    return work


async def test_small_work_stays_on_the_loop(runner: asyncio.Runner, lane: Offload) -> None:
    work = await entered(lane, "jane", INLINE)
    assert await work.run(threading.current_thread) is threading.current_thread()
    work.leave()


async def test_large_work_leaves_the_loop_free(runner: asyncio.Runner, lane: Offload) -> None:
    work = await entered(lane, "jane")
    turns: list[bool] = []
    usual = sys.getswitchinterval()
    task = asyncio.ensure_future(work.run(spin, 0.1))
    while not task.done():
        await asyncio.sleep(0.001)
        turns.append(sys.getswitchinterval() < usual)
    assert task.result() == "offload"
    assert len(turns) > 10
    assert all(turns[:-2]), "the task hears of the end a turn after the interval is as usual"
    assert sys.getswitchinterval() == usual
    work.leave()


async def test_errors_come_through(runner: asyncio.Runner, lane: Offload) -> None:
    work = await entered(lane, "jane")
    with pytest.raises(ZeroDivisionError):
        await work.run(lambda: 1 // 0)


async def test_a_step_that_never_ends_is_stopped(runner: asyncio.Runner, lane: Offload) -> None:
    work = await entered(lane, "jane")
    work.left = 0.05
    with pytest.raises(errors.RequestEntityTooLarge, match="processor time"):
        await work.run(spin, 1000)
    with pytest.raises(errors.RequestEntityTooLarge):
        await work.run(spin, 0)
    work.leave()
    other = await entered(lane, "jane")  # and the thread goes on with the next
    assert await other.run(spin, 0) == "offload"
    other.leave()


async def test_the_budget_is_of_all_steps_of_a_request(runner: asyncio.Runner, lane: Offload) -> None:
    work = await entered(lane, "jane")
    given = work.left
    await work.run(spin, 0.02)
    await work.run(spin, 0.02)
    assert given - 0.2 < work.left < given - 0.04
    assert work.given == given


async def test_a_rule_that_takes_every_exception_is_stopped(runner: asyncio.Runner, lane: Offload) -> None:
    def stubborn() -> None:
        while True:
            try:
                spin(1)
            except Exception:
                pass

    work = await entered(lane, "jane")
    work.left = 0.05
    with pytest.raises(errors.RequestEntityTooLarge):
        await work.run(stubborn)


async def test_who_is_cancelled_stops_the_thread_first(runner: asyncio.Runner, lane: Offload) -> None:
    work = await entered(lane, "jane")
    task = asyncio.ensure_future(work.run(spin, 1000))
    while not lane.running:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not lane.running


async def test_steps_that_are_stopped_together_leave_their_threads_alive(
    runner: asyncio.Runner, lane: Offload
) -> None:
    for _ in range(50):
        works = [await entered(lane, user) for user in ("jane", "joe")]
        tasks = [asyncio.ensure_future(work.run(spin, 0.002)) for work in works]
        await asyncio.sleep(0.003)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for work in works:
            work.leave()
        assert await (await entered(lane, "joe")).run(spin, 0) == "offload"


async def test_steps_that_wait_are_forgotten_when_cancelled(runner: asyncio.Runner, lane: Offload) -> None:
    work, other = await entered(lane, "jane"), await entered(lane, "jane")
    running = asyncio.ensure_future(work.run(spin, 0.05))
    waiting = asyncio.ensure_future(other.run(spin, 1000))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await running == "offload"


async def test_one_user_has_one_thread(runner: asyncio.Runner, lane: Offload) -> None:
    janes = [await entered(lane, "jane") for _ in range(4)]
    running = [asyncio.ensure_future(work.run(spin, 0.2)) for work in janes]
    await asyncio.sleep(0)
    assert lane.running == 1
    joe = await entered(lane, "joe")
    await joe.run(spin, 0.01)
    assert not any(task.done() for task in running[1:])
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_the_clock_is_looked_at_by_one_timer(runner: asyncio.Runner, lane: Offload) -> None:
    """A step that begins as another one ends does not leave the timer of that one running for ever."""
    works = [await entered(lane, "jane") for _ in range(5)]
    await asyncio.gather(*(work.run(spin, 0) for work in works))
    while lane.running:
        await asyncio.sleep(0)
    timers = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
    assert [timer for timer in timers if "_look" in repr(timer)] == []


async def test_room_is_bounded_and_given_in_turn(runner: asyncio.Runner, lane: Offload) -> None:
    first = await entered(lane, "jane", ROOM_OF_USER)
    waiting = [asyncio.ensure_future(entered(lane, "jane", ROOM_OF_USER)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    joe = asyncio.ensure_future(entered(lane, "joe", LARGE))
    assert (await joe).bytes == LARGE  # there is room for another user
    first.leave()
    second = await waiting[0]
    assert not waiting[1].done()
    waiting[1].cancel()
    second.leave()
    (await waiting[2]).leave()
    joe.result().leave()
    assert not lane._in and not lane._waiting and not lane._queued


async def test_one_alone_always_has_room(runner: asyncio.Runner, lane: Offload) -> None:
    work = await entered(lane, "jane", 100 * ROOM_OF_USER)
    work.leave()


async def test_who_waits_with_too_much_is_told_to_come_again(runner: asyncio.Runner, lane: Offload) -> None:
    first = await entered(lane, "jane", ROOM_OF_USER)
    count = offload.QUEUE_OF_USER // ROOM_OF_USER
    waiting = [asyncio.ensure_future(entered(lane, "jane", ROOM_OF_USER)) for _ in range(count)]
    await asyncio.sleep(0)
    with pytest.raises(errors.TooManyRequests) as caught:
        await entered(lane, "jane", ROOM_OF_USER)
    assert ("Retry-After", "1") in caught.value.headers
    first.leave()
    for task in waiting:
        (await task).leave()
    assert not lane._in and not lane._queued


async def test_work_that_turns_out_larger_does_not_wait_again(runner: asyncio.Runner, lane: Offload) -> None:
    work = await entered(lane, "jane")
    left = work.left
    await work.enter(10 * LARGE)
    assert work.left > left
    assert lane._in == {"jane": 10 * LARGE}
    work.leave()
    assert not lane._in


async def test_servers_do_not_share_room(runner: asyncio.Runner, lane: Offload) -> None:
    other = Offload()
    one = await entered(lane, "jane", ROOM_OF_USER)
    two = await entered(other, "jane", ROOM_OF_USER)
    assert await two.run(spin, 0) == "offload"
    one.leave()
    two.leave()
    other.close()


async def test_clusters_share_room_and_threads(runner: asyncio.Runner, lane: Offload) -> None:
    one, two = Share(lane, "a"), Share(lane, "b")
    first = await entered(one, "jane", ROOM_OF_USER)
    other = await entered(two, "jane", ROOM_OF_USER)  # another user, whatever the name
    again = asyncio.ensure_future(entered(one, "joe", ROOM_OF_USER))  # the cluster pays for all of its users
    await asyncio.sleep(0)
    assert not again.done()
    assert sum(lane._in.values()) == 2 * ROOM_OF_USER
    running = [asyncio.ensure_future(work.run(spin, 0.2)) for work in (first, other)]
    await asyncio.sleep(0)
    assert lane.running == one.running == two.running == 2
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    one.close()  # the threads are not its own
    assert await other.run(spin, 0) == "offload"
    for work in (first, other):
        work.leave()
    (await again).leave()
    assert not lane._in and not lane._waiting and not lane._queued
    assert one.turns is two.turns is lane.turns


async def test_what_waits_for_a_thread_ends_with_the_server(runner: asyncio.Runner, lane: Offload) -> None:
    work = await entered(lane, "jane")
    tasks = [asyncio.ensure_future(work.run(spin, 1000)) for _ in range(2)]
    while not lane.running:
        await asyncio.sleep(0)
    lane.close()
    late = asyncio.ensure_future(work.run(spin, 0))
    ends = await asyncio.gather(*tasks, late, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 3
    assert not lane.running


def test_a_step_that_outlives_the_loop_ends_quietly() -> None:
    lane, ended = Offload(), threading.Event()
    raised: list[threading.ExceptHookArgs] = []
    before, threading.excepthook = threading.excepthook, raised.append

    def slow() -> None:
        assert ended.wait(10)

    async def main() -> None:
        work = await entered(lane, "jane")
        running = asyncio.ensure_future(work.run(slow))
        while not lane.running:
            await asyncio.sleep(0)
        asyncio.get_running_loop().stop()
        await running

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, told: None)  # of the task that is left behind
    try:
        task = loop.create_task(main())
        loop.run_forever()
        lane._closed = True
        loop.close()
        ended.set()
        for thread in threading.enumerate():
            if thread.name.startswith("offload"):
                thread.join(10)
        assert task is not None and not raised
    finally:
        threading.excepthook = before


TRACED = """
import sys
from pilothouse.offload import Stopped, Stoppable

step = Stoppable()
try:
    step.make(step.stop if sys.argv[1] == "stopped" else step.used)
except Stopped:
    print("stopped")

def traced():
    return 1

sys.settrace(lambda *_: None)
print(sum(traced() for _ in range(100)))
"""


@pytest.mark.parametrize(("how", "said"), [("ended", "100"), ("stopped", "stopped\n100")])
def test_a_thread_can_be_traced_after_a_step(how: str, said: str) -> None:
    """An exception that was withdrawn left CPython 3.11 waiting for it there, as coverage tools found."""
    command = [sys.executable, "-c", TRACED, how]
    run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert run.stdout.strip() == said
