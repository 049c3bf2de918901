"""Copies of the store of all logical clusters that belong to a snapshot of the server's own store.

The copy is made after that of the server's own store: a cluster that is created between the two is missing as
a whole. A restored cluster continues at a revision far beyond the one that it had, as a restored store does.
"""

import asyncio
from pathlib import Path

from pilothouse.clusters.records import FOLDER, Records
from pilothouse.storage.interface import Unavailable
from pilothouse.storage.sqlite import check, snapshot
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.file import DataDirectory
from pilothouse.storage.sqlite.snapshot import SnapshotSummary

SUFFIX = ".clusters"


def beside(path: Path) -> Path:
    """The file that has the clusters of a snapshot."""
    return path.with_name(path.name + SUFFIX)


def exists(directory: Path) -> bool:
    """Whether a data directory has a store of logical clusters."""
    return DataDirectory(directory / FOLDER).file.exists()


def save(directory: Path, target: Path, progress: check.Progress = check.untold) -> SnapshotSummary:
    """Write a snapshot of the clusters of a data directory, also while a server uses it."""
    return snapshot.save(directory / FOLDER, target, progress)


def restore(
    path: Path, directory: Path, bump: int = snapshot.BUMP, progress: check.Progress = check.untold
) -> SnapshotSummary:
    """Put the clusters into a data directory that has neither them nor a store of its own, which comes next:
    a server must not find it without them. The revisions of clusters are raised by `bump` as well."""
    if (own := DataDirectory(directory).file).exists():
        raise Unavailable(f"{own} exists: a snapshot is restored into a directory without a store")
    restored = snapshot.restore(path, directory / FOLDER, bump, progress)
    if bump:
        asyncio.run(_raise(directory / FOLDER, bump))
    return restored


async def _raise(directory: Path, bump: int) -> None:
    journal = SqliteStorage(directory, keys_in_memory=False)
    await journal.start()
    try:
        await Records(journal).raise_by(bump)
    finally:
        await journal.close()
