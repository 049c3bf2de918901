"""Looks for damage in a database of the embedded store: of the file, of the history, of what is stored.

`problems` reads everything once, in the order of the history. It finds whatever a store that was written by
this package cannot contain: SQLite's own check covers pages and indexes,
the rules of `storage/sqlite/file.py` cover the rows.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator

import orjson

from pilothouse import gotext
from pilothouse.storage.compaction import KEY as COMPACTED_KEY
from pilothouse.storage.sqlite.file import (
    ADD_AUTHORS,
    AUTHOR_COLUMN,
    BITS,
    FORMAT,
    SCHEMA,
    read_meta,
)

DEFINITIONS = 100
"""Tables, indexes, views and triggers that are looked at; a store has three."""
_BINARY = (b"k8s\x00", b"k8s:enc:")
"""How stored values begin that are no JSON: protobuf of kube-apiserver, and encrypted ones."""
KEYSPACES, HEADER = "/keyspaces/", 24
"""How the keys of logical clusters' rows begin, and the bytes before each value (keyspaces/rows.py)."""

Row = tuple[int, str, int, int | None, int, bytes | None]
Progress = Callable[[int, int], None]
"""Is told how much of how much has been looked at, in rows or in bytes."""


def untold(done: int, total: int) -> None:
    """Ignore the progress."""


def problems(db: sqlite3.Connection, progress: Progress = untold) -> Iterator[str]:
    """Each problem as a sentence; nothing when the database is sound.
    A database that SQLite cannot read is one problem."""
    try:
        for look in (definitions, _file, _meta):
            found = list(look(db))
            yield from found
            if found and look is not _file:
                return
        yield from _rows(db, progress)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        yield f"the database cannot be read: {error}"


def definitions(db: sqlite3.Connection) -> Iterator[str]:
    """How the format differs from a store's:
    read before SQLite runs a view, a trigger or an expression that is defined in it."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != FORMAT:
        yield f"the database has format {version}, this version reads {FORMAT}"
        return
    found = _defined(db)
    with contextlib.closing(sqlite3.connect(":memory:")) as sound:
        sound.executescript(SCHEMA)
        if AUTHOR_COLUMN in found.get(("table", "history"), ""):
            sound.execute(ADD_AUTHORS)
        expected = _defined(sound)
    for known, sql in expected.items():
        if known not in found:
            yield f"the {' '.join(known)} is missing"
        elif found[known] != sql:
            yield f"the {' '.join(known)} is not defined as in a store"
    for kind, name in sorted(found.keys() - expected.keys()):
        yield f"the {kind} {gotext.quote(name)} is not one of a store"


def _defined(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """The definitions in a database, by type and name, without regard to white space."""
    rows = db.execute("SELECT type, name, sql FROM sqlite_master LIMIT ?", (DEFINITIONS,))
    return {(str(kind), str(name)): " ".join(str(sql).split()) for kind, name, sql in rows}


def _file(db: sqlite3.Connection) -> Iterator[str]:
    for (said,) in db.execute("PRAGMA integrity_check(20)"):
        if said != "ok":
            yield f"the database file is damaged: {said}"


def _meta(db: sqlite3.Connection) -> Iterator[str]:
    meta: dict[str, object] = {**read_meta(db)}
    if not all(isinstance(meta.get(name), int) for name in ("compacted", "cleaned")):
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
    """The faults in one row; `before` is the one that its key had until then."""
    number, key, created, prev, expires, value = row
    if not isinstance(key, str) or not all(isinstance(one, int) for one in (created, prev or 0, expires)):
        yield f"row {number}: a column has a value of another type"
        return
    at = number >> BITS
    name = f"{key!r} at revision {at}"
    if not key.startswith("/") and key != COMPACTED_KEY:
        yield f"{name}: the key is not one of the store"
    if at < 1:
        yield f"{name}: there is no such revision"
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
    if value is not None and key.startswith(KEYSPACES):
        yield from _value_of_cluster(name, value)
    elif value is not None and key != COMPACTED_KEY:
        yield from _value(name, value)


def _value_of_cluster(name: str, value: object) -> Iterator[str]:
    """The faults in a row of a logical cluster; nothing follows the header where a key is deleted."""
    if not isinstance(value, bytes) or len(value) < HEADER:
        yield f"{name}: the value is no row of a logical cluster"
    elif any(value[:8]):
        yield from _value(name, value[HEADER:])
    elif len(value) > HEADER:
        yield f"{name}: a deletion with a value"


def _value(name: str, value: object) -> Iterator[str]:
    if not isinstance(value, bytes) or not value:
        yield f"{name}: the value is no object"
    elif not value.startswith(_BINARY):
        try:
            if not isinstance(orjson.loads(value), dict):
                yield f"{name}: the value is no object"
        except ValueError as error:
            yield f"{name}: the value cannot be read: {error}"
