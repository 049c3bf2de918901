"""The check of `pilothouse doctor` that looks at the history beside the store."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator

from pilothouse.commands.findings import Finding, error, ok, warning
from pilothouse.configuration.config import Config
from pilothouse.history.author import time_of
from pilothouse.history.file import FILE, FORMAT, connect
from pilothouse.history.policy import BEHIND, SETTLED
from pilothouse.history.times import timestamp
from pilothouse.storage.sqlite.file import DataDirectory

FIRST = "SELECT author FROM history WHERE id > ? AND author IS NOT NULL ORDER BY id LIMIT 1"


def history(config: Config) -> Iterator[Finding]:
    """The history: whether it can be read, and whether it is behind a server that runs."""
    path, store = config.data.directory / FILE, DataDirectory(config.data.directory)
    if not path.exists():
        return
    try:
        with contextlib.closing(connect(path, read_only=True)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version != FORMAT:
                yield error(f"{path} has format {version}, this version reads {FORMAT}: move it away")
                return
            meta = dict(db.execute("SELECT name, number FROM meta"))
        late = _late(store, meta["recorded"]) if store.in_use() and store.file.exists() else 0.0
    except (OSError, sqlite3.Error) as problem:
        yield error(f"{path} can not be read: {problem}")
        return
    if late > BEHIND:
        yield warning(f"the history is {late:.0f} s behind the store: the server's log says why")
    else:
        yield ok(f"{path} knows the states since {timestamp(meta['since'])}")


def _late(store: DataDirectory, recorded: int) -> float:
    """Seconds by which the history of a running server is behind."""
    with contextlib.closing(store.connect()) as db:
        try:
            row = db.execute(FIRST, (recorded,)).fetchone()
        except sqlite3.OperationalError:  # a store whose history is not kept has no such column
            return 0.0
    return 0.0 if row is None else time.time() - time_of(row[0]) / 1000 - SETTLED
