"""The file of kept changes, `history.db` beside the store: its tables, and how they are written.

`changes` has one row for each change. Its id is that of the row in the store, so changes are in the order
of revisions. What a row keeps leads from the object after the change back to the one before it. So the newest
state is in the store alone, and old changes can be dropped at any time. `object` names the key and `author`
who has written, which are kept once in tables of their own; `uses` counts the changes of an author.
"""

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

from pilothouse.history._packing import pack, unpack
from pilothouse.history._recent import RecentChange, RecentChanges
from pilothouse.history._rows import rows_of
from pilothouse.storage.interface import StorageError

FILE = "history.db"
FORMAT = 3
MOST_KNOWN, LARGEST_KNOWN = 20_000, 512
"""Keys and authors whose ids are remembered, and the bytes of one: larger ones are looked up each time."""
RECENT = 4 << 20
"""Bytes of the latest changes that are held in memory."""
STEP = 1000
"""Changes that are dropped or rewritten in one transaction."""
ROWS, COLUMNS = 64, 7
"""Rows of one INSERT, which gives up the interpreter lock once, and the values of a row."""
INSERTS = ["INSERT INTO changes VALUES " + ",".join(["(?,?,?,?,?,?,?)"] * rows) for rows in range(ROWS + 1)]
OF_KEY = (
    "SELECT id, kind, value FROM changes WHERE object = (SELECT id FROM objects WHERE key = ?) AND id > ?"
    " ORDER BY id LIMIT ?"
)

SCHEMA = f"""
CREATE TABLE objects (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE authors (id INTEGER PRIMARY KEY, author BLOB NOT NULL UNIQUE, uses INTEGER NOT NULL);
CREATE TABLE changes (
    id INTEGER PRIMARY KEY,
    object INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    time INTEGER NOT NULL,
    author INTEGER,
    audit,
    value BLOB
);
CREATE INDEX changes_object ON changes (object);
CREATE INDEX changes_whole ON changes (object) WHERE kind <> 1;
CREATE TABLE gaps (
    last INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    began INTEGER NOT NULL,
    ended INTEGER NOT NULL
);
CREATE TABLE meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('recorded', 0), ('trimmed', 0), ('since', 0);
PRAGMA user_version = {FORMAT};
"""


class ChangeKind(IntEnum):
    """The effect of a change, and what its row keeps of it."""

    CREATED = 0
    """The object came to be; nothing is kept."""
    CHANGED = 1
    """The difference, as _delta makes it."""
    REPLACED = 2
    """The whole object before the change."""
    DELETED = 3
    """The whole object before it was gone."""
    UNREADABLE = 4
    """Nothing, for a value before or after the change could not be decrypted."""
    UNREADABLE_DELETED = 5
    """Nothing, for the value before the object was gone could not be decrypted."""


class RecordedChange(NamedTuple):
    """A change to be kept. id: of its row in the store. time_ms: since 1970. author: as parts() tells it.
    prev: the id of the change of the key before, 0 for none."""

    id: int
    key: str
    kind: ChangeKind
    time_ms: int
    author: bytes
    audit_id: str
    value: bytes
    prev: int = 0


class HistoryGap(NamedTuple):
    """Changes that are missing: the ids between which they are, and the times in milliseconds since 1970."""

    first: int
    last: int
    began_ms: int
    ended_ms: int


class HistoryError(StorageError):
    """The history cannot be read or written."""


