"""The default store: one SQLite file, written by one thread with group commit, readable by any SQLite tool.

What is acknowledged is on disk (write-ahead log, synchronous=FULL); a kill at any moment loses nothing of it.
`relaxed.py` has the one exception, by option.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, TypeVar, overload

from pilothouse.api.values.clock import CallLater, on_loop
from pilothouse.storage.commit_metrics import CommitMetrics
from pilothouse.storage.feed import Expiry, Feed, Subscriber
from pilothouse.storage.group_commit import GroupCommit
from pilothouse.storage.interface import (
    Compacted,
    FutureRevision,
    KeyValue,
    Op,
    Page,
    StorageError,
    StorageEvent,
    Subscription,
    Unavailable,
)
from pilothouse.storage.sqlite import file as sqlite_file
from pilothouse.storage.sqlite._commit import Batch, WriteJob
from pilothouse.storage.sqlite.file import BITS, DataDirectory
from pilothouse.storage.sqlite.writer import CompactJob, SQLiteWriter
from pilothouse.waiting import CommitFuture

T = TypeVar("T")

SMALL_CACHE_KB = 1024
"""Kilobytes of pages that a connection keeps of a store that takes little memory."""

REPLAY = 500
"""The events of a replay that are read in one step."""


class SqliteStorage:
    """A store in `directory`, which one process at a time may use. Updates of keys that begin with `relaxed`
    may be acknowledged before the disk has them; "" is none."""

    others_write = False

    def __init__(
        self,
        directory: str | os.PathLike[str],
        clock: Callable[[], float] = time.time,
        relaxed: str = "",
        *,
        call_later: CallLater = on_loop,
        authors: bool = False,
        keys_in_memory: bool = True,
    ) -> None:
        """`authors`: keep who has written each row, until it is compacted. `keys_in_memory`: keep the newest
        revision of each key, which makes writes cheaper; without it memory does not grow with the keys."""
        self._authors = authors
        self._keys_in_memory = keys_in_memory
        self.compactable: Callable[[], int] | None = None
        """The revision up to which the history lets the store compact; None where none is kept."""
        self._directory = (
            DataDirectory(directory) if keys_in_memory else DataDirectory(directory, SMALL_CACHE_KB)
        )
        self.metrics = CommitMetrics()
        self._feed = Feed()
        self._clock = clock
        self._relaxed = relaxed
        self._expiry = Expiry(self._expire, clock, call_later)
        self._revision = 1
        self._compacted = 1
        self._open = False
        self._loop: asyncio.AbstractEventLoop
        self._writer: SQLiteWriter
        self._reader: sqlite3.Connection
        self._threads: ThreadPoolExecutor
        self._replays: set[asyncio.Task[None]] = set()
        self._group: GroupCommit[WriteJob]

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def full(self) -> bool:
        return self._writer.full

    @property
    def busy(self) -> bool:
        return self._group.busy

    @property
    def compacted(self) -> int:
        return self._compacted

    @property
    def directory(self) -> DataDirectory:
        """The folder of the store's files."""
        return self._directory

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(1, "sqlite-reader")
        self._writer = SQLiteWriter(
            self._directory,
            self._loop,
            self._deliver,
            self._feed,
            self._relaxed,
            authors=self._authors,
            on_demand=not self._keys_in_memory,
        )
        self._group = GroupCommit(self._loop, self._writer.put)
        opening = self._loop.run_in_executor(self._threads, self._open_files)
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait([opening])  # the thread cannot be stopped: what it opens is closed again
            if opening.exception() is None:
                await self._end_writer()
                await self._close_files()
            else:
                self._threads.shutdown(wait=False)
            raise
        except BaseException:
            self._threads.shutdown(wait=False)
            raise
        self._revision, self._compacted = self._writer.revision, self._writer.compacted
        self._open = True
        self._expiry.load(self._writer.expiring)
        self._writer.expiring = []
        self._expiry.start(self._loop)

    async def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._expiry.close()
        self._group.flush()
        await self._end_writer()
        await asyncio.sleep(0)
        for replay in self._replays:
            replay.cancel()
        self._feed.close(Unavailable("the store is closed"))
        await self._close_files()

    async def _end_writer(self) -> None:
        """Have the writer finish what was accepted and close its file."""
        self._writer.put(None)
        await self._loop.run_in_executor(self._threads, self._writer.join)

    async def _close_files(self) -> None:
        await self._loop.run_in_executor(self._threads, self._reader.close)
        self._threads.shutdown(wait=False)
        self._directory.unlock()

    async def current_revision(self) -> int:
        self._check_open()
        return self._revision

    async def get(self, key: str, revision: int = 0) -> KeyValue | None:
        return await self._read(revision, sqlite_file.read_key, key, revision)

    async def range(
        self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, counted: bool = True
    ) -> Page:
        read = partial(
            sqlite_file.read_range,
            prefix=prefix,
            start=start,
            limit=limit,
            revision=revision,
            counted=counted,
        )
        return await self._read(revision, read)

    async def create(self, key: str, value: bytes, ttl: int = 0, author: bytes = b"") -> KeyValue:
        return await self._write([Op(key, value, 0, ttl, author)])

    async def update(
        self, key: str, value: bytes, expect: int, ttl: int = 0, author: bytes = b""
    ) -> KeyValue:
        return await self._write([Op(key, value, expect or -1, ttl, author)])

    async def delete(self, key: str, expect: int, last: bytes | None = None, author: bytes = b"") -> KeyValue:
        if last is None:
            return await self._write([Op(key, None, expect or -1, 0, author)], need_last=True)
        ops = [Op(key, last, expect or -1, 0, author), Op(key, None, None, 0, author)]
        return await self._write(ops, need_last=True)

    async def txn(self, ops: list[Op]) -> int:
        if len(ops) > sqlite_file.MAX_OPS:
            raise ValueError(f"a transaction may have {sqlite_file.MAX_OPS} writes at most")
        if len({op.key for op in ops}) != len(ops):
            raise ValueError("a transaction may write a key only once")
        return await self._write(ops, many=True)

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
        if revision <= self._revision:
            subscriber.hold()
            replay = self._loop.create_task(self._replay(subscriber, self._revision + 1))
            self._replays.add(replay)
            replay.add_done_callback(self._replays.discard)
        return self._feed.add(subscriber)

    async def compact(self, revision: int) -> None:
        self._check_open()
        if revision > self._revision:
            raise FutureRevision(self._revision)
        if self.compactable is not None:
            revision = min(revision, self.compactable())
        if revision > self._compacted:
            self._compacted = revision
            future: asyncio.Future[None] = self._loop.create_future()
            self._writer.put(CompactJob(revision, future))
            await future

    async def size(self) -> int:
        return self._directory.size()

    def _check_open(self) -> None:
        if not self._open:
            raise Unavailable("the store is closed")

    def _open_files(self) -> None:
        self._directory.lock()
        try:
            self._writer.open()
            self._reader = self._directory.connect()
            self._reader.execute("PRAGMA query_only = ON")
            self._reader.execute(f"PRAGMA cache_size = -{SMALL_CACHE_KB}")  # it reads in one go, or seldom
        except BaseException:
            self._directory.unlock()
            raise

    async def _read(self, revision: int, read: Callable[..., T], *args: Any) -> T:
        """Run a read on the reader's thread.
        Raises Compacted as well when the history was compacted meanwhile."""
        self._check_open()
        if revision > self._revision:
            raise FutureRevision(self._revision)
        if 0 < revision < self._compacted:
            raise Compacted(self._compacted)
        try:
            found = await self._loop.run_in_executor(self._threads, read, self._reader, *args)
        except sqlite3.Error as error:
            raise Unavailable(f"the store can not be read: {error}") from error
        if 0 < revision < self._compacted:
            raise Compacted(self._compacted)
        return found

    @overload
    def _write(self, ops: list[Op], *, many: Literal[True]) -> "asyncio.Future[int]": ...
    @overload
    def _write(self, ops: list[Op], *, need_last: bool = False) -> "asyncio.Future[KeyValue]": ...
    def _write(self, ops: list[Op], *, many: bool = False, need_last: bool = False) -> "asyncio.Future[Any]":
        """Add a write to the next commit. Nobody keeps the future: an error's traceback holds the frames."""
        self._check_open()
        future: CommitFuture[Any] = CommitFuture(loop=self._loop)
        self._group.add(WriteJob(ops, future, self._clock(), many=many, need_last=need_last))
        return future

    def _deliver(self, batch: Batch) -> None:
        """Deliver a commit to the watchers, then answer its writers."""
        self._revision = batch.revision
        events = batch.events
        if events:
            if self._feed.wants_previous and not batch.complete:
                events = self._complete(batch)
            for event in events:
                if event.kv.lease and not event.deleted:
                    self._expiry.add(event.kv.lease, event.kv.key, event.kv.mod)
            self._feed.publish(events)
        batch.answer()
        if batch.writes:
            self.metrics.seconds.observe(time.perf_counter() - batch.began)
            self.metrics.writes.observe(batch.writes)
            self._group.done(batch.writes)

    def _complete(self, batch: Batch) -> list[StorageEvent]:
        """Add the previous values to events, for a watch that began while the batch was being written."""
        low, high = batch.events[0].kv.mod << BITS, (batch.revision + 1) << BITS
        try:
            db = self._directory.connect()
            try:
                return sqlite_file.read_events(db, low, high, len(batch.events) + 1)[0]
            finally:
                db.close()
        except sqlite3.Error as error:
            self._feed.close(Unavailable(f"the store can not be read: {error}"))
            return batch.events

    async def _replay(self, subscriber: Subscriber, end: int) -> None:
        """Deliver the events up to revision `end`, then the live ones that came meanwhile."""
        low, high = subscriber.revision << BITS, end << BITS
        while low < high and not subscriber.closed:
            try:
                events, low = await self._read(low >> BITS, sqlite_file.read_events, low, high, REPLAY)
            except StorageError as error:
                subscriber.fail(error)
                return
            subscriber.deliver([e for e in events if e.kv.key.startswith(subscriber.prefix)])
        subscriber.release()

    def _expire(self, key: str, mod: int) -> None:
        if self._open:
            future = self._loop.create_future()
            future.add_done_callback(lambda done: done.exception())
            self._group.add(WriteJob([Op(key, None, mod)], future))
