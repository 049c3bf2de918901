"""The store for more than one machine: an etcd cluster, under the keys that kube-apiserver uses.

Any number of processes may use it at the same time. What is acknowledged has been agreed on by a majority.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pilothouse.storage.claims import Lost
from pilothouse.storage.etcd import rpc as etcd_rpc
from pilothouse.storage.etcd import wire as etcd_wire
from pilothouse.storage.etcd.leases import REUSE_SECONDS, Leases
from pilothouse.storage.etcd.metrics import EtcdMetrics
from pilothouse.storage.etcd.rpc import TLS, CompactedError, FutureError, Rpc
from pilothouse.storage.etcd.watch import EtcdWatch, WatchListener
from pilothouse.storage.etcd.wire import EtcdEvent, Pair, TxnAnswer
from pilothouse.storage.feed import Subscriber
from pilothouse.storage.interface import (
    Behind,
    Compacted,
    Full,
    FutureRevision,
    KeyExists,
    KeyValue,
    Op,
    Page,
    RevisionConflict,
    StorageError,
    StorageEvent,
    Subscription,
    Unavailable,
)
from pilothouse.storage.keys import PREFIX, ROOT

CATCH_UP = 3.0
"""Seconds in which the watches must reach a revision that was read or written;
upstream's limit for its cache."""

NEVER = -1
"""A mod revision that no key has."""


