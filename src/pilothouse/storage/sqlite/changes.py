"""The rows of the store as changes, read for the history by a connection of its own."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from pilothouse.storage.sqlite.file import BITS, DataDirectory, read_meta

ROWS = (  # the columns of a StoredChange
    "SELECT h.id, h.key, ifnull(h.prev, 0), ifnull(h.author, x''),"
    " CASE WHEN h.prev IS NULL AND h.created > 0 THEN x'' ELSE h.value END, p.value"
    " FROM history h LEFT JOIN history p ON p.id = h.prev WHERE h.id > ? AND h.id < ?"
)
CHANGES = ROWS + "{without} ORDER BY h.id"
LATEST = ROWS + " AND h.key >= ? AND h.key < ? ORDER BY h.id DESC"
AUTHORS = "SELECT id, key, author FROM history WHERE id > ? AND id <= ? AND author IS NOT NULL ORDER BY id"
NEXT = ROWS + " AND h.key = ? ORDER BY h.id LIMIT 1"
KEYS = 64
"""Keys that one statement looks for."""
FOLLOWING = [
    "SELECT h.key, h.author FROM (VALUES " + ",".join(["(?)"] * keys) + ") CROSS JOIN history h ON h.id ="
    " (SELECT min(id) FROM history WHERE key = column1 AND id > ? AND id < ?)"
    " WHERE h.created > 0 AND h.prev AND h.author IS NOT NULL"
    for keys in range(KEYS + 1)
]
"""By the number of keys, the first row of each, where it is an update."""


GAP = ("gap_first", "gap_last")
"""The names of the numbers that tell of changes which are missing: the ids between which they are."""

MOST_BYTES = 4 << 20
"""Bytes of the values that are read in one step."""


class StoredChange(NamedTuple):
    """One row. prev: the id of the row that it replaces, 0 for none. new, old: the values as they are stored,
    None where the key was deleted or was not there; `new` of a created key is not read, and empty."""

    id: int
    key: str
    prev: int
    author: bytes
    new: bytes | None
    old: bytes | None

    @property
    def deleted(self) -> bool:
        """Whether the key was deleted."""
        return self.new is None


class ChangeReader:
    """Reads changes on one thread; `without` are prefixes of keys that are left out."""

    def __init__(self, directory: DataDirectory, without: Sequence[str] = ()) -> None:
        self._directory = directory
        self._bounds = [
            bound for prefix in without for bound in (prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))
        ]
        self._query = CHANGES.format(without=" AND NOT (h.key >= ? AND h.key < ?)" * len(without))
        self._db: sqlite3.Connection

    def open(self) -> None:
        """Open the connection. Raises sqlite3.Error."""
        self._db = self._directory.connect()
        self._db.execute("PRAGMA query_only = ON")
        self._db.execute("PRAGMA cache_size = -1024")

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def read(self, after: int, upto: int, limit: int) -> tuple[list[StoredChange], int]:
        """The first changes with ids above `after` and at most `upto`, about `limit` and MOST_BYTES, in whole
        revisions; and up to which id there are no others."""
        found: list[StoredChange] = []
        size, make = 0, partial(tuple.__new__, StoredChange)  # PERF: _make is written in Python
        for row in self._db.execute(self._query, (after, upto + 1, *self._bounds)):
            if len(found) >= limit or size > MOST_BYTES:
                first = first_of(revision_of(row[0]))
                if found[-1].id < first:
                    return found, first - 1
            found.append(make(row))
            size += len(row[4] or b"") + len(row[5] or b"")
        return found, upto

    def compacted(self) -> int:
        """The revision before which the store shows nothing."""
        return read_meta(self._db)["compacted"]

    def gap(self) -> tuple[int, int]:
        """The ids between which changes are missing: the rows are gone that others have replaced, or they
        have never been there. Two zeros without a gap."""
        meta = read_meta(self._db)
        first, last = GAP
        if first in meta:
            return meta[first], meta[last]
        return 0, max(meta["cleaned"] - 1, 0)

    def latest(
        self, first: str, end: str, after: int, before: int, limit: int
    ) -> tuple[list[StoredChange], bool]:
        """The last changes of keys between two, of ids between two, at most `limit` and of about MOST_BYTES,
        the newest first; and whether there are more."""
        found: list[StoredChange] = []
        size = 0
        for row in self._db.execute(LATEST, (after, before, first, end)):
            if len(found) >= limit or size > MOST_BYTES:
                return found, True
            change = StoredChange._make(row)
            found.append(change)
            size += len(change.new or b"") + len(change.old or b"")
        return found, False

    def next(self, key: str, after: int, before: int) -> StoredChange | None:
        """The next change of a key with an id between two."""
        row = self._db.execute(NEXT, (after, before, key)).fetchone()
        return None if row is None else StoredChange._make(row)

    def following(self, keys: Sequence[str], after: int, before: int) -> Iterator[tuple[str, bytes]]:
        """The keys, among some, whose next change with an id between two is an update, and its author."""
        for first in range(0, len(keys), KEYS):
            some = keys[first : first + KEYS]
            yield from self._db.execute(FOLLOWING[len(some)], (*some, after, before)).fetchall()

    def first_after(self, id: int, time_ms: int, time_of: Callable[[bytes], int]) -> int:
        """The id of the first row above an id whose author says that it was written after a time; 0 for
        none."""
        rows = self._db.execute("SELECT id, author FROM history WHERE id > ? ORDER BY id", (id,))
        for found, author in rows:
            if author and time_of(author) > time_ms:
                return int(found)
        return 0

    def authors(self, after: int, upto: int) -> Iterator[tuple[int, str, bytes]]:
        """The ids, keys and authors of the changes with ids above `after` and at most `upto`."""
        return self._db.execute(AUTHORS, (after, upto))

    def value(self, id: int) -> bytes | None:
        """The value of one row, None when it is no longer there."""
        row = self._db.execute("SELECT value FROM history WHERE id = ?", (id,)).fetchone()
        return None if row is None else row[0]


def first_of(revision: int) -> int:
    """The least id that a row of a revision can have."""
    return revision << BITS


def last_of(revision: int) -> int:
    """The greatest id that a row of a revision can have."""
    return first_of(revision + 1) - 1


def revision_of(id: int) -> int:
    """The revision of a row."""
    return id >> BITS
