"""The database file of the embedded store: its lock, its tables, and everything that is read from it.

`history` has one row per write. Its id is the revision shifted left by BITS plus the place in the
transaction: rows are appended in the order of revisions. `created` is the revision of the key's creation,
0 in the row of a deletion; `prev` the id of the row that this one replaced, NULL when the key was not there.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path

from pilothouse.gotext import quote
from pilothouse.storage.interface import KeyValue, Page, StorageEvent, Unavailable

FILES = ("state.db", "state.db-wal")
"""The database, and its write-ahead log."""
BITS = 12
MAX_OPS = 1 << BITS
LAST = "\U0010ffff"
FORMAT = 1
STEP = 200_000
"""Instructions of SQLite's machine between two calls of what watches a copy."""

SCHEMA = f"""
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    created INTEGER NOT NULL,
    prev INTEGER,
    expires INTEGER NOT NULL,
    value BLOB
);
CREATE INDEX history_key ON history (key);
CREATE TABLE meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('compacted', 1), ('cleaned', 0);
PRAGMA user_version = {FORMAT};
"""

AUTHOR_COLUMN = "author BLOB"
"""The column of the history that tells who has written a row; a store whose history is not kept lacks it."""
ADD_AUTHORS = f"ALTER TABLE history ADD COLUMN {AUTHOR_COLUMN}"

COLUMNS = "id, key, created, expires, value"
NEWEST = "SELECT max(id) AS id FROM history WHERE key >= ? AND key < ? AND id < ? GROUP BY key"
RANGE = (
    "SELECT h.id, h.key, h.created, h.expires, h.value FROM (SELECT max(id) AS id FROM history WHERE key >= ?"
    " AND key < ? AND id < ? GROUP BY key ORDER BY key LIMIT ?) n CROSS JOIN history h ON h.id = n.id"
)
COUNT = f"SELECT count(*) FROM ({NEWEST}) n JOIN history h ON h.id = n.id WHERE h.created > 0"
HEADS = (
    "SELECT h.id, h.key, h.created, h.expires FROM (SELECT max(id) AS id FROM history GROUP BY key) n "
    "JOIN history h ON h.id = n.id WHERE h.created > 0"
)
HEADS_OF = (
    "SELECT h.id, h.key, h.created, h.expires FROM (SELECT max(id) AS id FROM history WHERE key IN ({})"
    " GROUP BY key) n CROSS JOIN history h ON h.id = n.id WHERE h.created > 0"
)
EVENTS = (
    "SELECT h.id, h.key, h.created, h.expires, h.value, p.id, p.created, p.expires, p.value "
    "FROM history h LEFT JOIN history p ON p.id = h.prev WHERE h.id >= ? AND h.id < ? ORDER BY h.id LIMIT ?"
)

FOREIGN = (
    "SELECT type, name FROM sqlite_master WHERE type = 'trigger' OR (type = 'view' AND name IN ('history',"
    " 'meta'))"
)

Row = tuple[int, str, int, int, bytes]


def key_value(row: Row) -> KeyValue:
    """The pair of a row of COLUMNS."""
    return KeyValue(row[1], row[4], row[0] >> BITS, row[2], row[3])


