"""The store in etcd as the flags configure it, and what looks after it (storage/backends.py)."""

from collections.abc import Mapping
from pathlib import Path

from pilothouse.api.values.clock import SYSTEM, ServerClock
from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.lifecycle import Background
from pilothouse.storage.backends import HealthChecks
from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.storage.etcd.compaction import EtcdCompaction
from pilothouse.storage.etcd.health import EtcdHealth
from pilothouse.storage.etcd.rpc import TLS
from pilothouse.storage.interface import Storage


def open_storage(
    options: StoreOptions, directory: Path, routes: Mapping[str, str], clock: ServerClock = SYSTEM
) -> EtcdStorage:
    """The store, not started. Its keys expire by the time of etcd."""
    tls = TLS(options.etcd_cafile, options.etcd_certfile, options.etcd_keyfile)
    reuse = options.lease_reuse_duration_seconds
    return EtcdStorage(options.etcd_servers, tls, options.etcd_prefix, reuse, routes)


def upkeep(storage: Storage, options: StoreOptions, checks: HealthChecks) -> list[Background]:
    """Compaction, and looks whether etcd answers."""
    assert isinstance(storage, EtcdStorage)  # as open_storage() makes it
    ready = EtcdHealth(storage, options.etcd_readycheck_timeout)
    alive = ready
    if options.etcd_healthcheck_timeout != options.etcd_readycheck_timeout:
        alive = EtcdHealth(storage, options.etcd_healthcheck_timeout)
    checks.add_check("etcd", alive.check)
    checks.add_check("etcd-readiness", ready.check, endpoints=("readyz",))
    out: list[Background] = [ready] if alive is ready else [ready, alive]
    return [*out, EtcdCompaction(storage, options.etcd_compaction_interval)]
