"""Reads that may not be stale, over a store that others write to (apiserver storage/cacher delegator).

The caches are brought up to the store's revision first. When they do not get there in time, the store itself is read.
"""

from pilothouse import errors
from pilothouse._watchcache import Entry
from pilothouse.registry.metrics import ConsistentReadMetrics
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import Store, key_of, storage_error, unavailable
from pilothouse.storage import interface

CATCH_UP = 3.0
"""Seconds for the cache to take in what the store has told."""


class ConsistentReads:
    """Makes the caches as new as the store; many who wait share one look at it."""

    def __init__(self, store: Store, metrics: ConsistentReadMetrics) -> None:
        self.store = store
        self._metrics = metrics

    async def catch_up(self) -> bool:
        """False when the store answers but the caches do not get as far in time; raises when it does not answer."""
        try:
            revision = await self.store.storage.current_revision()
        except interface.Behind:
            return False
        except interface.StorageError as err:
            raise unavailable(err) from err
        return await self.store.cacher.wait_for(revision, CATCH_UP)

    def count(self, resource: Resource, *, fallback: bool, success: bool) -> None:
        """Note how a read ended."""
        self._metrics.reads.inc(_BOOL[fallback], resource.group, resource.plural, _BOOL[success])


_BOOL = ("false", "true")


async def find(store: Store, resource: Resource, namespace: str, name: str) -> Entry:
    """An object as the store has it; NotFound when it has none."""
    key = key_of(resource, namespace, name)
    try:
        kv = await store.storage.get(key)
        if kv is not None:
            return store.cacher.entry(kv)
    except interface.StorageError as err:
        raise storage_error(resource, name, err) from err
    raise errors.not_found(resource.group, resource.plural, name)
