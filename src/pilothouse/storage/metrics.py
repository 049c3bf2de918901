"""The metrics of the store and of the watch cache, under upstream's names
(apiserver storage/etcd3/metrics and storage/cacher/metrics)."""

from collections.abc import Callable

from pilothouse.metrics._instruments import Distribution
from pilothouse.metrics.instruments import Counter, Gauge, Group, Histogram, Labels
from pilothouse.storage._watchcache import CAPACITY, ResourceCache
from pilothouse.storage._watchers import DELAYS
from pilothouse.storage.interface import Storage, StorageError
from pilothouse.storage.watchcache import Cacher

SECONDS = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip
PREFIX = "apiserver_watch_cache"
KIND = ("group", "resource")

Source = Callable[[], dict[Labels, float]]

ResourceOf = Callable[[str], str]
"""Tells which resource (`secrets`, `deployments.apps`) a key belongs to; "" for none."""


class StorageMetrics(Group):
    """The requests to a store, and the bytes that it takes."""

    def __init__(self, storage: Storage, resource_of: ResourceOf) -> None:
        self._storage = storage
        self._resource_of = resource_of
        self._series: dict[tuple[str, str], Distribution] = {}
        """Operation and resource -> the series of `seconds`."""
        labels = ("group", "operation", "resource")
        self.seconds = Histogram(
            "etcd_request_duration_seconds", "[ALPHA] Seconds of requests to the store.", labels, SECONDS
        )
        self.requests = Counter(
            "etcd_requests_total", "[ALPHA] Requests to the store.", labels, self.seconds.counts
        )
        self.errors = Counter(
            "etcd_request_errors_total", "[ALPHA] Requests that the store did not answer.", labels
        )
        self.size = Gauge(
            "apiserver_storage_size_bytes",
            "[STABLE] Bytes that the store takes.",
            ("storage_cluster_id",),
            joined=max,
        )

        self.full = Gauge(
            "pilothouse_storage_full",
            "[ALPHA] 1 while the store accepts only deletions, for want of space.",
            (),
            lambda: {(): int(storage.full)},
            joined=max,
        )
        self.database_size = Gauge(
            "apiserver_storage_db_total_size_in_bytes",
            "[ALPHA] Bytes that the store takes.",
            ("endpoint",),
            self._database_size,
            deprecated="1.28.0",
            joined=max,
        )

    def _database_size(self) -> dict[Labels, float]:
        return {("",): size for (_,), size in self.size.values.items()}  # noqa: B035 -- there is one at most

    def observe(self, operation: str, key: str, seconds: float, failed: bool) -> None:
        """Count a request about a key."""
        name = self._resource_of(key)
        series = self._series.get((operation, name))
        if series is None:
            group, resource = _kind(name)
            series = self._series[operation, name] = self.seconds.series(group, operation, resource)
        series.observe(seconds)
        if failed:
            group, resource = _kind(name)
            self.errors.inc(group, operation, resource)

    async def refresh(self) -> None:
        self.size.values.clear()
        try:
            self.size.set(await self._storage.size(), "etcd-0")
        except StorageError:  # then there is no size to be shown
            pass


