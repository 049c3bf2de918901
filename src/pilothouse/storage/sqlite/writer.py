"""The one thread that writes: group commit, compare-and-set, compaction and checkpoints."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from pilothouse.logs import Logger
from pilothouse.storage.interface import (
    Full,
    KeyExists,
    KeyValue,
    Op,
    RevisionConflict,
    StorageError,
    StorageEvent,
    Unavailable,
)
from pilothouse.storage.sqlite import file as sqlite_file
from pilothouse.storage.sqlite.file import BITS, DataDirectory
from pilothouse.storage.sqlite.reserve import Reserve

log = Logger(__name__)

ROWS = 64
"""Rows of one INSERT: a statement gives up the interpreter lock once, however many rows it has."""

RECHECK = 1.0
"""Seconds after which a full disk is looked at again."""

STEP = 500
"""Rows that one step of compaction looks at, so that writes never wait long for it."""

VACUUM_PAGES = 256
CHECKPOINT_BYTES = 4 * 1024 * 1024
WAL_PAGES = 16384
"""Pages in the write-ahead log (64 MiB) from which on readers have to wait for its truncation."""

ID_MASK = (1 << 64) - 1


@dataclass(slots=True, eq=False)
class WriteJob:
    """Writes that are accepted or refused together; `future` gets the revision that they share when `many`,
    else each has its own and the KeyValue of the last one is the answer."""

    ops: list[tuple[Op, int]]
    """Operations, each with its deadline in Unix milliseconds, 0 = none."""
    future: "asyncio.Future[int | KeyValue]"
    many: bool = False
    need_last: bool = False
    """The answer shows the value that is deleted."""

    @property
    def deletes(self) -> bool:
        """Whether the write deletes the key; a last value may be written before."""
        return not self.ops or self.ops[-1][0].value is None


@dataclass(slots=True, eq=False)
class CompactJob:
    revision: int
    future: "asyncio.Future[None]"


@dataclass(slots=True)
class Batch:
    """The outcome of one commit; `complete` tells that the events carry the previous values."""

    revision: int
    events: list[StorageEvent] = field(default_factory=list)
    answers: list[tuple["asyncio.Future[Any]", Any]] = field(default_factory=list)
    complete: bool = False
    began: float = 0.0
    """The time at which the commit began, by time.perf_counter()."""
    writes: int = 0
    """The writes of the group that was committed or refused; 0 for other answers."""


@dataclass(slots=True)
class _Plan:
    """A batch in preparation: the rows to insert and the state of every key after it."""

    revision: int
    rows: list[tuple[int, str, int, int | None, int, bytes | None]] = field(default_factory=list)
    heads: dict[str, int] = field(default_factory=dict)
    accepted: list[tuple[WriteJob, int, int, int]] = field(default_factory=list)
    """Write, its revision, and its rows as a slice."""
    refused: list[tuple[WriteJob, Op, int]] = field(default_factory=list)
    """Write, the operation that did not fit, and the id of the key's row, 0 = none."""


