"""A store of its own in a journal that many share: own keys, own revisions, read from memory.

A write is judged by what is in memory, kept in the journal, and then applied: what is acknowledged is as
durable as the journal. An embedded journal commits the writes of all keyspaces together. Nobody else writes
the rows of a keyspace that is open, so their revisions need no coordination.
"""

import asyncio
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import field

from pilothouse.api.values.clock import CallLater, on_loop
from pilothouse.process.record import record
from pilothouse.storage.base_state import EMPTY, BaseState
from pilothouse.storage.interface import (
    KeyExists,
    KeyValue,
    LimitReached,
    Op,
    RevisionConflict,
    Unavailable,
)
from pilothouse.storage.keyspaces import rows
from pilothouse.storage.keyspaces.journal import RowStore
from pilothouse.storage.memory import MemoryStorage


@record
class KeyspaceLimits:
    """The most that a keyspace may hold; 0 is no limit."""

    keys: int = 0
    bytes: int = 0


@record(eq=False)
class _Write:
    """A write on its way through the journal: what is applied afterwards, under which revisions."""

    steps: list[tuple[int, list[Op], list[int]]]
    future: "asyncio.Future[KeyValue | None]"
    kept: bool = False
    error: BaseException | None = None
    keys: frozenset[str] = field(default=frozenset())
    room: tuple[int, int] = (0, 0)
    """The keys and the bytes that it adds."""


