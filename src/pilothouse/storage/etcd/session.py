"""The lease of etcd that tells that this server is alive: what is bound to it goes when the server dies."""

import asyncio
import time
from collections.abc import Callable

import grpc
import grpc.aio

from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.storage.etcd import rpc as etcd_rpc
from pilothouse.storage.etcd import wire as etcd_wire
from pilothouse.storage.etcd.rpc import Rpc
from pilothouse.storage.interface import StorageError, Unavailable

log = Logger(__name__)

LEASE_SECONDS = 6
"""How long a lease lasts after its last renewal."""
SHARE = 3
"""A lease is renewed so many times while it lasts."""
AGAIN = 0.2
"""Seconds after which a renewal that failed is tried again."""


def monotonic() -> float:
    """Seconds that go on while the machine sleeps, where the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class EtcdSession(BackgroundTask):
    """Keeps a lease. `lease` is its ID, 0 while there is none. `on_lapse` is called when it has ended.

    The lease is taken to end `seconds` after its last renewal was sent: etcd, which counts from the moment
    when it got that, ends it later.
    """

    def __init__(
        self, rpc: Rpc, seconds: int = LEASE_SECONDS, clock: Callable[[], float] = monotonic
    ) -> None:
        self.lease = 0
        self.on_lapse: Callable[[], None] = lambda: None
        self._rpc = rpc
        self._seconds = seconds
        self._clock = clock
        self._until = 0.0

    def holds(self) -> bool:
        """Whether the lease is good."""
        if self.lease and self._clock() < self._until:
            return True
        if self.lease:
            self.lease = 0
            log.warning("The lease of etcd has ended: what this server has claimed may go to others")
            self.on_lapse()
        return False

    async def begin(self) -> None:
        """Take a lease; Unavailable."""
        sent = self._clock()
        request = etcd_wire.lease_grant(self._seconds)
        answer = await self._rpc.write(etcd_rpc.LEASE_GRANT, request, self._seconds / SHARE)
        self.lease, self._until = etcd_wire.lease_id(answer), sent + self._seconds

    async def renew(self) -> None:
        """Renew the lease, or find that it has ended; Unavailable."""
        lease, sent, member = self.lease, self._clock(), self._rpc.member
        call = member.stream(etcd_rpc.LEASE_KEEP_ALIVE)()
        try:
            async with asyncio.timeout(self._seconds / SHARE):
                await call.write(etcd_wire.lease_renewal(lease))
                answer = await call.read()
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            raise Unavailable("the call was cancelled") from None  # by the channel, not by us
        except (TimeoutError, grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            self._rpc.turn(member)
            raise Unavailable(str(error) or "no answer") from None
        finally:
            call.cancel()
        if not isinstance(answer, bytes):
            self._rpc.turn(member)
            raise Unavailable("the stream ended")
        if self.lease == lease:  # else it was given up before the answer came
            self._until = sent + min(etcd_wire.lease_left(answer), self._seconds)

    async def end(self) -> None:
        """Give the lease back; etcd removes what is bound to it."""
        await self.close()
        lease, self.lease, self._until = self.lease, 0, 0.0
        if lease:
            await self._rpc.write(etcd_rpc.LEASE_REVOKE, etcd_wire.lease_revocation(lease), AGAIN * 10)

    async def _run(self) -> None:
        pause = self._seconds / SHARE
        while True:
            await asyncio.sleep(pause)
            pause = self._seconds / SHARE
            try:
                await (self.renew() if self.holds() else self.begin())
            except StorageError as error:
                pause = AGAIN
                log.warning("The lease of etcd was not renewed, it is tried again", err=error)
            except Exception:
                pause = AGAIN
                log.exception("The lease of etcd was not renewed, it is tried again")
            if not self.holds():
                pause = AGAIN
