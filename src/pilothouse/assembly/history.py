"""Makes the history that the flags ask for. It is imported when they do."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from pilothouse.assembly.host import Host
from pilothouse.assembly.storage import Registry
from pilothouse.audit.sources import source_ips
from pilothouse.caches import CacheBudget
from pilothouse.configuration.addresses import advertised
from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.controllers.bootstrap import PEER, peer_address
from pilothouse.controllers.leases import IDENTITY
from pilothouse.history.foreign import OthersStorage
from pilothouse.history.history import History
from pilothouse.history.peers import Peers
from pilothouse.history.policy import HistoryPolicy, load
from pilothouse.history.resources import resources
from pilothouse.lifecycle import Opened
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.offload import Turns
from pilothouse.outbound.http import Trust
from pilothouse.storage.interface import Storage
from pilothouse.storage.sqlite.backend import SqliteStorage

ASK_SECONDS = 3.0
"""Seconds that another server has to answer."""


async def open_history(
    options: StoreOptions,
    storage: Storage,
    registry: Registry,
    turns: Turns,
    metrics: MetricsRegistry,
    opened: Opened,
    *,
    directory: Path,
    caches: CacheBudget,
) -> History:
    """The history, which keeps changes from now on. `storage` is open."""
    path = options.history_policy_file
    history = History(
        cast("SqliteStorage | OthersStorage", storage),  # the flags have been checked
        directory,
        registry.catalog,
        load(path) if path else HistoryPolicy(),
        to_json=registry.to_json,
        ciphers=registry.ciphers,
        turns=turns,
        caches=caches,
        sources=source_ips,
    )
    await history.start(opened)
    metrics.add(history.recorder.metrics)
    registry.store.author = history.authors
    for resource in resources():
        registry.catalog.add(resource)
    return history


def follow_peers(history: History, host: Host, registry: Registry, port: int, opened: Opened) -> None:
    """Learn from other servers of the store who has made their changes. port: the one of this server."""
    if history.foreign is None:
        return
    options, files = host.config.outbound, host.files
    own = peer_address(advertised(host.config.serving), port)

    def addresses() -> Iterator[str]:
        for lease in registry.readers.list("leases.coordination.k8s.io", "kube-system"):
            metadata = lease["metadata"]
            address = (metadata.get("annotations") or {}).get(PEER, "")
            if IDENTITY in (metadata.get("labels") or {}) and address not in ("", own):
                yield address

    def trust_now() -> Trust:
        return Trust(
            Path(options.peer_ca_file or files.ca_cert).read_bytes(),
            cert_file=options.kubelet_client_certificate,
            key_file=options.kubelet_client_key,
        )

    async def ask(address: str, path: str) -> bytes:
        url, trust = f"https://{address}{path}", await asyncio.to_thread(trust_now)
        return await host.clients.controlplane.exchange("GET", url, trust=trust, timeout=ASK_SECONDS)

    opened.start(Peers(history.foreign, addresses, ask))
