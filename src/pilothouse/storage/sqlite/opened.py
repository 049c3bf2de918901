"""The embedded store as the flags configure it, and what looks after it (storage/backends.py)."""

from collections.abc import Mapping
from pathlib import Path

from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.storage.compaction import upkeep
from pilothouse.storage.interface import Storage
from pilothouse.storage.sqlite.backend import SqliteStorage

__all__ = ["open_storage", "upkeep"]


def open_storage(options: StoreOptions, directory: Path, routes: Mapping[str, str]) -> Storage:
    """The store, not started."""
    return SqliteStorage(directory, authors=options.keeps_history)
