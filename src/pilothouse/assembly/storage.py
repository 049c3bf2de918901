"""Opens the storage that the flags configure,
with encryption and watch cache, and creates the store over it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pilothouse.api.values.clock import SYSTEM, ServerClock
from pilothouse.assembly.intervals import DEFAULT_INTERVALS, Intervals
from pilothouse.configuration.sections.store import OBJECT_LIMIT, StoreOptions
from pilothouse.endpoints.documents.health import Health
from pilothouse.lifecycle import Opened
from pilothouse.metrics.instruments import Group, MetricsRegistry
from pilothouse.outbound.dialer import Dialer
from pilothouse.outbound.tunnel import Tunnels
from pilothouse.registry import encoding
from pilothouse.registry.cached import CachedReaders
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.client_metrics import ClientMetrics
from pilothouse.registry.store import Store
from pilothouse.reload import Reloads
from pilothouse.storage.base_state import EMPTY, BaseState
from pilothouse.storage.interface import KeyValue, Storage
from pilothouse.storage.metered import MeteredStorage
from pilothouse.storage.metrics import StorageMetrics, WatchCacheMetrics
from pilothouse.storage.watchcache import RETRY, Cacher

if TYPE_CHECKING:
    from pilothouse.assembly.encryption import CipherMetrics
    from pilothouse.storage.encryption.backend import Encryption

ETCD_PORT = 2379
"""The port of a member whose URL has none."""


class Registry:
    """The objects of one cluster: their storage, the watch cache,
    the catalog of resources, store and readers.

    `transform` and `prepare` are the watch cache's: they make JSON of what is stored. `plain` is its, too: it
    says which values need no `transform`. So is `retry`. `stale` is the store's. `ciphers` encrypt at rest,
    None where nothing is encrypted. `base` is the state that the storage has in common with others.
    `clock` is the time of what is written.
    """

    def __init__(
        self,
        storage: Storage,
        catalog: Catalog,
        *,
        transform: Callable[[str, bytes], bytes] | None = None,
        prepare: Callable[[Sequence[KeyValue]], Awaitable[None]] | None = None,
        object_limit: int = OBJECT_LIMIT,
        retry: tuple[float, float] = RETRY,
        stale: Callable[[str], Awaitable[bool]] | None = None,
        ciphers: "Encryption | None" = None,
        base: BaseState = EMPTY,
        plain: bool = False,
        clock: ServerClock = SYSTEM,
    ) -> None:
        self.clock = clock
        self.ciphers = ciphers
        self.to_json = transform or _as_stored
        self.storage = storage
        self.catalog = catalog
        self.cacher = Cacher(storage, transform, prepare, retry=retry, base=base, plain=plain)
        self.store = Store(storage, self.cacher, object_limit, stale)
        self.readers = CachedReaders(self.store, catalog, base)
        self.client_metrics = ClientMetrics()
        """Metrics of the clients by which controllers read and write."""

    async def start(self, opened: Opened) -> None:
        """Open the storage and fill the watch cache."""
        opened.on_close("the storage", self.storage.close)
        await self.storage.start()
        opened.on_close("the watch cache", self.cacher.close)
        await self.cacher.start()


def _as_stored(key: str, value: bytes) -> bytes:
    return value


async def etcd_routes(options: StoreOptions, dialer: Dialer, opened: Opened) -> dict[str, str]:
    """A Unix socket for each member of etcd that leads there by `dialer`; gRPC cannot use one itself."""
    targets: dict[str, tuple[str, int]] = {}
    for url in options.etcd_servers:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("unix", "unixs"):
            targets[url] = parts.hostname or "", parts.port or ETCD_PORT
    tunnels = Tunnels(dialer, targets.values())
    opened.on_close("the way to etcd", tunnels.close)
    await tunnels.start()
    return {url: tunnels.path(*target) for url, target in targets.items()}


def registry_over(
    storage: Storage,
    catalog: Catalog,
    options: StoreOptions,
    *,
    counted: "CipherMetrics | None",
    health: Health,
    metrics: MetricsRegistry,
    reloads: Reloads,
    intervals: Intervals = DEFAULT_INTERVALS,
    clock: ServerClock = SYSTEM,
) -> Registry:
    """The registry. The storage is put behind encryption where that is configured, which `counted` is for."""
    base = getattr(storage, "base", EMPTY)
    resource_of = encoding.resources_by_key(catalog)
    own = getattr(storage, "metrics", None)
    if isinstance(own, Group):  # metrics that only this kind of store has
        metrics.add(own)
    storage = MeteredStorage(storage, metrics.add(StorageMetrics(storage, resource_of)), options.backend)
    if (
        not storage.others_write
    ):  # else all servers would leave the load balancer at once, and nobody could delete
        health.add_check("storage-space", _space(storage), endpoints=("readyz",))
    if counted is not None:
        from pilothouse.assembly.encryption import encrypted, encryption_of

        ciphers = encryption_of(options, resource_of, counted, reloads, intervals=intervals.kms)
        metrics.add(counted.encryption)
        if options.encryption_provider_config_automatic_reload or ciphers.remotes:
            health.add_check("kms-providers", ciphers.check, endpoints=("healthz", "readyz"))
            metrics.add(counted.envelope)
        stored, to_json = encrypted(storage, catalog, ciphers)
        registry = Registry(
            stored,
            catalog,
            transform=to_json,
            prepare=ciphers.prepare,
            object_limit=options.max_object_bytes,
            retry=intervals.unreadable,
            stale=stored.stale,
            ciphers=ciphers,
            base=base,
            clock=clock,
        )
    else:
        registry = Registry(
            storage,
            catalog,
            transform=encoding.reader(catalog),
            object_limit=options.max_object_bytes,
            base=base,
            plain=True,
            clock=clock,
        )
    metrics.add_later(lambda: WatchCacheMetrics(registry.cacher, resource_of))
    metrics.add(registry.client_metrics)
    metrics.add(registry.store.metrics)
    return registry


def _space(storage: Storage) -> Callable[[], None]:
    """The check of readyz whether a store has space."""

    def check() -> None:
        if storage.full:
            raise RuntimeError("the store has no space, it accepts only deletions")

    return check
