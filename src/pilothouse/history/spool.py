"""The changes of a store that forgets them, and knows no authors, until the history has moved them.

The file `history-waiting.db` has the tables of the built-in store, so that the same queries read it. A gap in
it says which changes are missing, for the store had forgotten them before they were read.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

from pilothouse.history.author import HEAD, UNKNOWN, time_of
from pilothouse.storage.interface import StorageEvent
from pilothouse.storage.sqlite.changes import GAP, first_of, last_of, revision_of
from pilothouse.storage.sqlite.file import DataDirectory, read_meta

FILE = "history-waiting.db"
REACHED = "reached"
"""The name of the number that tells up to which revision all changes are there."""
NOTE = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
INSERT = (
    "INSERT OR REPLACE INTO history (id, key, created, prev, expires, value, author)"
    " VALUES (?, ?, ?, ?, 0, ?, ?)"
)
WITHOUT_AUTHOR = "SELECT id, key FROM history WHERE id > ? AND substr(author, ?) = ? ORDER BY id"
AUTHOR = "SELECT id, author FROM history WHERE key = ? AND id >= ? AND id <= ? AND author IS NOT NULL"
MOVED = (
    "DELETE FROM history WHERE id <= :upto"
    " AND id NOT IN (SELECT prev FROM history WHERE id > :upto AND prev IS NOT NULL)"
)


class SpooledChange(NamedTuple):
    """A change as the watch of a store tells it, and the bytes of its author."""

    event: StorageEvent
    author: bytes


class LearntAuthor(NamedTuple):
    """The author of another server's write, which that server has told."""

    revision: int
    key: str
    author: bytes


class Spool(DataDirectory):
    """Changes in a data directory; used on one thread, and read by a ChangeReader on another."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        super().__init__(directory)
        self.file = self.directory / FILE

    def begin(self) -> int:
        """Open the file, and lock the directory. The revision up to which it has changes, 0 without any.
        sqlite3.Error, Unavailable."""
        self.lock()
        try:
            self._db = self.open(authors=True)
        except BaseException:
            self.unlock()
            raise
        self._db.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is read again
        self._db.execute("PRAGMA wal_autocheckpoint = 1000")
        return read_meta(self._db).get(REACHED, 0)

    def end(self) -> None:
        """Close the file."""
        self._db.close()
        self.unlock()

    def add(self, changes: Sequence[SpooledChange], reached: int) -> None:
        """Keep changes, in the order of revisions, of which each revision is whole; there are no others up to
        a revision."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(NOTE, (REACHED, reached))
            for event, author in changes:
                kv, prev = event.kv, event.prev
                before = None
                if prev is not None:
                    before = self._id(kv.key, prev.mod)
                    if before is None:
                        before = self._next(prev.mod)
                        self._db.execute(INSERT, (before, kv.key, prev.create, None, prev.value, None))
                created, value = (0, None) if event.deleted else (kv.create, kv.value)
                self._db.execute(INSERT, (self._next(kv.mod), kv.key, created, before, value, author))

    def _id(self, key: str, revision: int) -> int | None:
        row = self._db.execute(
            "SELECT id FROM history WHERE key = ? AND id >= ? AND id <= ?",
            (key, first_of(revision), last_of(revision)),
        ).fetchone()
        return None if row is None else row[0]

    def _next(self, revision: int) -> int:
        """The next id that a row of a revision can have."""
        (found,) = self._db.execute(
            "SELECT max(id) FROM history WHERE id >= ? AND id <= ?", (first_of(revision), last_of(revision))
        ).fetchone()
        return first_of(revision) if found is None else found + 1

    def without_author(self, after: int) -> list[tuple[int, str]]:
        """The revisions and keys of the changes with ids above one whose authors are unknown."""
        rows = self._db.execute(WITHOUT_AUTHOR, (after, HEAD.size + 1, UNKNOWN))
        return [(revision_of(id), key) for id, key in rows]

    def learn(self, authors: Sequence[LearntAuthor]) -> None:
        """Note authors that were unknown. A change is not later than this server has seen it."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for revision, key, author in authors:
                ids = first_of(revision), last_of(revision)
                for id, seen in self._db.execute(AUTHOR, (key, *ids)).fetchall():
                    if seen[HEAD.size :] == UNKNOWN:
                        at = min(time_of(seen), time_of(author))
                        told = at.to_bytes(8, "big") + author[8:]
                        self._db.execute("UPDATE history SET author = ? WHERE id = ?", (told, id))

    def skip(self, after: int, upto: int) -> None:
        """Note that the changes of some revisions are missing."""
        first, last = GAP
        noted = {first: last_of(after), last: last_of(upto), REACHED: upto}
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(NOTE, noted.items())

    def forget(self, upto: int) -> None:
        """Drop the rows up to an id, but those that later changes have replaced."""
        self._db.execute(MOVED, {"upto": upto})
        self._db.executescript("PRAGMA incremental_vacuum(256)")
