"""The embedded store as the flags configure it, and what looks after it (storage/backends.py)."""

from collections.abc import Mapping
from pathlib import Path

from pilothouse.api.values.clock import SYSTEM, ServerClock
from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.storage.compaction import upkeep
from pilothouse.storage.interface import Storage
from pilothouse.storage.keys import ROOT
from pilothouse.storage.sqlite.backend import SqliteStorage

__all__ = ["open_storage", "upkeep"]

NODE_LEASES = ROOT + "leases/kube-node-lease/"
"""The keys of the leases by which nodes tell that they are there. Those of leader elections are elsewhere."""


def open_storage(
    options: StoreOptions, directory: Path, routes: Mapping[str, str], clock: ServerClock = SYSTEM
) -> Storage:
    """The store, not started."""
    relaxed = NODE_LEASES if options.lease_durability == "relaxed" else ""
    return SqliteStorage(
        directory,
        clock.time,
        relaxed,
        call_later=clock.call_later,
        authors=options.keeps_history,
    )
