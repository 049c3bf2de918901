"""A watch of etcd that survives the loss of connections and members.

It delivers every change once, in order, and in whole revisions.
"""

import asyncio
from collections.abc import Callable

import grpc
import grpc.aio

from pilothouse.logs import Logger
from pilothouse.process.record import record
from pilothouse.storage.etcd import rpc as etcd_rpc
from pilothouse.storage.etcd import wire as etcd_wire
from pilothouse.storage.etcd.rpc import MemberChannel, Rpc
from pilothouse.storage.etcd.wire import EtcdEvent
from pilothouse.storage.interface import Compacted, StorageError, Unavailable
from pilothouse.waiting import woken
from pilothouse.wire import WireError

log = Logger(__name__)

CREATE_TIMEOUT = 3.0
"""Seconds in which a member must confirm a watch."""

FIRST_ASK, ASK = 0.005, 0.1
"""Seconds until a waiter asks for progress, and between later ones (upstream's progressRequestPeriod)."""

STALL = 1.5
"""Seconds without progress, while somebody waits for it, after which another member is tried."""

LEADER = (("hasleader", "true"),)
"""Makes a member end its watches when it has lost its leader, so that another member continues them."""


def _ignore(told: object) -> None:
    pass


@record
class WatchListener:
    """Gets the changes, the revisions reached without changes, and the error that ends the watch."""

    on_changes: Callable[[list[EtcdEvent]], None] = _ignore
    on_progress: Callable[[int], None] = _ignore
    on_error: Callable[[StorageError], None] = _ignore


class EtcdWatch:
    """Follows the keys in [start, end) from `revision` on. Everything up to `position` was delivered."""

    def __init__(
        self,
        rpc: Rpc,
        span: tuple[bytes, bytes],
        revision: int,
        listener: WatchListener,
        *,
        prev_kv: bool = False,
    ) -> None:
        self.position = revision - 1
        self._rpc = rpc
        self._span = span
        self._prev_kv = prev_kv
        self._listener = listener
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._call: grpc.aio.StreamStreamCall[bytes, bytes] | None = None
        self._ready = False
        self._wanted = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        """End the watch; nothing is delivered after this."""
        self._task.cancel()
        if self._asking is not None:
            self._asking.cancel()
        self._release()

    async def closed(self) -> None:
        """Wait until the connection is closed."""
        await asyncio.wait([self._task])

    async def reached(self, revision: int, timeout: float) -> bool:
        """Wait until everything up to `revision` was delivered;
        False after `timeout` seconds or when the watch ended."""
        if self.position >= revision:
            return True
        if self._task.done():
            return False
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (revision, future)
        self._waiters.append(waiter)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            return False
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return self.position >= revision

    async def _ask(self) -> None:
        """Request progress while callers wait for it; without progress, change the member.

        Callers wait for a revision that etcd has just told, so a watch that is broken is tried at once.
        """
        loop = asyncio.get_running_loop()
        self._wanted.set()
        await asyncio.sleep(FIRST_ASK)
        position, call, since = self.position, self._call, loop.time()
        while self._waiters:
            if self.position != position or self._call is not call:
                position, call, since = self.position, self._call, loop.time()
            if call is not None and loop.time() - since > STALL:
                log.warning("The watch of etcd is stuck, another member is tried", revision=position)
                call.cancel()
            elif call is not None and self._ready:
                try:
                    async with asyncio.timeout(ASK):
                        await call.write(etcd_wire.WATCH_PROGRESS)
                except (TimeoutError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    pass
            await asyncio.sleep(ASK)

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                member = self._rpc.member
                before = self.position
                await self._stream(member)
            except asyncio.CancelledError:
                if self._task.cancelling():
                    raise
                # otherwise _ask() has cancelled the call, to change the member
            except Compacted as error:
                self._fail(error)
                return
            except (Unavailable, WireError, TimeoutError, grpc.aio.AioRpcError) as error:
                self._lost(error, attempt)
            except Exception as error:
                log.exception("A watcher of the store failed")
                self._fail(Unavailable(f"watcher failed: {error}"))
                return
            self._rpc.turn(member)
            attempt = attempt + 1 if self.position == before else 0
            if attempt and await woken(self._wanted, etcd_rpc.backoff(attempt)):
                attempt = 0

    def _lost(self, error: Exception, attempt: int) -> None:
        """Log the first failure in a row, and then ever fewer of the following ones."""
        if attempt & (attempt - 1) == 0:
            why = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error) or "no answer"
            log.warning("The watch of etcd broke", revision=self.position, err=why)

    def _fail(self, error: StorageError) -> None:
        self._release()
        self._listener.on_error(error)

    def _release(self) -> None:
        """Wake the callers that wait for a watch that has ended."""
        for _, future in self._waiters:
            if not future.done():
                future.set_result(None)

    async def _stream(self, member: MemberChannel) -> None:
        """Run the watch over one stream, until the stream ends."""
        call = member.stream(etcd_rpc.WATCH)(metadata=LEADER)
        self._call = call
        try:
            async with asyncio.timeout(CREATE_TIMEOUT):
                await call.write(etcd_wire.watch_create(*self._span, self.position + 1, self._prev_kv))
                answer = await self._read(call)
            parts: list[EtcdEvent] = []
            while answer is not None:
                if answer.compacted:
                    raise Compacted(answer.compacted)
                if answer.canceled:
                    raise Unavailable(answer.reason or "etcd cancelled the watch")
                self._ready = True
                parts += answer.changes
                if not answer.fragment:
                    if parts:
                        self._tell(parts)
                        parts = []
                    elif not answer.created:
                        self._advance(answer.revision)
                answer = await self._read(call)
            raise Unavailable("the stream ended")
        finally:
            self._call, self._ready = None, False
            call.cancel()

    async def _read(self, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> etcd_wire.WatchAnswer | None:
        data = await call.read()
        return etcd_wire.watch_answer(data) if isinstance(data, bytes) else None

    def _tell(self, changes: list[EtcdEvent]) -> None:
        position = self.position
        fresh = [change for change in changes if change.kv.mod > position]
        if fresh:
            self._listener.on_changes(fresh)
            self.position = fresh[-1].kv.mod
            self._wake()

    def _advance(self, revision: int) -> None:
        if revision > self.position:
            self.position = revision
            self._listener.on_progress(revision)
            self._wake()

    def _wake(self) -> None:
        for revision, future in self._waiters:
            if revision <= self.position and not future.done():
                future.set_result(None)
