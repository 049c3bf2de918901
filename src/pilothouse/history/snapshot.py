"""Copies of the history file that belong to a snapshot of the store.

The copy is made after that of the store, so it may know later changes; a restore drops them. The store
compacts nothing that the history has not taken over, so there is no gap between the two.
"""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pilothouse.gotext import quote
from pilothouse.history.file import FILE, FORMAT, HistoryError, connect, drop
from pilothouse.storage.sqlite.untrusted import restrict

SUFFIX = ".history"


class HistorySummary(NamedTuple):
    """A summary of a history file. since_ms: the time from which on states are known, since 1970."""

    changes: int
    objects: int
    size: int
    since_ms: int


def beside(snapshot: Path) -> Path:
    """The file that has the history of a snapshot."""
    return snapshot.with_name(snapshot.name + SUFFIX)


def save(directory: Path, target: Path) -> HistorySummary:
    """Copy the history of a data directory, also while a server uses it.

    FileExistsError when there is such a file, HistoryError when there is no history or it cannot be read. The
    file is there as a whole or not at all.
    """
    source, part = directory / FILE, target.with_name(f".{target.name}.part")
    if target.exists():
        raise FileExistsError(errno.EEXIST, "it is there already, and is not overwritten", str(target))
    if not source.exists():
        raise HistoryError(f"{source} does not exist: no history is kept")
    part.unlink(missing_ok=True)
    try:
        with _opened(source) as db:
            db.execute("VACUUM INTO ?", (os.fspath(part),))
        part.chmod(0o600)
        os.link(part, target)
    finally:
        part.unlink(missing_ok=True)
    return summary(target)


def restore(source: Path, directory: Path, newest: int) -> HistorySummary:
    """Put a copy into a data directory that has no history. `newest` is the id of the last row of its store;
    later changes are dropped. FileExistsError, HistoryError."""
    target = directory / FILE
    if target.exists():
        raise FileExistsError(errno.EEXIST, "it is there already, and is not overwritten", str(target))
    summary(source)
    part = target.with_name(f".{FILE}.part")
    part.unlink(missing_ok=True)
    try:
        with _opened(source) as db:
            db.execute("VACUUM INTO ?", (os.fspath(part),))
        part.chmod(0o600)
        with contextlib.closing(connect(part)) as db, db:
            drop(db, "id > ?", newest)
            db.execute(
                "UPDATE meta SET number = min(number, ?) WHERE name IN ('recorded', 'trimmed')", (newest,)
            )
        os.link(part, target)
    except sqlite3.Error as error:
        raise HistoryError(f"{source} can not be restored: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return summary(target)


def summary(path: Path) -> HistorySummary:
    """The summary of a history file. HistoryError when it is damaged or of another format."""
    with _opened(path) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version != FORMAT:
            raise HistoryError(f"{path} has format {version}, this version reads {FORMAT}")
        for kind, name in db.execute("SELECT type, name FROM sqlite_master"):
            if kind not in ("table", "index"):
                raise HistoryError(
                    f"{path} is no history: the {kind} {quote(str(name))} is not one of a history"
                )
        (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise HistoryError(f"{path} is damaged: {said}")
        (changes,), (objects,) = (
            db.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("changes", "objects")
        )
        (since,) = db.execute("SELECT number FROM meta WHERE name = 'since'").fetchone()
        return HistorySummary(changes, objects, path.stat().st_size, since)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(connect(path, read_only=True)) as db:
            restrict(db, path.stat().st_size)
            yield db
    except sqlite3.Error as error:
        raise HistoryError(f"{path} can not be read: {error}") from error
