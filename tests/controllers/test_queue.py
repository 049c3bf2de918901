"""One task per key at a time, repetition of changed keys, retry of failed ones."""

import asyncio
import logging
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from logged import pairs
from metric_samples import samples

from pilothouse import errors
from pilothouse.controllers import queue
from pilothouse.controllers.queue import WorkQueue
from pilothouse.registry.client_metrics import ClientMetrics
from pilothouse.storage.interface import Unavailable


class Recorder:
    """Handles keys one step at a time; `gate` lets them through."""

    def __init__(self, answers: Any = ()) -> None:
        self.begun: list[Any] = []
        self.done: list[Any] = []
        self.running = self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.answers = list(answers)

    async def __call__(self, key: str) -> Any:
        self.begun.append(key)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        self.done.append(key)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_key_is_handled_once() -> None:
    async def main() -> None:
        record = Recorder()
        work = WorkQueue("q", record)
        work.add("a")
        work.add("b")
        await turns()
        assert record.done == ["a", "b"]

    asyncio.run(main())


def test_a_key_that_comes_up_while_it_is_handled_is_handled_once_more() -> None:
    async def main() -> None:
        record = Recorder()
        record.gate.clear()
        work = WorkQueue("q", record)
        work.add("a")
        await turns()
        for _ in range(3):
            work.add("a")
        assert record.begun == ["a"]
        record.gate.set()
        await turns()
        assert record.done == ["a", "a"] and record.most == 1

    asyncio.run(main())


def test_no_more_workers_than_are_allowed() -> None:
    async def main() -> None:
        record = Recorder()
        record.gate.clear()
        work = WorkQueue("q", record, workers=2)
        for key in "abcd":
            work.add(key)
        work.add("d")
        await turns()
        assert record.begun == ["a", "b"]
        record.gate.set()
        await turns(20)
        assert record.done == ["a", "b", "c", "d"] and record.most == 2

    asyncio.run(main())


def test_a_busy_key_does_not_starve_the_others() -> None:
    async def main() -> None:
        order = []

        async def handle(key: str) -> None:
            order.append(key)
            if key == "busy" and len(order) < 10:
                work.add("busy")

        work = WorkQueue("q", handle, workers=1)
        work.add("busy")
        work.add("other")
        await turns(40)
        assert "other" in order[:3]

    asyncio.run(main())


async def test_a_key_may_be_looked_at_again_later(virtual: Any) -> None:
    record = Recorder([10, None])
    work = WorkQueue("q", record)
    work.add("a")
    await virtual.advance(9)
    assert record.done == ["a"]
    await virtual.advance(2)
    assert record.done == ["a", "a"]


async def test_what_comes_up_before_its_time_is_handled_once(virtual: Any) -> None:
    record = Recorder()
    work = WorkQueue("q", record)
    work.add_later("a", 5)
    work.add_later("a", 2)
    work.add("a")
    await virtual.advance(10)
    assert record.done == ["a"]