class HistoryFile:
    """The changes in the folder of a store; used on one thread. `seal(key, bytes)` encrypts what is kept,
    `unseal` decrypts it."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        seal: Callable[[str, bytes], bytes] | None = None,
        unseal: Callable[[str, bytes], bytes] | None = None,
    ) -> None:
        self.path = Path(directory) / FILE
        self._seal = seal
        self._unseal = unseal
        self._objects: dict[str, int] = {}
        self._authors: dict[bytes, int] = {}
        self._version = 0
        self.foreign_writes = 0
        """How often it was seen that another process had written to the file."""
        self._db: sqlite3.Connection
        self.recorded = 0
        """The id up to which the store's rows have been looked at."""
        self.trimmed = 0
        """The id of the last change that was dropped, or before which nothing was kept."""
        self.since_ms = 0
        """The time of that, in milliseconds since 1970."""
        self.gaps: list[HistoryGap] = []
        """The gaps, the oldest first."""
        self.recent = RecentChanges(RECENT, ChangeKind.CHANGED)
        """The changes that were kept last, as in the file, but not encrypted."""

    def open(self) -> None:
        """Open or make the file; HistoryError when that fails."""
        mask = os.umask(0o077)
        try:
            self._db = connect(self.path)
            try:
                (version,) = self._db.execute("PRAGMA user_version").fetchone()
                if version == 0:
                    self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("PRAGMA secure_delete = ON")
                if version == 0:
                    self._db.executescript("BEGIN IMMEDIATE;" + SCHEMA + "COMMIT;")
                elif version != FORMAT:
                    raise HistoryError(f"{self.path} has format {version}, this version reads {FORMAT}")
                meta = dict(self._db.execute("SELECT name, number FROM meta"))
                self.recorded, self.trimmed, self.since_ms = meta["recorded"], meta["trimmed"], meta["since"]
                gaps = self._db.execute("SELECT first, last, began, ended FROM gaps ORDER BY last")
                self.gaps = [HistoryGap(*row) for row in gaps]
                self._forget_recent()
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as error:
            raise HistoryError(f"{self.path} can not be opened: {error}") from error
        finally:
            os.umask(mask)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def last(self) -> int:
        """The id of the last change that is kept, 0 without one."""
        return self._db.execute("SELECT max(id) FROM changes").fetchone()[0] or 0

    def has(self, id: int) -> bool:
        """Whether a change is kept."""
        return self._db.execute("SELECT 1 FROM changes WHERE id = ?", (id,)).fetchone() is not None

    def begin_at(self, id: int, time_ms: int) -> None:
        """Keep nothing of what was before; for a file that is new."""
        with self._transaction():
            self._note("recorded", id)
            self._note("trimmed", id)
            self._note("since", time_ms)
        self.recorded = self.trimmed = id
        self.since_ms = time_ms
        self.recent.begin(id, time_ms)

    def _forget_recent(self) -> None:
        """Hold no change in memory that is in the file by now."""
        row = self._db.execute("SELECT id, time FROM changes ORDER BY id DESC LIMIT 1").fetchone()
        id, time_ms = row or (0, 0)
        self.recent.begin(max(id, self.recorded), max(time_ms, self.since_ms))

    def skip(self, id: int, time_ms: int) -> None:
        """Begin again at an id, and note the gap since what has been recorded."""
        row = self._db.execute("SELECT time FROM changes ORDER BY id DESC LIMIT 1").fetchone()
        gap = HistoryGap(self.recorded, id, row[0] if row else self.since_ms, time_ms)
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO gaps (first, last, began, ended) VALUES (?, ?, ?, ?)", gap
            )
        self.gaps = [*self.gaps, gap]
        self.begin_at(id, time_ms)

    def record(self, changes: Sequence[RecordedChange], upto: int) -> None:
        """Keep changes, all or none, and that the store's rows up to an id have been looked at."""
        recent: list[RecentChange] = []
        with self._transaction():
            if changes:
                recent = self._insert(changes)
            self._note("recorded", upto)
        self.recent.add(recent)
        self.recorded = upto

    def _insert(self, changes: Sequence[RecordedChange]) -> list[RecentChange]:
        """Insert changes, which are in the order of ids, but those that are kept already."""
        kept = self._db.execute(
            "SELECT id FROM changes WHERE id >= ? AND id <= ?", (changes[0].id, changes[-1].id)
        )
        known = {id for (id,) in kept}
        new = [change for change in changes if change.id not in known] if known else changes
        values, uses, recent = rows_of(
            new, self._objects, self._authors, self._object_id, self._author_id, self._seal
        )
        for first in range(0, len(values), ROWS * COLUMNS):
            some = values[first : first + ROWS * COLUMNS]
            self._db.execute(INSERTS[len(some) // COLUMNS], some)
        self._db.executemany(
            "UPDATE authors SET uses = uses + ? WHERE id = ?", [(count, id) for id, count in uses.items()]
        )
        if known:  # not all of them may be in memory
            self.recent.begin(changes[-1].id, max(change.time_ms for change in changes))
        return recent

    def _packed(self, key: str, value: bytes) -> bytes:
        packed = pack(value)
        return packed if self._seal is None else self._seal(key, packed)

    def _opened(self, key: str, kept: bytes) -> bytes:
        return unpack(kept if self._unseal is None else self._unseal(key, kept))

    def _object_id(self, key: str) -> int:
        """The id of a key, which is added where it is new."""
        return self._id(self._objects, "objects (key) VALUES (?)", "key", key)

    def _author_id(self, who: bytes) -> int:
        """The id of an author, which is added where it is new."""
        return self._id(self._authors, "authors (author, uses) VALUES (?, 0)", "author", who)

    def _id(self, known: "dict[Any, int]", into: str, column: str, value: str | bytes) -> int:
        """The id of a key or an author, which is added where it is new. into: its table, as INSERT has it."""
        if len(known) >= MOST_KNOWN:
            known.clear()
        table = into.partition(" ")[0]
        row = self._db.execute(f"SELECT id FROM {table} WHERE {column} = ?", (value,)).fetchone()
        if row is None:
            cursor = self._db.execute(f"INSERT INTO {into}", (value,))
            assert cursor.lastrowid is not None
            row = (cursor.lastrowid,)
        if len(value) <= LARGEST_KNOWN:
            known[value] = row[0]
        return int(row[0])

    def _note(self, name: str, number: int) -> None:
        self._db.execute("UPDATE meta SET number = ? WHERE name = ?", (number, name))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction that is carried out whole or not at all."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self.look_around()
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.rollback()
            self._objects.clear()  # ids that were given out in it are not there
            self._authors.clear()
            if isinstance(error, sqlite3.Error):
                raise HistoryError(f"{self.path} can not be written: {error}") from error
            raise

    def look_around(self) -> None:
        """Forget what is known when another process has written: it may have purged some."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._objects.clear()
            self._authors.clear()
            self._forget_recent()
            self._version = version
            self.foreign_writes += 1

    # --- what goes

    def size(self) -> int:
        """Bytes that the changes take; free pages do not count."""
        pages, free, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def trim(self, before_ms: int, most_bytes: int) -> bool:
        """Drop the oldest changes, one step of those from before a time, or beyond a size; False when there
        are none."""
        last, excess = 0, self.size() - most_bytes
        if excess > 0:
            rows = self._db.execute(
                "SELECT id, ifnull(length(value), 0) FROM changes ORDER BY id LIMIT ?", (STEP,)
            )
            for id, length in rows:  # no more than has to go: values may be large
                if excess <= 0:
                    break
                last, excess = id, excess - length
        else:
            # Clocks may be set: a change of a later time does not keep older ones from going.
            (last,) = self._db.execute(
                "SELECT ifnull(max(id), 0) FROM (SELECT id, time FROM changes ORDER BY id LIMIT ?)"
                " WHERE time < ?",
                (STEP, before_ms),
            ).fetchone()
        if not last:
            return False
        (newest,) = self._db.execute("SELECT max(time) FROM changes WHERE id <= ?", (last,)).fetchone()
        since = max(self.since_ms, newest)
        trimmed = max(self.trimmed, last)  # changes from before a gap lead to no state
        with self._transaction():
            self._drop("id <= ?", last)
            self._db.execute("DELETE FROM gaps WHERE first <= ?", (last,))
            self._note("trimmed", trimmed)
            self._note("since", since)
        self.gaps = [gap for gap in self.gaps if gap.first > last]
        self.trimmed, self.since_ms = trimmed, since
        self._db.executescript("PRAGMA incremental_vacuum(256)")
        return True

    def _drop(self, where: str, number: int) -> int:
        """Drop some changes, and the objects and authors that have none left; how many changes they were."""
        self._objects.clear()
        self._authors.clear()
        objects = self._db.execute(f"SELECT DISTINCT object FROM changes WHERE {where}", (number,)).fetchall()
        dropped = drop(self._db, where, number)
        self._db.executemany(
            "DELETE FROM objects WHERE id = ?"
            " AND NOT EXISTS (SELECT 1 FROM changes WHERE object = objects.id)",
            objects,
        )
        return dropped

    def purge(self, keys: Sequence[str]) -> int:
        """Drop all changes of some keys for good; how many they were."""
        ids = [
            row[0] for key in keys for row in self._db.execute("SELECT id FROM objects WHERE key = ?", (key,))
        ]
        with self._transaction():
            dropped = sum([self._drop("object = ?", one) for one in ids])
            self._db.executemany("DELETE FROM objects WHERE id = ?", ((one,) for one in ids))
        self._clear()
        return dropped

    def values(self, key: str) -> Iterator[list[bytes]]:
        """The kept values of a key's changes, as they are in the file, in steps."""
        last = 0
        while rows := self._db.execute(OF_KEY, (key, last, STEP)).fetchall():
            yield [kept for _, _, kept in rows if kept is not None]
            last = rows[-1][0]

    def rewrite(self, key: str, other: Callable[[ChangeKind, bytes], bytes], *, dry: bool = False) -> int:
        """Replace what is kept of a key's changes where it is another value then, for good; how many changes
        these were. dry: write nothing. ValueError, StorageError when they cannot be decrypted."""
        count = last = 0
        while rows := self._db.execute(OF_KEY, (key, last, STEP)).fetchall():
            values = [
                (id, ChangeKind(kind), self._opened(key, kept)) for id, kind, kept in rows if kept is not None
            ]
            made = [(id, value, other(kind, value)) for id, kind, value in values]
            changed = [(self._packed(key, new), id) for id, value, new in made if new != value]
            if changed and not dry:
                with self._transaction():
                    self._db.executemany("UPDATE changes SET value = ? WHERE id = ?", changed)
            count, last = count + len(changed), rows[-1][0]
        if count and not dry:
            self._clear()
        return count

    def _clear(self) -> None:
        """Leave nothing of what is gone in memory and in the files."""
        self._forget_recent()
        self._db.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")


def drop(db: sqlite3.Connection, where: str, number: int) -> int:
    """Drop some changes, and the authors that have none left; how many changes they were."""
    uses = db.execute(
        f"SELECT count(*), author FROM changes WHERE {where} AND author IS NOT NULL GROUP BY author",
        (number,),
    ).fetchall()
    dropped = db.execute(f"DELETE FROM changes WHERE {where}", (number,)).rowcount
    db.executemany("UPDATE authors SET uses = uses - ? WHERE id = ?", uses)
    db.executemany("DELETE FROM authors WHERE id = ? AND uses <= 0", ((id,) for _, id in uses))
    return dropped


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to a history file."""
    db = sqlite3.connect(
        path.absolute().as_uri() + ("?mode=ro" if read_only else ""),
        uri=True,
        timeout=10,
        isolation_level=None,
        check_same_thread=False,
    )
    db.execute("PRAGMA cache_size = -2048")
    return db


def audit_id_of(kept: bytes | str | None) -> str:
    """The audit ID that is kept so."""
    return str(uuid.UUID(bytes=kept)) if isinstance(kept, bytes) else kept or ""
