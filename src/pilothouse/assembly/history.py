"""Makes the history that the flags ask for."""

from pathlib import Path
from typing import cast

from pilothouse.assembly.storage import Registry
from pilothouse.audit.sources import source_ips
from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.history.foreign import OthersStorage
from pilothouse.history.history import History
from pilothouse.history.policy import HistoryPolicy, load
from pilothouse.history.resources import resources
from pilothouse.lifecycle import Opened
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.offload import Turns
from pilothouse.storage.interface import Storage
from pilothouse.storage.sqlite.backend import SqliteStorage


async def open_history(
    options: StoreOptions,
    storage: Storage,
    registry: Registry,
    turns: Turns,
    metrics: MetricsRegistry,
    opened: Opened,
    *,
    directory: Path,
) -> History | None:
    """The history, which keeps changes from now on; None where no flag asks for one. `storage` is open."""
    if not options.keeps_history:
        return None
    path = options.history_policy_file
    history = History(
        cast("SqliteStorage | OthersStorage", storage),  # the flags have been checked
        directory,
        registry.catalog,
        load(path) if path else HistoryPolicy(),
        to_json=registry.to_json,
        ciphers=registry.ciphers,
        turns=turns,
        sources=source_ips,
    )
    await history.start(opened)
    metrics.add(history.recorder.metrics)
    registry.store.author = history.authors
    for resource in resources():
        registry.catalog.add(resource)
    return history
