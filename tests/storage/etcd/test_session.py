"""A lease is taken to end before etcd can have ended it, and what was held is given up then."""

import asyncio
from typing import Any

from virtual_time import VirtualLoop

from pilothouse.storage.etcd import rpc as etcd_rpc
from pilothouse.storage.etcd.session import AGAIN, SHARE, EtcdSession
from pilothouse.storage.interface import Unavailable
from pilothouse.wire import message, parse

SECONDS = 6


class Call:
    """The stream of one renewal."""

    def __init__(self, rpc: "Rpc") -> None:
        self._rpc = rpc
        self._lease = 0

    async def write(self, request: bytes) -> None:
        self._lease = dict(parse(request))[1]

    async def read(self) -> Any:
        self._rpc.renewals.append(asyncio.get_running_loop().time())
        if self._rpc.silent:
            await asyncio.sleep(3600)
        if self._rpc.away:
            return None
        left = SECONDS if self._lease in self._rpc.leases else 0
        return message((2, self._lease), (3, left))

    def cancel(self) -> None:
        """Nothing is left."""


class Rpc:
    """An etcd with leases, which can be away, or be silent."""

    def __init__(self) -> None:
        self.leases: list[int] = []
        self.renewals: list[float] = []
        self.away = self.silent = False
        self.member = self
        self.turns = 0
        self._granted = 0

    async def write(self, method: str, request: bytes, timeout: float) -> bytes:
        if self.away or self.silent:
            await asyncio.sleep(timeout if self.silent else 0)
            raise Unavailable("away")
        if method == etcd_rpc.LEASE_REVOKE:
            self.leases.remove(dict(parse(request))[1])
            return b""
        self._granted += 1
        self.leases.append(self._granted)
        return message((2, self._granted))

    def stream(self, method: str) -> Any:
        assert method == etcd_rpc.LEASE_KEEP_ALIVE
        return lambda: Call(self)

    def turn(self, failed: object) -> None:
        self.turns += 1


class Rig:
    """A session that has begun, and when it has lapsed."""

    def __init__(self) -> None:
        self.rpc = Rpc()
        self.lapses: list[float] = []
        self.loop = asyncio.get_running_loop()
        rpc: Any = self.rpc
        self.session = EtcdSession(rpc, SECONDS, self.loop.time)
        self.session.on_lapse = lambda: self.lapses.append(self.loop.time())


async def begun() -> Rig:
    rig = Rig()
    await rig.session.begin()
    rig.session.start()
    return rig


async def test_it_is_renewed(virtual: VirtualLoop) -> None:
    rig = await begun()
    await asyncio.sleep(10 * SECONDS)
    assert rig.session.holds() and (rig.session.lease, rig.lapses) == (1, [])
    assert len(rig.rpc.renewals) in range(10 * SHARE - 2, 10 * SHARE + 1)
    await rig.session.end()
    assert (rig.rpc.leases, rig.session.holds(), rig.lapses) == ([], False, [])


async def test_it_lapses_in_time_without_etcd_and_begins_anew(virtual: VirtualLoop) -> None:
    for silent in (False, True):
        rig = await begun()
        await asyncio.sleep(SECONDS)
        rig.rpc.away, rig.rpc.silent = not silent, silent
        last = rig.rpc.renewals[-1] if rig.rpc.renewals else rig.loop.time()
        await asyncio.sleep(3 * SECONDS)
        assert not rig.session.holds() and rig.session.lease == 0
        assert len(rig.lapses) == 1
        assert last + SECONDS <= rig.lapses[0] <= last + SECONDS + SECONDS / SHARE + 2 * AGAIN
        assert rig.rpc.turns
        rig.rpc.away = rig.rpc.silent = False
        await asyncio.sleep(SECONDS)
        assert rig.session.holds() and rig.session.lease == 2
        await rig.session.end()


async def test_a_lease_that_etcd_has_ended_is_given_up(virtual: VirtualLoop) -> None:
    rig = await begun()
    rig.rpc.leases.clear()
    await asyncio.sleep(SECONDS / SHARE + 2 * AGAIN)
    assert len(rig.lapses) == 1
    assert rig.session.holds() and rig.session.lease == 2
    await rig.session.end()


async def test_a_process_that_was_stopped_looks_at_the_clock_first(virtual: VirtualLoop) -> None:
    """Nothing of the loop has run meanwhile."""
    rig = await begun()
    now = rig.loop.time()
    rpc: Any = rig.rpc
    stopped = EtcdSession(rpc, SECONDS, lambda: now)
    stopped.on_lapse = lambda: rig.lapses.append(now)
    await stopped.begin()
    assert stopped.holds()
    now += SECONDS
    assert not stopped.holds() and rig.lapses == [now]
    assert not stopped.holds() and rig.lapses == [now]
    await rig.session.end()


async def test_an_answer_that_comes_late_does_not_prolong_it(virtual: VirtualLoop) -> None:
    """The lease counts from when the renewal was sent."""
    rig = Rig()
    await rig.session.begin()
    begun_at = rig.loop.time()

    class Late(Call):
        async def read(self) -> Any:
            await asyncio.sleep(SECONDS / SHARE - 0.1)
            return await super().read()

    rpc: Any = rig.rpc
    rpc.stream = lambda method: lambda: Late(rig.rpc)
    await rig.session.renew()
    await asyncio.sleep(begun_at + SECONDS - rig.loop.time())
    assert not rig.session.holds()


async def test_an_answer_does_not_revive_what_was_given_up(virtual: VirtualLoop) -> None:
    """The lease ends on this side while its renewal is on the way, and somebody notices."""
    rig = Rig()
    await rig.session.begin()
    await asyncio.sleep(SECONDS - 1)

    class Late(Call):
        async def read(self) -> Any:
            await asyncio.sleep(SECONDS / SHARE - 0.1)
            return await super().read()

    rpc: Any = rig.rpc
    rpc.stream = lambda method: lambda: Late(rig.rpc)
    renewing = asyncio.create_task(rig.session.renew())
    await asyncio.sleep(1)
    assert not rig.session.holds() and rig.lapses
    await renewing
    assert rig.session.lease == 0 and not rig.session.holds()
