"""The embedded store as the flags configure it, and what looks after it (storage/backends.py)."""

from collections.abc import Mapping

from pilothouse.configuration.config import Config
from pilothouse.storage.compaction import upkeep
from pilothouse.storage.interface import Storage
from pilothouse.storage.sqlite.backend import SqliteStorage

__all__ = ["open_storage", "upkeep"]


def open_storage(config: Config, routes: Mapping[str, str]) -> Storage:
    """The store, not started."""
    return SqliteStorage(config.data_directory)