class EtcdStorage:
    """A store on the members at `servers` (URLs). Keys under /registry are kept under `prefix`.

    `routes` are the Unix sockets that lead to members which cannot be reached directly, by URL.
    """

    others_write = True

    def __init__(
        self,
        servers: Sequence[str],
        tls: TLS | None = None,
        prefix: str = PREFIX,
        lease_reuse_seconds: float = REUSE_SECONDS,
        routes: Mapping[str, str] | None = None,
        root: str = PREFIX,
    ) -> None:
        """`root`: how the keys begin that are kept under the prefix instead."""
        self.rpc = Rpc(servers, tls, routes)
        self.prefix = "/" + prefix.strip("/")
        self._root = root
        self.metrics = EtcdMetrics()
        self.wrote: Callable[[str, int, bytes], None] | None = None
        """Called with the key, the revision and the author of each write, before the watches tell of it."""
        self._leases = Leases(self.rpc, lease_reuse_seconds, self.metrics)
        self._revision = 1
        self._compacted = 1
        self._open = False
        self._full = False
        self._watches: dict[EtcdWatch, Subscriber] = {}
        self._reading: asyncio.Task[int] | None = None
        self._next_read: asyncio.Task[int] | None = None

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def full(self) -> bool:
        return self._full

    @property
    def busy(self) -> bool:
        return False

    @property
    def compacted(self) -> int:
        return self._compacted

    async def start(self) -> None:
        self.rpc.open()
        try:
            await self._read_revision(etcd_rpc.START_TIMEOUT)
            await self._learn_compacted()
        except BaseException:
            await self.rpc.close()
            raise
        self._open = True

    async def close(self) -> None:
        if not self._open:
            return
        self._open = False
        watches, self._watches = self._watches, {}
        for watch, subscriber in watches.items():
            watch.close()
            subscriber.fail(Unavailable("the store is closed"))
        for watch in watches:
            await watch.closed()
        for task in (self._reading, self._next_read):
            if task is not None:
                task.cancel()
        await self.rpc.close()

    async def current_revision(self) -> int:
        self._check_open()
        if self._next_read is None:
            self._next_read = asyncio.get_running_loop().create_task(self._read_after(self._reading))
            self._next_read.add_done_callback(_retrieve)
        revision = await asyncio.shield(self._next_read)
        for watch in list(self._watches):
            if not await watch.reached(revision, CATCH_UP) and watch in self._watches:
                raise Behind("etcdserver: the watch does not keep up")
        return revision

    async def get(self, key: str, revision: int = 0) -> KeyValue | None:
        answer = await self._range(etcd_wire.range_request(self._key(key), revision=revision), revision)
        return self._pair(answer.pairs[0]) if answer.pairs else None

    async def range(
        self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, counted: bool = True
    ) -> Page:
        first, end = self._span(prefix)
        if start:
            first = max(first, self._key(start))
        request = etcd_wire.range_request(first, end, limit=limit, revision=revision)
        answer = await self._range(request, revision)
        items = [self._pair(pair) for pair in answer.pairs]
        return Page(items, revision or answer.revision, answer.more, answer.count)

    async def count(self, prefix: str) -> int:
        """How many keys have a prefix."""
        return (await self._range(etcd_wire.range_request(*self._span(prefix), count_only=True), 0)).count

    async def create(self, key: str, value: bytes, ttl: int = 0, author: bytes = b"") -> KeyValue:
        answer, lease = await self._put(key, value, 0, ttl, author)
        if not answer.succeeded:
            raise KeyExists(self._pair(answer.ranges[0].pairs[0]))
        return KeyValue(key, value, answer.revision, answer.revision, lease)

    async def update(
        self, key: str, value: bytes, expect: int, ttl: int = 0, author: bytes = b""
    ) -> KeyValue:
        answer, lease = await self._put(key, value, expect or NEVER, ttl, author)
        pairs = answer.ranges[0].pairs
        if not answer.succeeded:
            raise RevisionConflict(key, self._pair(pairs[0]) if pairs else None)
        return KeyValue(key, value, answer.revision, pairs[0].create, lease)

    async def delete(self, key: str, expect: int, last: bytes | None = None, author: bytes = b"") -> KeyValue:
        if last is not None:
            with contextlib.suppress(Full):  # the deletion itself is accepted
                expect = (await self.update(key, last, expect, author=author)).mod
        raw = self._key(key)
        answer = await self._txn(
            [etcd_wire.mod_is(raw, expect or NEVER)],
            [etcd_wire.op_delete(raw, prev_kv=True)],
            [etcd_wire.op_range(etcd_wire.range_request(raw))],
            {key: author},
        )
        if not answer.succeeded:
            pairs = answer.ranges[0].pairs
            raise RevisionConflict(key, self._pair(pairs[0]) if pairs else None)
        gone = answer.deleted[0]
        return KeyValue(key, gone.value, answer.revision, gone.create, gone.lease)

    async def txn(self, ops: list[Op]) -> int:
        return await self._write(ops)

    async def _write(self, ops: list[Op], fence: tuple[str, int] | None = None) -> int:
        """All or nothing. fence: a key, and the revision that it must have, else Lost."""
        self._check_open()
        if len({op.key for op in ops}) != len(ops):
            raise ValueError("a transaction may write a key only once")
        if not ops:
            return self._revision
        compares, success, failure = [], [], []
        if fence is not None:
            compares.append(etcd_wire.mod_is(self._key(fence[0]), fence[1]))
        for op in ops:
            raw = self._key(op.key)
            if op.expect is not None:
                compares.append(etcd_wire.mod_is(raw, op.expect))
            if op.value is None:
                success.append(etcd_wire.op_delete(raw))
            else:
                lease = await self._leases.get(op.ttl) if op.ttl else 0
                success.append(etcd_wire.op_put(raw, op.value, lease))
            failure.append(etcd_wire.op_range(etcd_wire.range_request(raw)))
        answer = await self._txn(compares, success, failure, {op.key: op.author for op in ops})
        if answer.succeeded:
            return answer.revision
        for op, found in zip(ops, answer.ranges, strict=True):
            mod = found.pairs[0].mod if found.pairs else 0
            if op.expect is not None and op.expect != mod:
                raise RevisionConflict(op.key, self._pair(found.pairs[0]) if found.pairs else None)
        if fence is not None:
            raise Lost(f"the claim {fence[0]} has ended")
        raise Unavailable("etcd refused a transaction that fits")

    def watch(
        self,
        prefix: str,
        revision: int,
        on_events: Callable[[list[StorageEvent]], None],
        on_error: Callable[[StorageError], None],
        *,
        prev_kv: bool = True,
        on_progress: Callable[[int], None] | None = None,
    ) -> Subscription:
        self._check_open()
        if revision < self._compacted:
            raise Compacted(self._compacted)
        subscriber = Subscriber(prefix, revision, on_events, on_error, prev_kv)

        def changed(changes: list[EtcdEvent]) -> None:
            self._revision = max(self._revision, changes[-1].kv.mod)
            subscriber.deliver([self._event(change) for change in changes])
            if subscriber.closed:
                close()

        def progress(reached: int) -> None:
            self._revision = max(self._revision, reached)
            if on_progress is not None:
                on_progress(reached)

        def failed(error: StorageError) -> None:
            if isinstance(error, Compacted):
                self._compacted = max(self._compacted, error.compacted)
            self._watches.pop(watch, None)
            subscriber.fail(error)

        def close() -> None:
            subscriber.closed = True
            self._watches.pop(watch, None)
            watch.close()

        span = self._span(prefix)
        watch = EtcdWatch(self.rpc, span, revision, WatchListener(changed, progress, failed), prev_kv=prev_kv)
        self._watches[watch] = subscriber
        return Subscription(close)

    async def compact(self, revision: int) -> None:
        self._check_open()
        if revision > self._revision and revision > await self._read_revision():
            raise FutureRevision(self._revision)
        if revision > self._compacted:
            # etcd compacts what is at the revision, too, as far as the state before each change goes
            self._compacted = revision
            try:
                await self._guard(self.rpc.read(etcd_rpc.COMPACT, etcd_wire.compact_request(revision - 1)))
            except CompactedError:
                pass

    def note_compacted(self, revision: int) -> None:
        """Another server has compacted to this revision: what is older cannot be read any more."""
        self._compacted = max(self._compacted, revision)

    async def size(self) -> int:
        return etcd_wire.status_size(await self._guard(self.rpc.read(etcd_rpc.STATUS, b"")))

    async def probe(self, timeout: float) -> None:
        """Read with a quorum within `timeout` seconds; Unavailable when that is not possible."""
        await self._guard(
            self.rpc.read(etcd_rpc.RANGE, etcd_wire.range_request(self._key(f"{ROOT}health")), timeout)
        )

    # Keys, pairs and events

    def _key(self, key: str) -> bytes:
        return (self.prefix + key.removeprefix(self._root)).encode()

    def _span(self, prefix: str) -> tuple[bytes, bytes]:
        """The range of keys that have a prefix, as its first key and its end; "" stands for all our keys."""
        first = self._key(prefix or f"{self._root}/")
        return first, first[:-1] + bytes((first[-1] + 1,))

    def _pair(self, pair: Pair) -> KeyValue:
        key = self._root + pair.key.decode("utf-8", "replace").removeprefix(self.prefix)
        return KeyValue(key, pair.value, pair.mod, pair.create, pair.lease)

    def _event(self, change: EtcdEvent) -> StorageEvent:
        kv = self._pair(change.kv)
        prev = self._pair(change.prev) if change.prev is not None else None
        if change.deleted and prev is not None:
            kv = KeyValue(kv.key, prev.value, kv.mod, prev.create, prev.lease)
        return StorageEvent(change.deleted, kv, prev)

    # Calls

    def _check_open(self) -> None:
        if not self._open:
            raise Unavailable("the store is closed")

    async def _guard(self, call: Awaitable[bytes]) -> bytes:
        """Await a call; raise Unavailable when the store is closed."""
        if not self._open:
            if asyncio.iscoroutine(call):
                call.close()
            raise Unavailable("the store is closed")
        return await call

    async def _range(self, request: bytes, revision: int) -> etcd_wire.RangeAnswer:
        if self._open and 0 < revision < self._compacted:
            raise Compacted(self._compacted)
        try:
            data = await self._guard(self.rpc.read(etcd_rpc.RANGE, request))
        except CompactedError:
            await self._learn_compacted()
            raise Compacted(max(self._compacted, revision + 1)) from None
        except FutureError:
            raise FutureRevision(await self._read_revision()) from None
        answer = etcd_wire.range_answer(data)
        self._revision = max(self._revision, answer.revision)
        return answer

    async def _put(
        self, key: str, value: bytes, expect: int, ttl: float, author: bytes
    ) -> tuple[TxnAnswer, int]:
        """Write a key if its revision is `expect`; the result of an update has the key's create revision."""
        self._check_open()
        raw = self._key(key)
        for attempt in (1, 2):
            lease = await self._leases.get(ttl) if ttl else 0
            success = [etcd_wire.op_put(raw, value, lease)]
            if expect:
                success.append(etcd_wire.op_range(etcd_wire.range_request(raw, keys_only=True)))
            failure = [etcd_wire.op_range(etcd_wire.range_request(raw))]
            try:
                answer = await self._txn([etcd_wire.mod_is(raw, expect)], success, failure, {key: author})
                if answer.succeeded:
                    self._full = False
                return answer, lease
            except Unavailable as error:
                self._full = isinstance(error, Full) or self._full
                if attempt == 2 or "requested lease not found" not in str(error):
                    raise
                self._leases.forget(lease)
        raise AssertionError("unreachable")

    async def _txn(
        self, compares: list[bytes], success: list[bytes], failure: list[bytes], authors: dict[str, bytes]
    ) -> TxnAnswer:
        """Carry out a transaction. authors: of the writes, by their keys."""
        request = etcd_wire.txn_request(compares, success, failure)
        answer = etcd_wire.txn_answer(await self._guard(self.rpc.write(etcd_rpc.TXN, request)))
        revision = answer.revision
        self._revision = max(self._revision, revision)
        if answer.succeeded:
            if self.wrote is not None:
                for key, author in authors.items():
                    self.wrote(key, revision, author)
            for watch, subscriber in list(self._watches.items()):
                if watch.position < revision and any(key.startswith(subscriber.prefix) for key in authors):
                    await watch.reached(revision, CATCH_UP)
        return answer

    async def _read_after(self, before: "asyncio.Task[int] | None") -> int:
        """The revision, read once `before` is done: all callers until then share this read.

        When etcd hangs, the time that was waited for `before` counts,
        so that nobody waits for two reads to fail.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        if before is not None and not before.done():
            await asyncio.wait([before])
        self._reading, self._next_read = self._next_read, None
        left = etcd_rpc.READ_TIMEOUT - (loop.time() - begun)
        return await self._read_revision(max(left, etcd_rpc.ATTEMPT_TIMEOUT))

    async def _read_revision(self, timeout: float = etcd_rpc.READ_TIMEOUT) -> int:
        request = etcd_wire.range_request(self._key(f"{ROOT}health"), count_only=True)
        revision = etcd_wire.range_answer(await self.rpc.read(etcd_rpc.RANGE, request, timeout)).revision
        self._revision = max(self._revision, revision)
        return revision

    async def _learn_compacted(self) -> None:
        """Learn the compacted revision: etcd tells it only to a watch that starts before it."""
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def failed(error: StorageError) -> None:
            if not told.done():
                told.set_result(error.compacted if isinstance(error, Compacted) else 0)

        span = self._span(f"{ROOT}health")
        watch = EtcdWatch(self.rpc, span, 1, WatchListener(on_error=failed))
        reached: asyncio.Future[Any] = asyncio.ensure_future(watch.reached(self._revision, CATCH_UP))
        try:
            await asyncio.wait([reached, told], return_when=asyncio.FIRST_COMPLETED)
            if told.done():
                self._compacted = max(self._compacted, told.result())
        finally:
            reached.cancel()
            await asyncio.wait([reached])
            _retrieve(reached)
            watch.close()
            await watch.closed()


def _retrieve(task: "asyncio.Future[Any]") -> None:
    """Retrieve the exception of a future for which nobody may wait, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
