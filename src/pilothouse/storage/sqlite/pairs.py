"""Databases of the embedded store that are made of pairs, and read as pairs."""

import contextlib
import sqlite3
from collections.abc import Iterable

from pilothouse.storage.interface import KeyValue
from pilothouse.storage.sqlite.advance import advance
from pilothouse.storage.sqlite.file import BITS, HEADS, DataDirectory, key_value, newest_id


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
    """The pairs in the bytes of a database, and its revision; sqlite3.Error when it is damaged."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.deserialize(database)
        query = HEADS.replace("h.expires", "h.expires, h.value", 1)
        return [key_value(row) for row in db.execute(query)], newest_id(db) >> BITS