class WatchCacheMetrics(Group):
    """Metrics of what the watch caches hold and have passed on; the caches themselves count all of it."""

    def __init__(self, cacher: Cacher, resource_of: ResourceOf) -> None:
        self._cacher = cacher
        self._resource_of = resource_of
        self._declare_objects()
        self._declare_events()
        self._declare_cache(cacher)
        self._declare_lists()
        self._declare_totals(cacher)
        self.capacity = Gauge(
            "watch_cache_capacity",
            "[ALPHA] Changes that a cache remembers at most.",
            KIND,
            self._each(lambda cache: CAPACITY),
            joined=max,
        )

    def _declare_objects(self) -> None:
        self.objects = Gauge(
            "apiserver_resource_objects",
            "[ALPHA] Stored objects.",
            KIND,
            self._each(lambda cache: cache.count),
            joined=max,
        )
        self.storage_objects = Gauge(
            "apiserver_storage_objects",
            "[STABLE] Stored objects.",
            ("resource",),
            self._storage_objects,
            joined=max,
            deprecated="1.34.0",
        )

    def _declare_events(self) -> None:
        received = self._happened(
            lambda cache: cache.received
        )  # a cache offers a change to its watches at once
        self.stored_events = Counter(
            "apiserver_storage_events_received_total",
            "[BETA] Changes that the store has reported.",
            KIND,
            received,
        )
        self.received = Counter(
            f"{PREFIX}_events_received_total",
            "[ALPHA] Changes that a cache has taken in.",
            KIND,
            received,
        )
        self.dispatched = Counter(
            f"{PREFIX}_events_dispatched_total",
            "[ALPHA] Changes that a cache has offered to its watches.",
            KIND,
            received,
        )
        self.initial = Counter(
            "apiserver_init_events_total",
            "[ALPHA] Events for objects that existed when a watch began.",
            KIND,
            self._happened(lambda cache: cache.initial_events),
        )
        self.terminated = Counter(
            "apiserver_terminated_watchers_total",
            "[ALPHA] Watches that were ended as their clients were too slow.",
            KIND,
            self._happened(lambda cache: cache.terminated),
        )

    def _declare_cache(self, cacher: Cacher) -> None:
        self.initializations = Counter(
            f"{PREFIX}_initializations_total",
            "[ALPHA] Times that a cache was filled from the store.",
            KIND,
            self._each(lambda cache: cacher.initializations),
        )
        self.revision = Gauge(
            f"{PREFIX}_resource_version",
            "[ALPHA] The revision that a cache has reached.",
            KIND,
            self._each(lambda cache: cacher.revision),
            joined=max,
        )
        self.bookmarks = Counter(
            "etcd_bookmark_total",
            "[ALPHA] Reports of the store's revision without a change.",
            KIND,
            self._happened(lambda cache: cacher.progress),
        )
        self.undecoded = Counter(
            "apiserver_storage_decode_errors_total",
            "[ALPHA] Stored values that could not be read.",
            KIND,
            self._happened(lambda cache: cache.undecoded),
        )
        self.sizes = Gauge(
            "apiserver_resource_size_estimate_bytes",
            "[ALPHA] Bytes of the stored objects, as they are served.",
            KIND,
            self._each(lambda cache: cache.stored_bytes),
            joined=max,
        )

    def _declare_lists(self) -> None:
        found, name = ("group", "index", "resource"), "apiserver_cache_list"
        self.lists = Counter(
            f"{name}_total", "[ALPHA] Lists that a cache answered.", found, lambda: self._listed(0)
        )
        self.list_fetched = Counter(
            f"{name}_fetched_objects_total",
            "[ALPHA] Objects that a cache looked at for lists.",
            found,
            lambda: self._listed(1),
        )
        self.list_returned = Counter(
            f"{name}_returned_objects_total",
            "[ALPHA] Objects in the lists that a cache answered.",
            KIND,
            self._happened(lambda cache: sum(returned for _, _, returned in cache.listed.values())),
        )
        name = "apiserver_storage_list"
        self.store_lists = Counter(
            f"{name}_total",
            "[ALPHA] Lists that were read from the store.",
            KIND,
            self._happened(lambda cache: cache.from_store[0]),
        )
        self.store_fetched = Counter(
            f"{name}_fetched_objects_total",
            "[ALPHA] Objects that were read from the store for lists.",
            KIND,
            self._happened(lambda cache: cache.from_store[1]),
        )
        self.store_evaluated = Counter(
            f"{name}_evaluated_objects_total",
            "[ALPHA] Objects from the store that a list's selector was applied to.",
            KIND,
            self._happened(lambda cache: cache.from_store[2]),
        )
        self.store_returned = Counter(
            f"{name}_returned_objects_total",
            "[ALPHA] Objects in the lists that were read from the store.",
            KIND,
            self._happened(lambda cache: cache.from_store[3]),
        )

    def _declare_totals(self, cacher: Cacher) -> None:
        name = "pilothouse_watch_cache"
        self.object_bytes = Gauge(
            f"{name}_object_bytes",
            "[ALPHA] Bytes of the objects in all caches, as they are served.",
            (),
            lambda: {(): sum(cache.stored_bytes for cache in cacher.resources())},
        )
        self.ring_bytes = Gauge(
            f"{name}_ring_bytes",
            "[ALPHA] Bytes of the recent changes that all caches remember, roughly.",
            (),
            lambda: {(): sum(cache.ring_bytes for cache in cacher.resources())},
        )
        self.delays = Histogram(
            "pilothouse_watch_delivery_seconds",
            "[ALPHA] Seconds from a change until the connections of its watches took it.",
            (),
            DELAYS,
            lambda: {(): cacher.delays},
        )

    def _listed(self, which: int) -> dict[Labels, float]:
        out: dict[Labels, float] = {}
        for cache in self._cacher.resources():
            group, resource = _kind(self._resource_of(cache.prefix))
            for index, counts in cache.listed.items():
                out[group, index, resource] = counts[which]
        return out

    def _each(self, value: Callable[[ResourceCache], float]) -> Source:
        """A value of each cache."""
        return lambda: self._values(value)

    def _happened(self, value: Callable[[ResourceCache], float]) -> Source:
        """A value of each cache in which it is not zero."""
        return lambda: {labels: count for labels, count in self._values(value).items() if count}

    def _values(self, value: Callable[[ResourceCache], float]) -> dict[Labels, float]:
        return {_kind(self._resource_of(cache.prefix)): value(cache) for cache in self._cacher.resources()}

    def _storage_objects(self) -> dict[Labels, float]:
        return {(self._resource_of(cache.prefix),): cache.count for cache in self._cacher.resources()}


def _kind(name: str) -> tuple[str, str]:
    """Group and resource of `deployments.apps`."""
    resource, _, group = name.partition(".")
    return group, resource
