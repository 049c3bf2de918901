"""Has a store continue at a later revision, at which its history begins.

A revision names one state of the objects for ever, so a store from which newer states were lost may not give
their revisions out again. Clients that have seen one are told that it is gone, and list anew.
"""

import sqlite3

from pilothouse.storage.sqlite.file import BITS, newest_id, read_meta

RESERVED = "reserved"
"""The number in `meta` up to which revisions may have been given out; without it none was lost."""
MARK = "/pilothouse/restored"
"""The key whose deletion stands at the first revision."""


def given_out(db: sqlite3.Connection) -> int:
    """The last revision that may have been given out."""
    return max(newest_id(db) >> BITS, read_meta(db).get(RESERVED, 0))


def advance(db: sqlite3.Connection, first: int) -> None:
    """Continue at the revision `first`, which must be newer than all that is there."""
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO history (id, key, created, expires) VALUES (?, ?, 0, 0)", (first << BITS, MARK))
    db.execute("UPDATE meta SET number = ? WHERE name = 'compacted'", (first,))
    db.execute("DELETE FROM meta WHERE name = ?", (RESERVED,))
    db.execute("COMMIT")