class SQLiteWriter:
    """Runs jobs from a queue until it is told to stop.

    `deliver(batch)` is called on the loop's thread, once per commit. `_heads` maps a key to the revision of
    its creation and the id of its row, packed into one integer (half the memory of a tuple).
    """

    def __init__(
        self,
        directory: DataDirectory,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[Batch], None],
        wants_previous: Callable[[], bool],
    ) -> None:
        self._directory = directory
        self._loop = loop
        self._deliver = deliver
        self._wants_previous = wants_previous
        self._queue: SimpleQueue[list[WriteJob] | CompactJob | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._compactions: list[CompactJob] = []
        self._written = 0
        self._reserve = Reserve(directory.directory / "reserve")
        self._db: sqlite3.Connection
        self._heads: dict[str, int] = {}
        self.expiring: list[tuple[int, str, int]] = []
        self.revision = 1
        self.compacted = 1

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
        self._db = self._directory.open()
        try:
            self.revision = sqlite_file.newest_id(self._db) >> BITS
            self.compacted = sqlite_file.read_meta(self._db)["compacted"]
            self.expiring.clear()
            for row, key, created, expires in sqlite_file.read_heads(self._db):
                self._heads[key] = created << 64 | row
                if expires:
                    self.expiring.append((expires, key, row >> BITS))
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
        self._send(Batch(self.revision, answers=[(future, result)], complete=True))

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
        plan = _Plan(self.revision)
        try:
            for write in writes:
                self._plan(plan, write)
            complete = self._wants_previous()
            before = self._read_before(plan, complete)
            self._insert(plan.rows)
        except Exception as error:
            if not isinstance(error, sqlite3.Error):
                log.exception("A commit failed")
            if self._db.in_transaction:
                self._db.rollback()
            if self._reserve.exhausted(error):
                self._checkpoint(at_once=True)
                return self._commit(writes, was_full=True)
            batch = Batch(self.revision, complete=True)
            if self._reserve.says_full(error):
                return self._refuse(batch, writes + without_space)
            failure = Unavailable(f"the store can not be written: {error}")
            batch.writes = len(writes)
            batch.answers = [(write.future, failure) for write in writes]
            return self._refuse(batch, without_space)
        self.revision = plan.revision
        for key, head in plan.heads.items():
            if head:
                self._heads[key] = head
            else:
                self._heads.pop(key, None)
        return self._refuse(self._batch(plan, before, complete), without_space)

    def _refuse(self, batch: Batch, writes: list[WriteJob]) -> Batch:
        """Add the answer to writes for which there is no space, in the words of etcd."""
        where = self._directory.directory
        failure = Full(
            f"mvcc: database space exceeded: the disk of {where} is full, only deletions are accepted"
        )
        batch.answers += [(write.future, failure) for write in writes]
        batch.writes += len(writes)
        return batch

    def _plan(self, plan: _Plan, write: WriteJob) -> None:
        for op, _ in write.ops:
            head = plan.heads.get(op.key)
            if head is None:
                head = self._heads.get(op.key, 0)
            row = head & ID_MASK
            if op.expect is not None and op.expect != row >> BITS:
                plan.refused.append((write, op, row))
                return
        first = len(plan.rows)
        revision = plan.revision + 1
        for place, (op, deadline) in enumerate(write.ops):
            head = plan.heads.get(op.key)
            if head is None:
                head = self._heads.get(op.key, 0)
            row = (revision << BITS | place) if write.many else (revision + place) << BITS
            prev = head & ID_MASK or None
            if op.value is not None:
                created = head >> 64 or revision
                plan.rows.append((row, op.key, created, prev, deadline, op.value))
                plan.heads[op.key] = created << 64 | row
            elif prev is not None:
                plan.rows.append((row, op.key, 0, prev, 0, None))
                plan.heads[op.key] = 0
        if len(plan.rows) > first:
            plan.revision = plan.rows[-1][0] >> BITS
        plan.accepted.append((write, plan.revision, first, len(plan.rows)))

    def _read_before(self, plan: _Plan, complete: bool) -> dict[int, KeyValue]:
        """The previous rows that answers and events show, by id."""
        wanted = {row for _, _, row in plan.refused if row}
        if complete:
            wanted.update(row[3] for row in plan.rows if row[3] is not None)
        else:
            for write, _, first, last in plan.accepted:
                if write.need_last and last > first:
                    wanted.update(row[3] for row in plan.rows[last - 1 : last] if row[3] is not None)
        if not wanted:
            return {}
        found = {
            row[0]: KeyValue(row[1], row[5] or b"", row[0] >> BITS, row[2], row[4])
            for row in plan.rows
            if row[0] in wanted
        }
        missing = [row for row in wanted if row not in found]
        if missing:
            found.update(sqlite_file.read_rows(self._db, missing))
        return found

    def _insert(self, rows: list[Any]) -> None:
        if not rows:
            return
        if len(rows) <= ROWS:
            self._insert_some(rows)
        else:
            self._db.execute("BEGIN IMMEDIATE")
            for start in range(0, len(rows), ROWS):
                self._insert_some(rows[start : start + ROWS])
            self._db.execute("COMMIT")
        for row in rows:
            self._written += 8192 + (len(row[5]) if row[5] else 0)

    def _insert_some(self, rows: list[Any]) -> None:
        marks = ",".join(["(?,?,?,?,?,?)"] * len(rows))
        values = [value for row in rows for value in row]
        self._db.execute(
            f"INSERT INTO history (id, key, created, prev, expires, value) VALUES {marks}", values
        )

    def _batch(self, plan: _Plan, before: dict[int, KeyValue], complete: bool) -> Batch:
        batch = Batch(plan.revision, complete=complete, writes=len(plan.accepted) + len(plan.refused))
        for row, key, created, prev_row, expires, value in plan.rows:
            prev = None
            if prev_row is not None:
                prev = before.get(prev_row) or KeyValue(key, b"", prev_row >> BITS)
            if value is not None:
                kv = KeyValue(key, value, row >> BITS, created, expires)
            else:
                kv = KeyValue(key, prev.value if prev else b"", row >> BITS, prev.create if prev else 0)
            batch.events.append(StorageEvent(value is None, kv, prev))
        for write, revision, first, last in plan.accepted:
            answer: Any = revision
            if not write.many:
                answer = batch.events[last - 1].kv if last > first else None
            batch.answers.append((write.future, answer))
        for write, op, row in plan.refused:
            batch.answers.append((write.future, self._refusal(write, op, before.get(row))))
        return batch

    @staticmethod
    def _refusal(write: WriteJob, op: Op, current: KeyValue | None) -> StorageError:
        if op.expect == 0 and current is not None and not write.many:
            return KeyExists(current)
        return RevisionConflict(op.key, current)

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
