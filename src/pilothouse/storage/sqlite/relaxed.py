"""Updates of some keys that are answered before the disk has them (`--lease-durability=relaxed`).

SQLite appends such a commit to the write-ahead log and does not sync it (synchronous=NORMAL). The kernel has
it then, so a kill of the process loses nothing. The next commit with any other write syncs the log, and all
that is before it. So a power cut takes only updates of these keys, only the last ones, and none that
something durable follows.

Revisions are reserved on the disk before they are given out without a sync. A store that was not closed
continues behind them (`advance.py`), for it cannot know whether any of them was lost.
"""

import sqlite3

from pilothouse.storage.sqlite._commit import WriteJob, only_updates
from pilothouse.storage.sqlite.advance import RESERVED

STEP = 10_000
"""Revisions that are reserved at once."""


class RelaxedUpdates:
    """Chooses for each commit whether it is synced. It is used on the writer's thread."""

    def __init__(self, prefix: str, step: int = STEP) -> None:
        self._prefix = prefix
        self._step = step
        self._reserved = 0
        self._synced = True

    def prepare(self, db: sqlite3.Connection, writes: list[WriteJob], revision: int) -> None:
        """Choose for a commit of `writes` behind `revision`.
        It is synced unless each write is an update of a key with the prefix."""
        relaxed = only_updates(writes, self._prefix)
        last = revision + len(writes)
        if relaxed and last > self._reserved:
            self._sync(db, True)
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (RESERVED, last + self._step))
            self._reserved = last + self._step
        self._sync(db, not relaxed)

    def close(self, db: sqlite3.Connection) -> None:
        """Have the disk keep everything, and give back the revisions that are left."""
        self._sync(db, True)
        db.execute("DELETE FROM meta WHERE name = ?", (RESERVED,))

    def _sync(self, db: sqlite3.Connection, wanted: bool) -> None:
        if wanted != self._synced:
            db.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._synced = wanted