def test_a_failure_is_tried_again_after_ever_longer(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        record = Recorder([KeyError("x"), KeyError("x"), None])
        work = WorkQueue("q", record)
        work.add("a")
        await turns()
        assert record.done == ["a"]
        waits = []
        for _ in range(2):
            (timer,) = work._timers.values()
            assert isinstance(timer, asyncio.TimerHandle)
            waits.append(timer.when() - asyncio.get_running_loop().time())
            work.add("a")
            await turns()
        assert record.done == ["a"] * 3 and not work._timers
        assert 0 < waits[0] <= 2 * queue.FIRST_DELAY < waits[1] <= 4 * queue.FIRST_DELAY
        await work.close()

    with caplog.at_level(logging.ERROR, "pilothouse.controllers.queue"):
        asyncio.run(main())
    assert [(pairs(r)["controller"], pairs(r)["key"]) for r in caplog.records] == [("q", "a")] * 2


@pytest.mark.parametrize("error", [errors.Forbidden("exceeded quota: q"), Unavailable("no leader")])
def test_a_refusal_is_told_without_a_traceback(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    async def main() -> None:
        record = Recorder([error, None])
        work = WorkQueue("q", record)
        work.add("a")
        await turns()
        assert list(work._timers) == ["a"]
        work.add("a")
        await turns()
        assert record.done == ["a"] * 2 and not work._timers
        await work.close()

    with caplog.at_level(logging.INFO, "pilothouse.controllers.queue"):
        asyncio.run(main())
    (line,) = caplog.records
    assert (line.levelname, line.exc_info, pairs(line)["err"]) == ("WARNING", None, error)


async def test_nothing_runs_after_close(virtual: Any) -> None:
    record = Recorder()
    record.gate.clear()
    work = WorkQueue("q", record, workers=1)
    work.add("a")
    work.add("b")
    work.add_later("c", 1)
    await turns()
    await work.close()
    work.add("d")
    work.add_later("e", 0)
    record.gate.set()
    await virtual.advance(10)
    assert record.begun == ["a"] and record.done == [] and record.running == 0


@settings(max_examples=20 * SCALE)
@given(st.lists(st.sampled_from("abcd") | st.just(""), max_size=20), st.integers(1, 3))
def test_every_key_is_handled_after_it_was_last_added(actions: Any, workers: Any) -> None:
    """An empty text lets the loop turn."""

    async def main() -> None:
        last, seen = {}, {}
        clock = iter(range(10**6))
        busy = set()

        async def handle(key: str) -> None:
            assert key not in busy
            busy.add(key)
            seen[key] = next(clock)
            await turns(2)
            busy.remove(key)

        work = WorkQueue("q", handle, workers)
        for key in actions:
            if key:
                last[key] = next(clock)
                work.add(key)
            else:
                await turns(1)
        await turns(200)
        assert all(seen[key] > when for key, when in last.items()) and seen.keys() == last.keys()

    asyncio.run(main())


@pytest.mark.parametrize("workers", [1, 8])
def test_an_idle_queue_holds_nothing(workers: int) -> None:
    async def main() -> None:
        work = WorkQueue("q", Recorder(), workers)
        for n in range(50):
            work.add(str(n))
        await turns(300)
        assert not (work._running or work._waiting or work._again or work._timers or work._failures)

    asyncio.run(main())


def test_what_a_queue_does_is_counted() -> None:
    async def main() -> None:
        now = 100.0
        metrics = ClientMetrics(lambda: now)
        record = Recorder([None, 60.0])
        record.gate.clear()
        work = WorkQueue("q", record, workers=1, metrics=metrics)
        work.add("a")
        work.add("b")
        work.add("b")
        await turns()
        now = 103.0
        found = samples(metrics)
        assert found['workqueue_adds_total{name="q"}'] == "2"
        assert found['workqueue_depth{name="q"}'] == "1"
        assert found['workqueue_unfinished_work_seconds{name="q"}'] == "3"
        assert found['workqueue_longest_running_processor_seconds{name="q"}'] == "3"
        record.gate.set()
        await turns()
        await work.close()
        found = samples(metrics)
        assert (
            found['workqueue_depth{name="q"}'] == found['workqueue_unfinished_work_seconds{name="q"}'] == "0"
        )
        assert found['workqueue_queue_duration_seconds_bucket{name="q",le="1e-08"}'] == "1"
        assert found['workqueue_queue_duration_seconds_sum{name="q"}'] == "3"
        assert found['workqueue_work_duration_seconds_sum{name="q"}'] == "3"
        assert found['workqueue_retries_total{name="q"}'] == "1"

    asyncio.run(main())


def test_a_key_waits_by_the_time_of_its_queue() -> None:
    """A clock that moves may call for it at once."""

    async def main() -> None:
        record = Recorder([3600.0, None])
        later: list[tuple[float, Any]] = []

        def call_later(seconds: float, callback: Any) -> Any:
            later.append((seconds, callback))
            return asyncio.get_running_loop().call_later(seconds, callback)

        work = WorkQueue("q", record, call_later=call_later)
        work.add("a")
        await turns()
        (seconds, callback) = later.pop()
        assert seconds == 3600.0
        callback()
        await turns()
        assert record.done == ["a", "a"]
        await work.close()

    asyncio.run(main())
