"""The file of kept changes, `history.db` beside the store: its tables, and how they are written.

`changes` has one row for each change. Its id is that of the row in the store, so changes are in the order
of revisions. What a row keeps leads from the object after the change back to the one before it. So the newest
state is in the store alone, and old changes can be dropped at any time. `object` names the key and `author`
who has written, which are kept once in tables of their own.
"""

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

from pilothouse.history.packing import pack
from pilothouse.storage.interface import StorageError

FILE = "history.db"
FORMAT = 1
MOST_KNOWN, LARGEST_KNOWN = 20_000, 512
"""Keys and authors whose ids are remembered, and the bytes of one: larger ones are looked up each time."""
STEP = 1000
"""Changes that are dropped in one transaction."""

SCHEMA = f"""
CREATE TABLE objects (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE authors (id INTEGER PRIMARY KEY, author BLOB NOT NULL UNIQUE);
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
CREATE INDEX changes_author ON changes (author);
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


class RecordedChange(NamedTuple):
    """A change to be kept. id: of its row in the store. time_ms: since 1970. author: as parts() tells it."""

    id: int
    key: str
    kind: ChangeKind
    time_ms: int
    author: bytes
    audit_id: str
    value: bytes


class HistoryError(StorageError):
    """The history cannot be read or written."""


class HistoryFile:
    """The changes in the folder of a store; used on one thread. `seal(key, bytes)` encrypts what is kept."""

    def __init__(self, directory: str | os.PathLike[str], seal: Callable[[str, bytes], bytes] | None = None):
        self.path = Path(directory) / FILE
        self._seal = seal
        self._objects: dict[str, int] = {}
        self._authors: dict[bytes, int] = {}
        self._version = 0
        self._db: sqlite3.Connection
        self.recorded = 0
        """The id up to which the store's rows have been looked at."""
        self.trimmed = 0
        """The id of the last change that was dropped, or before which nothing was kept."""
        self.since_ms = 0
        """The time of that, in milliseconds since 1970."""

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

    def record(self, changes: Sequence[RecordedChange], upto: int) -> None:
        """Keep changes, all or none, and that the store's rows up to an id have been looked at."""
        with self._transaction():
            for change in changes:
                self._insert(change)
            self._note("recorded", upto)
        self.recorded = upto

    def _insert(self, change: RecordedChange) -> None:
        value: bytes | None = None
        if change.kind is not ChangeKind.CREATED:
            value = pack(change.value)
            if self._seal is not None:
                value = self._seal(change.key, value)
        object_id = self._id(self._objects, "objects", "key", change.key)
        author = self._id(self._authors, "authors", "author", change.author) if change.author else None
        self._db.execute(
            "INSERT OR IGNORE INTO changes VALUES (?, ?, ?, ?, ?, ?, ?)",
            (change.id, object_id, change.kind, change.time_ms, author, _packed_id(change.audit_id), value),
        )

    def _id(self, known: "dict[Any, int]", table: str, column: str, value: str | bytes) -> int:
        """The id of a key or an author, which is added where it is new."""
        found = known.get(value)
        if found is not None:
            return found
        if len(known) >= MOST_KNOWN:
            known.clear()
        row = self._db.execute(f"SELECT id FROM {table} WHERE {column} = ?", (value,)).fetchone()
        if row is None:
            cursor = self._db.execute(f"INSERT INTO {table} ({column}) VALUES (?)", (value,))
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
            self._look_around()
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

    def _look_around(self) -> None:
        """Forget which ids are known when another process has written: it may have purged some."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._objects.clear()
            self._authors.clear()
            self._version = version

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
        rows = self._db.execute(
            "SELECT id, time, ifnull(length(value), 0) FROM changes ORDER BY id LIMIT ?", (STEP,)
        ).fetchall()
        if not rows:
            return False
        last, excess = 0, self.size() - most_bytes
        for id, _, length in rows:  # no more than has to go: values may be large
            if excess <= 0:
                break
            last, excess = id, excess - length
        if not last:
            # Clocks may be set: a change of a later time does not keep older ones from going.
            last = max((id for id, time_ms, _ in rows if time_ms < before_ms), default=0)
        if not last:
            return False
        since = max(self.since_ms, *(time_ms for id, time_ms, _ in rows if id <= last))
        with self._transaction():
            gone = self._db.execute(
                "SELECT DISTINCT object, author FROM changes WHERE id <= ?", (last,)
            ).fetchall()
            self._db.execute("DELETE FROM changes WHERE id <= ?", (last,))
            self._forget(gone)
            self._note("trimmed", last)
            self._note("since", since)
        self.trimmed, self.since_ms = last, since
        self._db.executescript("PRAGMA incremental_vacuum(256)")
        return True

    def _forget(self, gone: Sequence[tuple[int, int | None]]) -> None:
        """Drop the objects and authors of changes that are gone where they have no change left."""
        self._objects.clear()
        self._authors.clear()
        for place, table, column in ((0, "objects", "object"), (1, "authors", "author")):
            self._db.executemany(
                f"DELETE FROM {table} WHERE id = ?"
                f" AND NOT EXISTS (SELECT 1 FROM changes WHERE {column} = {table}.id)",
                ((one,) for one in {row[place] for row in gone}),
            )

    def purge(self, keys: Sequence[str]) -> int:
        """Drop all changes of some keys for good; how many they were."""
        ids = [
            row[0] for key in keys for row in self._db.execute("SELECT id FROM objects WHERE key = ?", (key,))
        ]
        dropped = 0
        with self._transaction():
            for one in ids:
                gone = self._db.execute(
                    "SELECT DISTINCT object, author FROM changes WHERE object = ?", (one,)
                ).fetchall()
                dropped += self._db.execute("DELETE FROM changes WHERE object = ?", (one,)).rowcount
                self._forget([*gone, (one, None)])
        self._db.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")
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


def _packed_id(audit_id: str) -> bytes | str | None:
    """An audit ID as it is kept: 16 bytes of a UUID, else its text."""
    if len(audit_id) == 36:
        try:
            made = uuid.UUID(audit_id)
        except ValueError:
            pass
        else:
            if str(made) == audit_id:
                return made.bytes
    return audit_id or None


def audit_id_of(kept: bytes | str | None) -> str:
    """The audit ID that is kept so."""
    return str(uuid.UUID(bytes=kept)) if isinstance(kept, bytes) else kept or ""
