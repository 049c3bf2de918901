"""The journal of keyspaces: the store that keeps their rows."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from pilothouse.logs import Logger
from pilothouse.storage.claims import Claim, Lost, Rejected, SharedStorage
from pilothouse.storage.interface import Full, KeyValue, Op, Page, StorageError

log = Logger(__name__)

MOST_ROWS = 100
"""Rows of one transaction over several servers; etcd takes 128 by default."""
MOST_BYTES = 1 << 20
"""Bytes of the writes of one transaction, unless one write alone has more; etcd takes 1.5 MiB by default."""


class RowStore(Protocol):
    """The part of a store that a keyspace needs."""

    @property
    def full(self) -> bool:
        """Whether the store has no space, as far as is known."""

    async def get(self, key: str) -> KeyValue | None:
        """A row."""

    async def range(self, prefix: str, *, counted: bool = True) -> Page:
        """The rows whose keys begin with a prefix."""

    async def txn(self, ops: list[Op]) -> int:
        """Write rows, all or none."""


_Write = tuple[list[Op], "asyncio.Future[int]"]


class ClaimedJournal:
    """The journal for the server that has claimed what it writes.

    One transaction at a time: they are kept in the order in which they were given. Writes that come meanwhile
    go together in the next. `ended` is called once, when it is unknown whether a write was kept, or known
    that the claim has ended; nothing can be written after that.
    """

    def __init__(self, store: SharedStorage, claim: Claim, ended: Callable[[], None]) -> None:
        self.claim = claim
        self.open = True
        self._store = store
        self._ended = ended
        self._waiting: list[_Write] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        return self._store.full

    async def get(self, key: str) -> KeyValue | None:
        return await self._store.get(key)

    async def range(self, prefix: str, *, counted: bool = True) -> Page:
        return await self._store.range(prefix, counted=counted)

    async def txn(self, ops: list[Op]) -> int:
        """Write rows, all or none; Lost when the claim has ended."""
        if not self.open:
            raise self._lost()
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((ops, future))
        if self._task is None:
            self._task = asyncio.create_task(self._write())
        return await future

    async def _write(self) -> None:
        while group := self._next():
            rows = {op.key: op for ops, _ in group for op in ops}
            try:
                revision = await self._store.txn(list(rows.values()), self.claim)
            except (Full, Rejected) as error:
                _fail(group, error)
            except StorageError as error:
                self._end(group, error)
            except BaseException as error:
                self._end(group, self._lost())
                if isinstance(error, asyncio.CancelledError):
                    raise
                log.exception("A write of a cluster failed")
            else:
                for _, future in group:
                    if not future.done():
                        future.set_result(revision)
        self._task = None

    def _next(self) -> list[_Write]:
        """The writes of the next transaction, in their order."""
        count = rows = size = 0
        for ops, _ in self._waiting:
            rows += len(ops)
            size += sum(len(op.key) + len(op.value or b"") for op in ops)
            if count and (rows > MOST_ROWS or size > MOST_BYTES):
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    def _end(self, group: list[_Write], error: StorageError) -> None:
        _fail(group, error)
        waiting, self._waiting = self._waiting, []
        _fail(waiting, self._lost())
        if self.open:
            self.open = False
            self._ended()

    def close(self) -> None:
        """Take no more writes."""
        self.open = False

    def _lost(self) -> Lost:
        return Lost("another server may have claimed the cluster by now, try again")


def _fail(group: list[_Write], error: StorageError) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)