class KeyspaceStorage(MemoryStorage):
    """The keyspace `name` of a journal. History begins anew each time it is opened."""

    def __init__(
        self,
        journal: RowStore,
        name: str,
        base: BaseState = EMPTY,
        limits: KeyspaceLimits | None = None,
        clock: Callable[[], float] = time.time,
        call_later: CallLater = on_loop,
    ) -> None:
        super().__init__(clock, call_later)
        self.base = base
        self.limits = limits or KeyspaceLimits()
        self.held = 0
        """Bytes of the current values."""
        self.journal = journal
        self._prefix = rows.prefix_of(name)
        self._given_out = 1
        self._pending: dict[str, asyncio.Future[KeyValue | None]] = {}
        self._writes: deque[_Write] = deque()
        self._coming_keys = self._coming_bytes = 0
        """The keys and bytes that writes on their way add."""
        self._expiring: set[asyncio.Task[None]] = set()

    @property
    def full(self) -> bool:
        return self.journal.full

    @property
    def busy(self) -> bool:
        return bool(self._writes)

    def snapshot(self) -> tuple[list[KeyValue], int]:
        """All pairs, and their revision."""
        return list(self._current.values()), self._revision

    @property
    def count(self) -> int:
        """How many keys there are."""
        return len(self._current)

    async def start(self) -> None:
        """Read the rows. What was written before cannot be read as it was at earlier revisions."""
        base, prefix = self.base, self._prefix
        current, revision = dict(base.current), base.revision
        keys, held, expiring = list(base.keys), base.size, []
        page = await self.journal.range(prefix + "/", counted=False)
        for row in page.items:
            kv = rows.unpacked(row.key[len(prefix) :], row.value)
            revision = max(revision, kv.mod)
            known = current.pop(kv.key, None)
            held -= len(known.value) if known is not None else 0
            if not kv.create:
                continue
            if known is None:
                insort(keys, kv.key)
            current[kv.key] = kv
            held += len(kv.value)
            if kv.lease:
                expiring.append((kv.lease, kv.key, kv.mod))
        last = await self.journal.get(prefix + rows.REVISION)
        if last is not None:
            revision = max(revision, rows.unpacked("", last.value).mod)
        self._current = current
        self._keys = keys if len(keys) == len(current) else sorted(current)
        self._revision = self._compacted = self._given_out = revision
        self.held = held
        self._expiry.load(expiring)
        await super().start()

    async def close(self) -> None:
        """Wait until the journal has all writes that were accepted, then close."""
        while self._writes:
            await asyncio.wait([self._writes[-1].future])
        await super().close()

    async def create(self, key: str, value: bytes, ttl: int = 0, author: bytes = b"") -> KeyValue:
        return await self._write([Op(key, value, 0, ttl)])

    async def update(
        self, key: str, value: bytes, expect: int, ttl: int = 0, author: bytes = b""
    ) -> KeyValue:
        return await self._write([Op(key, value, expect or -1, ttl)])

    async def delete(self, key: str, expect: int, last: bytes | None = None, author: bytes = b"") -> KeyValue:
        return await self._write([Op(key, None, expect or -1)], last)

    async def txn(self, ops: list[Op]) -> int:
        if len({op.key for op in ops}) != len(ops):
            raise ValueError("a transaction may write a key only once")
        await self._write(ops, many=True)
        return self._revision

    async def _write(self, ops: Sequence[Op], last: bytes | None = None, *, many: bool = False) -> KeyValue:
        """Judge a write once those of the same keys that are on their way have ended, and keep it."""
        self._check_open()
        while (before := next((f for op in ops if (f := self._pending.get(op.key))), None)) is not None:
            await asyncio.wait([before])
            self._check_open()
        for op in ops:
            self._judge(op, many)
        ops = [op for op in ops if op.value is not None or op.key in self._current]
        if not ops:
            return KeyValue("", b"", self._revision)
        room = self._check_room(ops)
        write = self._begun(ops, last, room)
        done = await asyncio.shield(write.future)
        assert done is not None
        return done

    def _judge(self, op: Op, many: bool) -> None:
        current = self._current.get(op.key)
        if op.expect is not None and op.expect != (current.mod if current else 0):
            if op.expect == 0 and current is not None and not many:
                raise KeyExists(current)
            raise RevisionConflict(op.key, current)

    def _check_room(self, ops: Sequence[Op]) -> tuple[int, int]:
        """The keys and the bytes that a write adds; LimitReached when there is no room for them beside those
        on their way."""
        keys = size = 0
        for op in ops:
            current = self._current.get(op.key)
            keys += (op.value is not None) - (current is not None)
            size += (len(op.value) if op.value else 0) - (len(current.value) if current else 0)
        limits = self.limits
        if limits.keys and keys > 0 and len(self._current) + self._coming_keys + keys > limits.keys:
            raise LimitReached(
                f"the cluster has reached its limit of {limits.keys} objects, delete some first"
            )
        if limits.bytes and size > 0 and self.held + self._coming_bytes + size > limits.bytes:
            raise LimitReached(
                f"the cluster has reached its limit of {limits.bytes} bytes, delete objects first"
            )
        return max(0, keys), max(0, size)

    def _begun(self, ops: Sequence[Op], last: bytes | None, room: tuple[int, int]) -> _Write:
        """Hand a write to the journal, under the next revisions."""
        steps: list[tuple[int, list[Op], list[int]]] = []
        if last is not None:
            self._given_out += 1
            steps.append((self._given_out, [Op(ops[0].key, last)], [0]))
        self._given_out += 1
        steps.append((self._given_out, list(ops), [self._expiry.deadline(op.ttl) for op in ops]))
        future: asyncio.Future[KeyValue | None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_looked_at)
        write = _Write(steps, future, keys=frozenset(op.key for op in ops), room=room)
        self._coming_keys += room[0]
        self._coming_bytes += room[1]
        for key in write.keys:
            self._pending[key] = future
        self._writes.append(write)
        keeping = asyncio.ensure_future(self.journal.txn(self._rows(*steps[-1])))
        keeping.add_done_callback(lambda done: self._kept(write, done))
        return write

    def _rows(self, revision: int, ops: list[Op], leases: list[int]) -> list[Op]:
        """The writes of the journal for one of this keyspace."""
        out, gone = [], False
        for op, lease in zip(ops, leases, strict=True):
            key = self._prefix + op.key
            current = self._current.get(op.key)
            if op.value is not None:
                create = current.create if current is not None else revision
                out.append(Op(key, rows.packed(create, revision, lease, op.value)))
            elif op.key in self.base.current:
                out.append(Op(key, rows.tombstone(revision)))
            else:
                out.append(Op(key, None))
                gone = True
        if gone:
            out.append(Op(self._prefix + rows.REVISION, rows.tombstone(revision)))
        return out

    def _kept(self, write: _Write, done: "asyncio.Future[int]") -> None:
        """The journal has kept or refused a write: apply all that have no other before them."""
        write.kept = True
        write.error = asyncio.CancelledError() if done.cancelled() else done.exception()
        while self._writes and self._writes[0].kept:
            self._finish(self._writes.popleft())

    def _finish(self, write: _Write) -> None:
        for key in write.keys:
            del self._pending[key]
        self._coming_keys -= write.room[0]
        self._coming_bytes -= write.room[1]
        if write.error is not None:
            cancelled = isinstance(write.error, asyncio.CancelledError)
            write.future.set_exception(Unavailable("the store is closed") if cancelled else write.error)
            return
        result = None
        for revision, ops, leases in write.steps:
            for op in ops:
                current = self._current.get(op.key)
                self.held += (len(op.value) if op.value else 0) - (len(current.value) if current else 0)
            result = self._commit(ops, revision, leases)[-1].kv
        write.future.set_result(result)

    def _expire(self, key: str, mod: int) -> None:
        async def expired() -> None:
            try:
                await self.delete(key, mod)
            except (RevisionConflict, Unavailable):  # it was renewed, or the store ends
                pass

        current = self._current.get(key)
        if self._open and current is not None and current.mod == mod:
            task = asyncio.ensure_future(expired())
            self._expiring.add(task)
            task.add_done_callback(self._expiring.discard)


def _looked_at(future: "asyncio.Future[KeyValue | None]") -> None:
    """Mark the error of a write as seen: the caller may be gone."""
    if not future.cancelled():
        future.exception()
