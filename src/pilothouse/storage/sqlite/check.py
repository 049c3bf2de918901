"""Looks for damage in a database of the embedded store: of the file, of the history, of what is stored.

`problems` reads everything once, in the order of the history. It finds whatever a store that was written by this package
cannot contain: SQLite's own check covers pages and indexes, the rules of `storage/sqlite/file.py` cover the rows.
"""

import sqlite3
from collections.abc import Callable, Iterator

import orjson

from pilothouse.storage.sqlite.file import BITS, FORMAT, read_meta

_COLUMNS = {
    "history": ("id", "key", "created", "prev", "expires", "value"),
    "meta": ("name", "number"),
}
_BINARY = (b"k8s\x00", b"k8s:enc:")
"""How stored values begin that are no JSON: protobuf of kube-apiserver, and encrypted ones."""

Row = tuple[int, str, int, int | None, int, bytes | None]
Progress = Callable[[int, int], None]
"""Is told how much of how much has been looked at, in rows or in bytes."""


def untold(done: int, total: int) -> None:
    """Takes no notice of progress."""


def problems(db: sqlite3.Connection, progress: Progress = untold) -> Iterator[str]:
    """Each problem as a sentence; nothing when the database is sound. A database that SQLite cannot read is one problem."""
    try:
        yield from _file(db)
        found = list(_tables(db))
        yield from found
        if not found:
            yield from _rows(db, progress)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        yield f"the database cannot be read: {error}"


def _file(db: sqlite3.Connection) -> Iterator[str]:
    for (said,) in db.execute("PRAGMA integrity_check(20)"):
        if said != "ok":
            yield f"the database file is damaged: {said}"


def _tables(db: sqlite3.Connection) -> Iterator[str]:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != FORMAT:
        yield f"the database has format {version}, this version reads {FORMAT}"
    for table, columns in _COLUMNS.items():
        there = tuple(row[1] for row in db.execute(f"PRAGMA table_info({table})"))
        if there != columns:
            yield f"the table {table} has the columns {', '.join(there) or 'of none'}, expected {', '.join(columns)}"
            return
    if not set(read_meta(db)) >= {"compacted", "cleaned"}:
        yield "the table meta does not say up to where the history is compacted"


def _rows(db: sqlite3.Connection, progress: Progress) -> Iterator[str]:
    meta = read_meta(db)
    (total,) = db.execute("SELECT count(*) FROM history").fetchone()
    newest: dict[str, tuple[int, int]] = {}
    """The last row of each key, and the revision that created what it shows, 0 when it is deleted."""
    revision = meta["compacted"]
    rows = db.execute("SELECT id, key, created, prev, expires, value FROM history ORDER BY id")
    for done, row in enumerate(rows):
        at = row[0] >> BITS
        if at > max(revision + 1, meta["compacted"] + 1):
            yield f"revisions {revision + 1} to {at - 1} are missing"
        revision = max(revision, at)
        yield from _row(row, newest.get(row[1]), meta["cleaned"])
        newest[row[1]] = row[0], row[2]
        if not done & 1023:
            progress(done, total)
    progress(total, total)


def _row(row: Row, before: tuple[int, int] | None, cleaned: int) -> Iterator[str]:
    """What is wrong with one row; `before` is the one that its key had until then."""
    number, key, created, prev, _, value = row
    at = number >> BITS
    name = f"{key!r} at revision {at}"
    if not key.startswith("/"):
        yield f"{name}: the key is not one of the store"
    if (created == 0) != (value is None):
        yield f"{name}: {'a deletion with a value' if created == 0 else 'no value'}"
    last, since = before if before and before[1] else (None, at)
    if prev == last:
        if created not in (0, since):
            yield f"{name}: it says that it was created at revision {created}, and that was {since}"
    elif last is not None or number >= cleaned:  # of older rows the one before may have been compacted away
        yield f"{name}: it follows row {prev}, and the row before it is {last}"
    elif created > at:
        yield f"{name}: it says that it was created at revision {created}"
    if value is not None:
        yield from _value(name, value)


def _value(name: str, value: object) -> Iterator[str]:
    if not isinstance(value, bytes) or not value:
        yield f"{name}: the value is no object"
    elif not value.startswith(_BINARY):
        try:
            if not isinstance(orjson.loads(value), dict):
                yield f"{name}: the value is no object"
        except ValueError as error:
            yield f"{name}: the value cannot be read: {error}"
