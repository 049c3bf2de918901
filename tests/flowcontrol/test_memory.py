"""The memory budget: who is charged, who waits, who is refused, and what is freed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from virtual_time import VirtualLoop

from pilothouse import errors
from pilothouse.flowcontrol.memory import MOST_WAITING, PARTS, MemoryBudget, MemoryShare

MB = 1 << 20


class Process:
    """A process of so many bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.freed: list[str] = []

    def __call__(self) -> int:
        return self.size

    def free(self, what: str, size: int) -> Callable[[], None]:
        def relieve() -> None:
            self.freed.append(what)
            self.size -= size

        return relieve


def memory_of(process: Process, limit: int = 100 * MB, *relievers: Callable[[], object]) -> MemoryBudget:
    return MemoryBudget(limit, None, process, relievers)


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(body())


def enter(memory: MemoryBudget, user: str, need: int, seconds: float = 10.0) -> "asyncio.Task[None]":
    return asyncio.create_task(memory.enter(user, need, seconds, exempt=False))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_fits_goes_on_and_the_rest_waits_for_it() -> None:
    async def body() -> None:
        memory = memory_of(Process(40 * MB))
        first, second, third = (enter(memory, user, 30 * MB) for user in "abc")
        await settle()
        assert [task.done() for task in (first, second, third)] == [True, True, False]
        assert memory.charged == 60 * MB and memory.used == 100 * MB
        memory.leave("a", 30 * MB)
        assert not third.done()
        await settle()
        assert not third.done(), "the process may still hold the bytes"
        await memory.look()
        await settle()
        assert third.done() and memory.charged == 60 * MB

    run(body)


def test_who_waits_too_long_is_told_why() -> None:
    async def body() -> None:
        memory = memory_of(Process(40 * MB))
        await memory.enter("a", 50 * MB, 1, exempt=False)
        with pytest.raises(errors.TooManyRequests) as caught:
            await memory.enter("b", 20 * MB, 3, exempt=False)
        [cause] = caught.value.details["causes"]
        assert cause["reason"] == "Memory" and str(20 * MB) in cause["message"]
        assert ("Retry-After", "1") in caught.value.headers
        assert memory.charged == 50 * MB and memory.refused.values == {("time-out",): 1}

    run(body)


def test_what_never_fits_is_refused_at_once() -> None:
    async def body() -> None:
        memory = memory_of(Process(40 * MB))
        start = asyncio.get_running_loop().time()
        with pytest.raises(errors.TooManyRequests):
            await memory.enter("a", 61 * MB, 1000, exempt=False)
        assert asyncio.get_running_loop().time() == start and memory.refused.values == {("too-large",): 1}

    run(body)


def test_administrators_never_wait_and_count() -> None:
    async def body() -> None:
        memory = memory_of(Process(90 * MB))
        await memory.enter("admin", 50 * MB, 0, exempt=True)
        assert memory.charged == 50 * MB
        waits = enter(memory, "a", 1 * MB)
        await settle()
        assert not waits.done()
        memory.leave("admin", 50 * MB)
        await memory.look()
        await settle()
        assert waits.done()

    run(body)


def test_whoever_holds_least_is_next() -> None:
    async def body() -> None:
        memory = memory_of(Process(40 * MB))
        await memory.enter("flood", 60 * MB, 1, exempt=False)
        flood = [enter(memory, "flood", 20 * MB, 100) for _ in range(10)]
        other = enter(memory, "other", 20 * MB, 100)
        await memory.enter("admin", 1, 1, exempt=True)
        await settle()
        memory.leave("flood", 60 * MB)
        await memory.look()
        await settle()
        assert other.done() and sum(task.done() for task in flood) == 1

    run(body)


@pytest.mark.parametrize("granted", [False, True])
def test_a_client_that_leaves_holds_nothing(granted: bool) -> None:
    """Neither in the line, nor when it leaves in the moment in which its turn has come."""

    async def body() -> None:
        memory = memory_of(Process(40 * MB))
        await memory.enter("a", 60 * MB, 1, exempt=False)
        waits = enter(memory, "b", 10 * MB)
        await settle()
        if granted:
            await memory.look()
            memory.leave("a", 60 * MB)
            assert memory.charged == 10 * MB
        waits.cancel()
        await asyncio.wait([waits])
        assert memory.charged == (0 if granted else 60 * MB)

    run(body)


