"""The store in etcd as the flags configure it, and what looks after it (storage/backends.py)."""

from collections.abc import Mapping

from pilothouse.configuration.config import Config
from pilothouse.lifecycle import Background
from pilothouse.storage.backends import Checks
from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.storage.etcd.compaction import EtcdCompaction
from pilothouse.storage.etcd.health import EtcdHealth
from pilothouse.storage.etcd.rpc import TLS
from pilothouse.storage.interface import Storage


def open_storage(config: Config, routes: Mapping[str, str]) -> EtcdStorage:
    """The store, not started."""
    tls = TLS(config.etcd_cafile, config.etcd_certfile, config.etcd_keyfile)
    reuse = config.lease_reuse_duration_seconds
    return EtcdStorage(config.etcd_servers, tls, config.etcd_prefix, reuse, routes)


def upkeep(storage: Storage, config: Config, checks: Checks) -> list[Background]:
    """Compaction, and looks whether etcd answers."""
    assert isinstance(storage, EtcdStorage)  # as open_storage() makes it
    ready = EtcdHealth(storage, config.etcd_readycheck_timeout)
    alive = ready
    if config.etcd_healthcheck_timeout != config.etcd_readycheck_timeout:
        alive = EtcdHealth(storage, config.etcd_healthcheck_timeout)
    checks.add_check("etcd", alive.check)
    checks.add_check("etcd-readiness", ready.check, endpoints=("readyz",))
    out: list[Background] = [ready] if alive is ready else [ready, alive]
    return [*out, EtcdCompaction(storage, config.etcd_compaction_interval)]
