"""Databases of the embedded store that are made of pairs, and read as pairs."""

import contextlib
import sqlite3
from collections.abc import Iterable

from pilothouse.storage.interface import KeyValue
from pilothouse.storage.sqlite import check
from pilothouse.storage.sqlite.advance import advance
from pilothouse.storage.sqlite.file import BITS, HEADS, DataDirectory, key_value, newest_id
from pilothouse.storage.sqlite.untrusted import restrict


def fill(data: DataDirectory, pairs: Iterable[KeyValue], revision: int) -> None:
    """Make a store of pairs whose history begins behind a revision."""
    with contextlib.closing(data.open()) as db:
        db.execute("BEGIN")
        before, place = 0, 0
        for kv in sorted(pairs, key=lambda kv: kv.mod):
            place = place + 1 if kv.mod == before else 0
            before = kv.mod
            replaced = kv.create << BITS if kv.create != kv.mod else None
            row = ((kv.mod << BITS) + place, kv.key, kv.create, replaced, kv.lease, kv.value)
            db.execute(
                "INSERT INTO history (id, key, created, prev, expires, value) VALUES (?, ?, ?, ?, ?, ?)", row
            )
        db.execute("UPDATE meta SET number = ? WHERE name = 'cleaned'", ((revision + 1) << BITS,))
        db.execute("COMMIT")
        advance(db, revision + 1)


def read(database: bytes) -> tuple[list[KeyValue], int]:
    """The pairs in the bytes of a database, and its revision.

    The bytes may come from anybody: sqlite3.Error when they are damaged, or no store's.
    """
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.deserialize(database)
        restrict(db, len(database))
        if found := next(check.definitions(db), ""):
            raise sqlite3.DatabaseError(found)
        query = HEADS.replace("h.expires", "h.expires, h.value", 1)
        return [_pair(row) for row in db.execute(query)], newest_id(db) >> BITS


def _pair(row: tuple[object, ...]) -> KeyValue:
    """The pair of a row; sqlite3.DatabaseError where a value has another type than a store writes."""
    place, key, created, expires, value = row
    if not (
        isinstance(place, int)
        and isinstance(key, str)
        and isinstance(created, int)
        and isinstance(expires, int)
        and isinstance(value, bytes)
    ):
        raise sqlite3.DatabaseError("a row has values of other types than a store's")
    return key_value((place, key, created, expires, value))
