"""Limits for databases that come from elsewhere: a snapshot, a state, a copy of a history.

See https://www.sqlite.org/security.html, "Untrusted SQLite Database Files".
"""

import sqlite3
import time

LENGTH_BYTES = 64 << 20
"""The longest value and statement: an object has 1.5 MiB unless --max-object-bytes says more."""
SECONDS = 30.0
"""The time that reading a small database may take."""
BYTES_PER_SECOND = 1 << 20
"""A large database has a second more for each of these."""
STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""


def restrict(db: sqlite3.Connection, size: int) -> None:
    """Have a connection trust nothing that the database of `size` bytes defines, and end in time.

    A statement that takes longer is a sqlite3.OperationalError: interrupted.
    """
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LENGTH_BYTES)
    db.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 1 << 20)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    due = time.monotonic() + SECONDS + size / BYTES_PER_SECOND
    db.set_progress_handler(lambda: time.monotonic() > due, STEPS)
