"""How soon a watch that lost its member goes on once etcd answers again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from virtual_time import VirtualLoop

from pilothouse.storage.etcd import rpc as etcd_rpc
from pilothouse.storage.etcd.backend import CATCH_UP
from pilothouse.storage.etcd.rpc import Rpc
from pilothouse.storage.etcd.watch import STALL, EtcdWatch, WatchListener
from pilothouse.wire import message

NOTHING = grpc.aio.Metadata()


class Member:
    """The only member: it refuses streams while it is down, and leaves them without an answer
    while it hangs."""

    def __init__(self) -> None:
        self.down = False
        self.hangs = False
        self.revision = 1
        self.streams = 0

    @property
    def member(self) -> "Member":
        return self

    def turn(self, failed: "Member") -> None:
        assert failed is self

    def stream(self, method: str) -> Any:
        assert method == etcd_rpc.WATCH
        return self._begin

    def _begin(self, metadata: object) -> "Stream":
        self.streams += 1
        return Stream(self)


class Stream:
    """A call whose answers are those to what was written, in order."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._reading: asyncio.Task[bytes] | None = None
        self._created = False

    async def write(self, request: bytes) -> None:
        if self._member.down:
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, NOTHING, NOTHING, "connection refused")
        if not self._member.hangs:
            header = message((3, self._member.revision))
            self._answers.put_nowait(message((1, header), (3, int(not self._created))))
            self._created = True

    async def read(self) -> bytes:
        self._reading = asyncio.ensure_future(self._answers.get())
        return await self._reading

    def cancel(self) -> None:
        if self._reading is not None:
            self._reading.cancel()


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


def run(loop: VirtualLoop, check: Callable[[Member, EtcdWatch], Awaitable[None]]) -> None:
    async def main() -> None:
        member = Member()
        watch = EtcdWatch(cast(Rpc, member), (b"/a", b"/b"), 2, WatchListener())
        await check(member, watch)
        watch.close()
        await watch.closed()

    loop.run_until_complete(main())


def test_a_caller_does_not_wait_for_the_back_off(loop: VirtualLoop) -> None:
    async def check(member: Member, watch: EtcdWatch) -> None:
        member.down = True
        await loop.advance(30)
        tries = member.streams
        assert 15 <= tries <= 40
        member.down, member.revision = False, 7
        begun = loop.time()
        assert await watch.reached(7, CATCH_UP)
        assert loop.time() - begun < etcd_rpc.BACKOFF[0]
        assert member.streams == tries + 1

    run(loop, check)


def test_an_attempt_that_was_under_way_is_followed_by_others_soon(loop: VirtualLoop) -> None:
    async def check(member: Member, watch: EtcdWatch) -> None:
        member.down = True
        await loop.advance(30)
        waiting = asyncio.ensure_future(watch.reached(7, CATCH_UP))
        await loop.advance(0.3)  # the attempts that the waiter hastened have failed as well
        member.down, member.revision = False, 7
        assert await waiting

    run(loop, check)


def test_each_stream_has_its_time_before_it_counts_as_stuck(loop: VirtualLoop) -> None:
    async def check(member: Member, watch: EtcdWatch) -> None:
        member.hangs = True
        await loop.advance(0)
        waiting = asyncio.ensure_future(watch.reached(7, 10))
        await loop.advance(STALL + 0.5)
        assert member.streams == 2
        member.hangs, member.revision = False, 7
        await loop.advance(STALL + 0.5)
        assert await waiting and member.streams == 3

    run(loop, check)


def test_a_broken_watch_nobody_waits_for_is_tried_ever_less_often(loop: VirtualLoop) -> None:
    async def check(member: Member, watch: EtcdWatch) -> None:
        member.down = True
        await loop.advance(30)
        tries = member.streams
        await loop.advance(100)
        longest = etcd_rpc.BACKOFF[1]
        assert 100 / longest <= member.streams - tries <= 200 / longest + 1

    run(loop, check)
