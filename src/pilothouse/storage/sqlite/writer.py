"""The one thread that writes: group commit, compare-and-set, compaction and checkpoints."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from pilothouse.logs import Logger
from pilothouse.process.record import record
from pilothouse.storage.feed import Feed
from pilothouse.storage.interface import Full, Unavailable
from pilothouse.storage.sqlite import file as sqlite_file
from pilothouse.storage.sqlite._commit import Batch, KeyHeads, WriteJob
from pilothouse.storage.sqlite.advance import advance, given_out
from pilothouse.storage.sqlite.file import BITS, DataDirectory
from pilothouse.storage.sqlite.relaxed import RelaxedUpdates
from pilothouse.storage.sqlite.reserve import Reserve

log = Logger(__name__)

RECHECK = 1.0
"""Seconds after which a full disk is looked at again."""

STEP = 100
"""Rows that one step of compaction looks at.
A write that comes meanwhile waits for the step: 0.8 ms, its sync included."""

VACUUM_PAGES = 256
CHECKPOINT_BYTES = 4 * 1024 * 1024
WAL_PAGES = 16384
"""Pages in the write-ahead log (64 MiB) from which on readers have to wait for its truncation."""


@record(eq=False)
class CompactJob:
    revision: int
    future: "asyncio.Future[None]"


class SQLiteWriter:
    """Runs jobs from a queue until it is told to stop.

    `deliver(batch)` is called on the loop's thread, once per commit.
    `authors`: rows tell who has written them. `on_demand`: see KeyHeads.
    """

    def __init__(
        self,
        directory: DataDirectory,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[Batch], None],
        feed: Feed,
        relaxed: str = "",
        *,
        authors: bool = False,
        on_demand: bool = False,
    ) -> None:
        self._directory = directory
        self._loop = loop
        self._deliver = deliver
        self._feed = feed
        self._queue: SimpleQueue[list[WriteJob] | CompactJob | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._compactions: list[CompactJob] = []
        self._written = 0
        self._reserve = Reserve(directory.directory / "reserve")
        self._db: sqlite3.Connection
        self._cursor: sqlite3.Cursor
        """The one of all commits, which need no others."""
        self._authors = authors
        self._heads = KeyHeads(authors, on_demand)
        self._relaxed = RelaxedUpdates(relaxed) if relaxed else None
        self.expiring: list[tuple[int, str, int]] = []
        self.compacted = 1

    @property
    def revision(self) -> int:
        """The newest revision that is written."""
        return self._heads.revision

    @property
    def full(self) -> bool:
        """Whether the disk was full at the last look."""
        return self._reserve.full

    def open(self) -> None:
        """Open the file and read its keys, on a full disk as well. Raises Unavailable when that fails."""
        while True:
            try:
                self._read()
                break
            except sqlite3.Error as error:
                if self._reserve.exhausted(error):
                    continue
                if self._directory.alone or not self._reserve.says_full(error):
                    raise Unavailable(f"{self._directory.file} can not be opened: {error}") from error
                self._directory.alone = True
                log.warning("The disk is so full that no other process can open the store until a restart")
        self._reserve.take()
        self._thread.start()

    def _read(self) -> None:
        self._db = self._directory.open(authors=self._authors)
        self._cursor = self._db.cursor()
        try:
            if (revision := given_out(self._db)) > sqlite_file.newest_id(self._db) >> BITS:
                advance(self._db, revision)
            self.compacted = sqlite_file.read_meta(self._db)["compacted"]
            self.expiring = self._heads.load(sqlite_file.read_heads(self._db), revision)
            self._db.execute("PRAGMA shrink_memory")  # the pages that it has read are not what it will write
        except BaseException:
            self._db.close()
            raise

    def put(self, job: list[WriteJob] | CompactJob | None) -> None:
        """Queue a group of writes for one commit, or a compaction;
        None stops the thread when all before it is done."""
        self._queue.put(job)

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                wait = RECHECK if self._reserve.full else None
                job = self._queue.get(not self._compactions, wait)
            except Empty:
                if self._compactions:
                    self._compact(self._compactions[0])
                else:
                    self._reserve.take()
                continue
            if job is None:
                break
            if isinstance(job, CompactJob):
                self._compactions.append(job)
            else:
                began = time.perf_counter()
                batch = self._commit(job)
                batch.began = began
                self._send(batch)
                self._checkpoint()
        for compaction in self._compactions:
            self._answer(compaction.future, Unavailable("the store is closed"))
        self._end()

    def _end(self) -> None:
        with contextlib.closing(self._db) as db:
            try:
                if self._relaxed is not None:
                    self._relaxed.close(db)
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                log.warning("The last checkpoint failed, the log is read at the next start", err=error)
        self._reserve.keep()

    def _send(self, batch: Batch) -> None:
        try:
            self._loop.call_soon_threadsafe(self._deliver, batch)
        except RuntimeError:
            log.warning("The loop ended before a commit could be reported")

    def _answer(self, future: "asyncio.Future[Any]", result: Any) -> None:
        batch = Batch(self.revision)
        batch.reply(future, result)
        self._send(batch)

    # --- commits

    def _commit(self, writes: list[WriteJob], *, was_full: bool = False) -> Batch:
        """Commit all writes whose conditions hold in one durable transaction;
        each sees the effect of those before it.

        While the disk is full, only what deletes is committed.
        `was_full` says that it was found full just now.
        """
        without_space: list[WriteJob] = []
        if was_full or (self._reserve.full and not self._reserve.take()):
            without_space = [write for write in writes if not write.deletes]
            writes = [write for write in writes if write.deletes]
        try:
            if self._relaxed is not None:
                self._relaxed.prepare(self._db, writes, self.revision)
            batch = self._heads.commit(self._cursor, writes, self._feed.wants_previous)
        except Exception as error:
            if not isinstance(error, sqlite3.Error):
                log.exception("A commit failed")
            if self._db.in_transaction:
                self._db.rollback()
            if self._reserve.exhausted(error):
                self._checkpoint(at_once=True)
                return self._commit(writes, was_full=True)
            batch = Batch(self.revision)
            if self._reserve.says_full(error):
                without_space += writes
            else:
                batch.refuse(writes, Unavailable(f"the store can not be written: {error}"))
        self._written += batch.written
        if without_space:
            batch.refuse(without_space, self._no_space())
        return batch

    def _no_space(self) -> Full:
        """The error of writes for which there is no space, in the words of etcd."""
        where = self._directory.directory
        return Full(
            f"mvcc: database space exceeded: the disk of {where} is full, only deletions are accepted"
        )

    def _checkpoint(self, *, at_once: bool = False) -> None:
        """Move a long write-ahead log into the file. It runs after the writers were answered."""
        if self._written < CHECKPOINT_BYTES and not at_once:
            return
        self._written = 0
        try:
            _, pages, moved = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if pages > WAL_PAGES and moved < pages:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            if self._reserve.exhausted(error):
                self._checkpoint(at_once=True)
            else:
                log.warning("A checkpoint failed, it is tried again", err=error)

    # --- compaction

    def _compact(self, compaction: CompactJob) -> None:
        """Run one bounded step of compaction; the last step starts the next compaction."""
        try:
            done = self._clean(compaction.revision)
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.rollback()
            if self._reserve.exhausted(error):
                self._checkpoint(at_once=True)
                return
            self._compactions.pop(0)
            self._answer(compaction.future, Unavailable(f"the store can not be compacted: {error}"))
            return
        if done:
            self._compactions.pop(0)
            self._answer(compaction.future, None)

    def _clean(self, revision: int) -> bool:
        """Delete the rows that were replaced before `revision`, and old deletions; True when none are left.

        What a read at or a watch from `revision` needs was not replaced before it, so it stays.
        """
        db = self._db
        low = sqlite_file.read_meta(db)["cleaned"]
        query = "SELECT max(id) FROM (SELECT id FROM history WHERE id >= ? AND id < ? ORDER BY id LIMIT ?)"
        (last,) = db.execute(query, (low, revision << BITS, STEP)).fetchone()
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE meta SET number = max(number, ?) WHERE name = 'compacted'", (revision,))
        if last is not None:
            span = (low, last)
            db.execute(
                "DELETE FROM history WHERE id IN (SELECT prev FROM history WHERE id BETWEEN ? AND ?)", span
            )
            db.execute("DELETE FROM history WHERE id BETWEEN ? AND ? AND created = 0", span)
            db.execute("UPDATE meta SET number = ? WHERE name = 'cleaned'", (last + 1,))
        db.execute("COMMIT")
        self._written += STEP * 1024
        self._checkpoint()
        return last is None and self._vacuum()

    def _vacuum(self) -> bool:
        """Return free pages to the file system, a few at a time;
        a quarter of the file stays unless the disk is full."""
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        surplus: int = free - (0 if self._reserve.full else max(VACUUM_PAGES, pages // 4))
        if surplus <= 0:
            return True
        # execute() would step once, which frees one page: the pragma has no columns.
        self._db.executescript(f"PRAGMA incremental_vacuum({min(surplus, VACUUM_PAGES)})")
        self._written += VACUUM_PAGES * 4096
        self._checkpoint()
        return surplus <= VACUUM_PAGES
