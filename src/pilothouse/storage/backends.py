"""Opens the store that the flags name, and what looks after it.

Each kind of store (configuration/backends.py) has a module with two functions,
`open_storage` and `upkeep`, imported where it is used.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from pilothouse.api.values.clock import SYSTEM, ServerClock
from pilothouse.configuration.backends import BACKENDS, StorageBackend
from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.lifecycle import Background
from pilothouse.storage.interface import Storage, Unavailable


class HealthChecks(Protocol):
    """Takes the checks of a store that clients and load balancers ask for (endpoints/documents/health.py)."""

    def add_check(self, name: str, check: Callable[[], None], *, endpoints: tuple[str, ...] = ...) -> None:
        """Add a check, which raises an error when it fails; `endpoints`: healthz, livez, readyz."""


class Module(Protocol):
    """A kind of store."""

    def open_storage(
        self, options: StoreOptions, directory: Path, routes: Mapping[str, str], clock: ServerClock
    ) -> Storage:
        """The store, not started. `directory` is the data directory.
        `routes` are the Unix sockets that lead to its addresses, by URL.
        Embedded stores let keys expire by `clock`."""

    def upkeep(self, storage: Storage, options: StoreOptions, checks: HealthChecks) -> list[Background]:
        """The background work beside the store."""


def open_storage(
    options: StoreOptions,
    directory: Path,
    routes: Mapping[str, str] | None = None,
    clock: ServerClock = SYSTEM,
) -> Storage:
    """The store that the flags ask for, not started; Unavailable when what it needs is not installed."""
    return _module(BACKENDS[options.backend]).open_storage(options, directory, routes or {}, clock)


def upkeep(storage: Storage, options: StoreOptions, checks: HealthChecks) -> list[Background]:
    """The background work beside a store of the kind that the flags ask for:
    compaction, a check whether it answers."""
    return _module(BACKENDS[options.backend]).upkeep(storage, options, checks)


def _module(backend: StorageBackend) -> Module:
    try:
        return cast(Module, import_module(f"pilothouse.storage.{backend.module}"))
    except ImportError as error:
        raise Unavailable(
            f"the store needs another package: pip install pilothouse[{backend.missing}] ({error})"
        ) from error
