"""Snapshots of the embedded store:
a copy of the database in one file, with its SHA-256 behind it as etcd's have.

A snapshot is made while a server writes: SQLite copies what one read transaction sees. A restored store
continues at a revision far behind the snapshot's, and its history begins there. So a client that has seen
later revisions than the snapshot's is told that its resourceVersion is gone and lists anew, instead of
missing what was written meanwhile (etcdutl snapshot restore --bump-revision --mark-compacted does the same).
"""

import contextlib
import errno
import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from pilothouse.process.frozen import frozen
from pilothouse.storage.interface import Unavailable
from pilothouse.storage.sqlite import check
from pilothouse.storage.sqlite.advance import advance, given_out
from pilothouse.storage.sqlite.file import BITS, HEADS, DataDirectory, newest_id, read_meta
from pilothouse.storage.sqlite.untrusted import restrict

HASH = hashlib.sha256().digest_size
"""Bytes of the hash at the end of a snapshot."""
CHUNK = 1 << 20
SHOWN = 100
"""Problems of a snapshot, at most."""
BUMP = 1_000_000_000
"""The distance of a restored store's revision from that of its snapshot."""
END = 1 << (63 - BITS)
"""The first revision that a row cannot have."""


class SnapshotError(Exception):
    """A file that is no sound snapshot; `problems` has a sentence for each thing that is wrong."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@frozen
class SnapshotSummary:
    """A summary of a database. `size` is in bytes, `hash` the SHA-256 of a snapshot in hexadecimal digits."""

    revision: int
    compacted: int
    keys: int
    rows: int
    size: int
    hash: str = ""


def save(directory: Path, target: Path, progress: check.Progress = check.untold) -> SnapshotSummary:
    """Write a snapshot of the store in a data directory, also while a server uses it.

    `progress` is told bytes. FileExistsError when there is such a file, Unavailable when there is no store or
    it cannot be read. The file is there as a whole or not at all.
    """
    if target.exists():
        raise FileExistsError(errno.EEXIST, "it is there already, and is not overwritten", str(target))
    data = DataDirectory(directory)
    if not data.file.exists():
        raise Unavailable(f"{data.file} does not exist")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        part = Path(folder) / "part"
        try:
            data.copy(part, lambda: progress(part.stat().st_size if part.exists() else 0, data.size()))
        except sqlite3.Error as error:
            raise Unavailable(f"{data.file} can not be copied: {error}") from error
        part.chmod(0o600)
        with _opened(part) as db:
            if found := list(check.definitions(db)):
                raise Unavailable(f"no snapshot of {data.file} could be restored: {'; '.join(found)}")
        with part.open("r+b") as file:
            digest = _digest(part, part.stat().st_size, progress)
            file.seek(0, os.SEEK_END)
            file.write(digest)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, target)  # unlike a rename, fails when the name was taken meanwhile
    _sync(target.parent)
    with _opened(target) as db:
        return summary(db, target.stat().st_size, digest.hex())


def verify(path: Path, progress: check.Progress = check.untold) -> SnapshotSummary:
    """The summary of a snapshot; SnapshotError when it is damaged, OSError when it cannot be read.

    `progress` is told bytes, then rows.
    """
    digest = verify_hash(path, progress)
    try:
        with _opened(path) as db:
            found = tuple(islice(check.problems(db, progress), SHOWN))
            if found:
                raise SnapshotError(*found)
            return summary(db, path.stat().st_size, digest)
    except sqlite3.Error as error:
        raise SnapshotError(f"the database cannot be read: {error}") from None


def verify_hash(path: Path, progress: check.Progress = check.untold) -> str:
    """The SHA-256 at the end of a snapshot, of etcd's as well, in hexadecimal digits;
    SnapshotError when it is wrong."""
    if not path.is_file():
        raise SnapshotError("it is no regular file")
    size = path.stat().st_size - HASH
    if size <= 0:
        raise SnapshotError("the file is too short for a snapshot")
    with path.open("rb") as file:
        file.seek(size)
        kept = file.read()
    if _digest(path, size, progress) != kept:
        raise SnapshotError(
            "the SHA-256 at the end of the file is not that of its content: it was changed or cut"
        )
    return kept.hex()


def restore(
    path: Path, directory: Path, bump: int = BUMP, progress: check.Progress = check.untold
) -> SnapshotSummary:
    """Put a verified snapshot into a data directory that has no store yet; its revision is raised by `bump`.

    SnapshotError when the snapshot is damaged; Unavailable when a server uses the directory or there is a
    store in it, or the journal of one, which SQLite would apply to what is restored.
    The store is there as a whole or not at all.
    """
    verified = verify(path, progress)
    data = DataDirectory(directory)
    data.lock()
    try:
        for file in (
            data.file,
            *(data.file.with_name(f"{data.file.name}-{log}") for log in ("wal", "journal")),
        ):
            if os.path.lexists(file):
                raise Unavailable(f"{file} exists: a snapshot is restored into a directory without a store")
        part = data.directory / ".state.db.part"
        part.unlink(missing_ok=True)
        try:
            if _copy(path, part, progress).hex() != verified.hash:
                raise SnapshotError("the file was changed while it was read")
            with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as db:
                if bump:
                    _bump(db, bump)
                out = summary(db, part.stat().st_size)
            _sync(part)
            os.replace(part, data.file)
        finally:
            part.unlink(missing_ok=True)
        _sync(data.directory)
        return out
    finally:
        data.unlock()


def summary(db: sqlite3.Connection, size: int, digest: str = "") -> SnapshotSummary:
    """The summary of a database of `size` bytes."""
    (keys,) = db.execute(f"SELECT count(*) FROM ({HEADS})").fetchone()
    (rows,) = db.execute("SELECT count(*) FROM history").fetchone()
    return SnapshotSummary(newest_id(db) >> BITS, read_meta(db)["compacted"], keys, rows, size, digest)


def _bump(db: sqlite3.Connection, bump: int) -> None:
    """Continue at a later revision, at which the history begins."""
    first = given_out(db) + bump
    if first >= END:
        raise SnapshotError(f"its revision would be {first}, and a store ends at {END}")
    advance(db, first)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database in a snapshot, read-only: SQLite does not look at the hash behind its last page."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    with contextlib.closing(db):
        restrict(db, path.stat().st_size)
        yield db


def _digest(path: Path, size: int, progress: check.Progress) -> bytes:
    out = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in _chunks(file, size, progress):
            out.update(chunk)
    return out.digest()


def _copy(snapshot: Path, target: Path, progress: check.Progress) -> bytes:
    """Copy the database of a snapshot without the hash, to a file that must not exist;
    the SHA-256 of what was copied."""
    size, out = snapshot.stat().st_size - HASH, hashlib.sha256()
    with snapshot.open("rb") as source, open(target, "xb", opener=private) as file:
        for chunk in _chunks(source, size, progress):
            file.write(chunk)
            out.update(chunk)
    return out.digest()


def _chunks(file: BinaryIO, size: int, progress: check.Progress) -> Iterator[bytes]:
    """The next `size` bytes of a file, or what is there of them."""
    left = size
    while left > 0 and (chunk := file.read(min(CHUNK, left))):
        yield chunk
        left -= len(chunk)
        progress(size - left, size)


def private(path: str, flags: int) -> int:
    """Open a file that only its owner may read; an opener for `open`."""
    return os.open(path, flags, 0o600)


def _sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a directory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