def test_the_line_is_bounded() -> None:
    async def body() -> None:
        memory = memory_of(Process(40 * MB))
        await memory.enter("a", 60 * MB, 1, exempt=False)
        waiting = [enter(memory, "a", MB) for _ in range(MOST_WAITING)]
        await settle()
        with pytest.raises(errors.TooManyRequests):
            await memory.enter("a", MB, 1, exempt=False)
        assert memory.refused.values == {("queue-full",): 1}
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

    run(body)


def test_what_the_process_really_takes_counts() -> None:
    async def body() -> None:
        process = Process(40 * MB)
        memory = memory_of(process)
        process.size = 95 * MB
        await memory.look()
        assert memory.used == 95 * MB
        waits = enter(memory, "a", 10 * MB)
        await settle()
        assert not waits.done()
        process.size = 50 * MB
        await memory.look()
        await settle()
        assert waits.done()

    run(body)


def test_memory_is_freed_when_it_is_short_and_not_all_the_time() -> None:
    async def body() -> None:
        process = Process(50 * MB)
        memory = memory_of(process, 100 * MB, process.free("a", 10 * MB), process.free("b", 5 * MB))
        await memory.look()
        assert not process.freed
        process.size = 95 * MB
        await memory.look()
        assert process.freed == ["a", "b"] and memory.used == 80 * MB
        process.size = 95 * MB
        await memory.look()
        assert process.freed == ["a", "b"]
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=1)
        await memory.look()
        assert process.freed == ["a", "b", "a", "b"] and memory.reliefs.values == {(): 2}

    run(body)


def test_it_looks_by_itself() -> None:
    async def body() -> None:
        process = Process(50 * MB)
        memory = memory_of(process)
        memory.start()
        process.size = 99 * MB
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=1)
        assert memory.used == 99 * MB
        await memory.close()

    run(body)


def share(memory: MemoryBudget, name: str) -> Callable[..., "asyncio.Task[None]"]:
    """Enters as users of a cluster, its administrators."""
    part = MemoryShare(memory, None, f"cluster {name}")
    return lambda need, seconds=10.0: asyncio.create_task(part.enter("admin", need, seconds, exempt=True))


def test_a_cluster_has_a_part_of_the_room_and_others_go_on() -> None:
    async def body() -> None:
        memory = memory_of(Process(20 * MB))
        ours, theirs = share(memory, "ours"), share(memory, "theirs")
        first, second, third, other, root = (
            ours(15 * MB),
            ours(5 * MB),
            ours(MB),
            theirs(MB),
            enter(memory, "a", MB),
        )
        await settle()
        assert PARTS == 4
        assert [task.done() for task in (first, second, third, other, root)] == [
            True,
            True,
            False,
            True,
            True,
        ]
        memory.leave("cluster ours", 5 * MB)
        await settle()
        assert third.done()

    run(body)


def test_one_request_of_a_cluster_is_let_in_whatever_its_size() -> None:
    async def body() -> None:
        memory = memory_of(Process(20 * MB))
        ours = share(memory, "ours")
        first, second = ours(60 * MB), ours(MB)
        await settle()
        assert [first.done(), second.done()] == [True, False]

    run(body)


def test_a_cluster_is_not_told_what_others_use() -> None:
    async def body() -> None:
        memory = memory_of(Process(20 * MB))
        ours = share(memory, "ours")
        await ours(15 * MB)
        with pytest.raises(errors.TooManyRequests) as caught:
            await ours(10 * MB, 3)
        [cause] = caught.value.details["causes"]
        assert cause["message"].endswith(f"and the cluster's requests hold {15 * MB}")

    run(body)


def test_those_who_wait_for_their_own_requests_take_nobodys_place() -> None:
    """The line of a cluster is shorter, memory is not freed for it, and those of the server come first."""

    async def body() -> None:
        memory = memory_of(Process(20 * MB))
        ours = share(memory, "ours")
        await ours(20 * MB)
        waiting = [ours(MB) for _ in range(MOST_WAITING // PARTS)]
        await settle()
        with pytest.raises(errors.TooManyRequests):
            await ours(MB)
        assert memory.refused.values == {("queue-full",): 1}
        await enter(memory, "a", MB)
        await memory.look()
        assert memory.reliefs.values == {(): 0}
        for task in waiting:
            task.cancel()

    run(body)