class DataDirectory:
    """The data directory of one process: `state.db`, its write-ahead log and a lock file."""

    def __init__(self, directory: str | os.PathLike[str], cache_kb: int = 8192) -> None:
        """`cache_kb`: the kilobytes of pages that each connection keeps."""
        self.directory = Path(directory)
        self._cache_kb = cache_kb
        self.file = self.directory / "state.db"
        self.alone = False
        """Whether connections keep the index of the write-ahead log in memory, which a full disk has no room
        for. Other processes cannot open the store then."""
        self._lock: int | None = None

    def lock(self) -> None:
        """Lock the directory. Raises Unavailable when another process has locked it."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(f"data directory {self.directory} can not be used: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.read(lock, 32).decode("ascii", "replace").strip()
            os.close(lock)
            raise Unavailable(
                f"data directory {self.directory} is in use by another process (pid {pid or 'unknown'})"
            ) from None
        self._lock = lock
        owner = f"{os.getpid()}\n".encode()
        try:
            # Written over what is there before the rest is cut off: a full disk has no space for more.
            os.ftruncate(lock, os.pwrite(lock, owner, 0))
        except OSError:
            os.ftruncate(lock, 0)  # a full disk: others are told that the owner is unknown

    def in_use(self) -> bool:
        """Whether a process has locked the directory."""
        try:
            lock = os.open(self.directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def unlock(self) -> None:
        """Unlock the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def size(self) -> int:
        """Bytes of the database and its write-ahead log."""
        total = 0
        for name in FILES:
            try:
                total += (self.directory / name).stat().st_size
            except OSError:
                pass
        return total

    def stamp(self) -> tuple[int, ...]:
        """Numbers that are others once the database or its log has been written."""
        found = (self.directory / name for name in FILES)
        stats = [path.stat() for path in found if path.exists()]
        return tuple(number for one in stats for number in (one.st_size, one.st_mtime_ns, one.st_ino))

    def copy(self, file: str | os.PathLike[str], step: Callable[[], None] = lambda: None) -> None:
        """Write a compact copy of the database to a file that must not exist;
        `step` is called now and then meanwhile."""
        db = self.connect()
        try:
            db.set_progress_handler(step, STEP)
            db.execute("VACUUM INTO ?", (os.fspath(file),)).fetchall()
        finally:
            db.close()

    def connect(self) -> sqlite3.Connection:
        """A connection with this store's settings."""
        db = sqlite3.connect(
            self.file.absolute().as_uri() + ("?vfs=unix-excl" if self.alone else ""),
            uri=True,
            timeout=10,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = OFF")
            db.execute("PRAGMA temp_store = MEMORY")
            db.execute(f"PRAGMA cache_size = -{self._cache_kb}")
        except BaseException:
            db.close()
            raise
        return db

    def open(self, *, authors: bool = False) -> sqlite3.Connection:
        """The writer's connection; makes the tables in a new file, and the column for `authors`.
        Raises sqlite3.Error, Unavailable for another format."""
        old_mask = os.umask(0o077)
        try:
            db = self.connect()
            try:
                (version,) = db.execute("PRAGMA user_version").fetchone()
                if version == 0:  # it writes, for which there may be no space
                    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA journal_size_limit = 16777216")
                db.execute("PRAGMA wal_autocheckpoint = 0")
                if version == 0:
                    db.executescript("BEGIN IMMEDIATE;" + SCHEMA + "COMMIT;")
                elif version != FORMAT:
                    raise Unavailable(f"{self.file} has format {version}, this version reads {FORMAT}")
                elif (found := db.execute(FOREIGN).fetchone()) is not None:
                    raise Unavailable(
                        f"{self.file} has the {found[0]} {quote(found[1])}, by which writes can be lost"
                    )
                if authors and "author" not in [row[1] for row in db.execute("PRAGMA table_info(history)")]:
                    db.execute(ADD_AUTHORS)
            except BaseException:
                db.close()
                raise
            return db
        finally:
            os.umask(old_mask)


def newest_id(db: sqlite3.Connection) -> int:
    """The id of the last write, that of revision 1 in an empty store."""
    (found,) = db.execute("SELECT max(id) FROM history").fetchone()
    return found if found is not None else 1 << BITS


def read_meta(db: sqlite3.Connection) -> dict[str, int]:
    """The numbers that are kept beside the history: `compacted` (a revision) and `cleaned` (an id)."""
    return dict(db.execute("SELECT name, number FROM meta"))


def read_heads(db: sqlite3.Connection) -> Iterator[tuple[int, str, int, int]]:
    """(id, key, created, expires) of all keys that are there."""
    return iter(db.execute(HEADS))


def read_heads_of(
    db: sqlite3.Connection | sqlite3.Cursor, keys: list[str]
) -> Iterator[tuple[int, str, int, int]]:
    """(id, key, created, expires) of those keys that are there."""
    for start in range(0, len(keys), 500):
        some = keys[start : start + 500]
        yield from db.execute(HEADS_OF.format(",".join("?" * len(some))), some).fetchall()


def read_rows(db: sqlite3.Connection | sqlite3.Cursor, ids: list[int]) -> dict[int, KeyValue]:
    """The pairs of some rows, by id."""
    found = {}
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        marks = ",".join("?" * len(some))
        for row in db.execute(f"SELECT {COLUMNS} FROM history WHERE id IN ({marks})", some):
            found[row[0]] = key_value(row)
    return found


def read_key(db: sqlite3.Connection, key: str, revision: int) -> KeyValue | None:
    """A key as of a revision, 0 = now."""
    bound = (revision + 1) << BITS if revision else 1 << 62
    query = f"SELECT {COLUMNS} FROM history WHERE key = ? AND id < ? ORDER BY id DESC LIMIT 1"
    row = db.execute(query, (key, bound)).fetchone()
    return key_value(row) if row is not None and row[2] else None


def read_range(
    db: sqlite3.Connection, prefix: str, start: str, limit: int, revision: int, counted: bool
) -> Page:
    """A range as of a revision, 0 = now, in one read transaction."""
    db.execute("BEGIN")
    try:
        at = revision or newest_id(db) >> BITS
        span = (max(prefix, start), prefix + LAST, (at + 1) << BITS)
        items, more = _read_page(db, *span, limit)
        count = 0
        if counted:
            count = db.execute(COUNT, span).fetchone()[0] if more else len(items)
        return Page(items, at, more, count)
    finally:
        db.execute("COMMIT")


def _read_page(
    db: sqlite3.Connection, first: str, end: str, bound: int, limit: int
) -> tuple[list[KeyValue], bool]:
    """At most `limit` pairs (0 = all) of keys from `first` on, and whether there are more.

    Keys that are gone are read as well: when they leave a page too short, the next part is twice as long.
    """
    items: list[KeyValue] = []
    part = limit + 1 if limit else -1
    while True:
        rows = db.execute(RANGE, (first, end, bound, part)).fetchall()
        rows.sort(key=itemgetter(1))
        items += [key_value(row) for row in rows if row[2]]
        if len(rows) != part or len(items) > limit:
            break
        first, part = rows[-1][1] + "\0", 2 * part
    more = 0 < limit < len(items)
    return (items[:limit] if more else items), more


def read_events(db: sqlite3.Connection, low: int, high: int, limit: int) -> tuple[list[StorageEvent], int]:
    """About `limit` events with ids in [low, high), in whole revisions, and the id to continue from."""
    while True:
        rows = db.execute(EVENTS, (low, high, limit)).fetchall()
        if len(rows) < limit:
            break
        last = rows[-1][0] >> BITS
        complete = [row for row in rows if row[0] >> BITS != last]
        if complete:
            rows, high = complete, last << BITS
            break
        limit *= 4
    events = []
    for row in rows:
        prev = KeyValue(row[1], row[8], row[5] >> BITS, row[6], row[7]) if row[5] is not None else None
        if row[2]:
            kv = key_value(row)
        else:
            kv = KeyValue(row[1], prev.value if prev else b"", row[0] >> BITS, prev.create if prev else 0)
        events.append(StorageEvent(not row[2], kv, prev))
    return events, high
