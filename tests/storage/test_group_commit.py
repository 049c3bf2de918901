"""A single writer's writes are committed at once; concurrent writes share a commit."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from virtual_time import VirtualLoop

from pilothouse.storage.group_commit import LIMIT, PATIENCE, GroupCommit


class Disk:
    """Takes `seconds` for each commit."""

    def __init__(self, seconds: float = 0.002, limit: int = LIMIT) -> None:
        self.seconds = seconds
        self.commits: list[list[asyncio.Future[None]]] = []
        loop = asyncio.get_running_loop()
        self.group: GroupCommit[asyncio.Future[None]] = GroupCommit(loop, self.commit, limit)

    def commit(self, writes: list[asyncio.Future[None]]) -> None:
        self.commits.append(writes)
        asyncio.get_running_loop().call_later(self.seconds, self.done, writes)

    def done(self, writes: list[asyncio.Future[None]]) -> None:
        for future in writes:
            future.set_result(None)
        self.group.done(len(writes))

    async def write(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self.group.add(future)
        await future


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_a_lone_writer_does_not_wait() -> None:
    async def main() -> None:
        disk = Disk()
        for i in range(20):
            writing = asyncio.ensure_future(disk.write())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(disk.commits) == i + 1
            await writing

    run(main)


def test_writes_of_one_turn_are_one_commit() -> None:
    async def main() -> None:
        disk = Disk()
        await asyncio.gather(*(disk.write() for _ in range(9)))
        assert [len(one) for one in disk.commits] == [9]

    run(main)


def test_writers_that_come_back_are_waited_for() -> None:
    async def main() -> None:
        disk = Disk()

        async def client(i: int) -> None:
            for _ in range(20):
                await disk.write()
                for _ in range(i):  # everybody thinks for a while before the next one
                    await asyncio.sleep(0)

        await asyncio.gather(*(client(i) for i in range(8)))
        assert sum(map(len, disk.commits)) == 160
        assert len(disk.commits) < 40

    run(main)


def test_a_writer_that_does_not_come_back_holds_others_up_for_a_moment_only() -> None:
    async def main() -> None:
        disk = Disk(0)
        loop = asyncio.get_running_loop()
        await asyncio.gather(disk.write(), disk.write())
        started = loop.time()
        await disk.write()
        assert loop.time() - started <= PATIENCE
        assert [len(one) for one in disk.commits] == [2, 1]

    run(main)


def test_a_group_is_bounded() -> None:
    async def main() -> None:
        disk = Disk(limit=4)
        await asyncio.gather(*(disk.write() for _ in range(10)))
        assert [len(one) for one in disk.commits] == [4, 4, 2]

    run(main)


def test_flush_commits_what_waits() -> None:
    async def main() -> None:
        disk = Disk()
        await asyncio.gather(disk.write(), disk.write())
        writing = asyncio.ensure_future(disk.write())
        await asyncio.sleep(0)
        disk.group.flush()
        assert len(disk.commits) == 2
        await writing

    run(main)
