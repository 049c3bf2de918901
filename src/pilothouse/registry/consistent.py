"""Consistent reads while other servers write to the same store (apiserver storage/cacher delegator).

A read waits until the watch cache has reached the store's revision. If that takes too long, it reads the
store.
"""

from time import perf_counter

from pilothouse import errors
from pilothouse.registry.metrics import ConsistentReadMetrics
from pilothouse.registry.resource import Resource
from pilothouse.registry.storage_errors import storage_error, unavailable
from pilothouse.registry.store import Store, key_of
from pilothouse.storage import interface
from pilothouse.storage._entry import Entry

CATCH_UP = 3.0
"""Seconds that a read waits for the watch cache."""


class ConsistentReads:
    """Waits until the caches are as new as the store. Concurrent requests share one check."""

    def __init__(self, store: Store, metrics: ConsistentReadMetrics) -> None:
        self.store = store
        self._metrics = metrics

    async def catch_up(self, resource: Resource) -> bool:
        """Wait for the caches, to read or write a resource; False if that takes too long. Raises
        ServiceUnavailable if the store does not answer."""
        try:
            revision = await self.store.storage.current_revision()
        except interface.Behind:
            return False
        except interface.StorageError as err:
            raise unavailable(err) from err
        began = perf_counter()
        try:
            return await self.store.cacher.wait_for(revision, CATCH_UP)
        finally:
            self._metrics.waits.observe(perf_counter() - began, resource.group, resource.plural)

    def count(self, resource: Resource, *, fallback: bool, success: bool) -> None:
        """Note how a read ended."""
        self._metrics.reads.inc(_BOOL[fallback], resource.group, resource.plural, _BOOL[success])


_BOOL = ("false", "true")


async def find(store: Store, resource: Resource, namespace: str, name: str) -> Entry:
    """Read an object from the store; raises NotFound."""
    key = key_of(resource, namespace, name)
    try:
        kv = await store.storage.get(key)
        if kv is not None:
            return store.cacher.entry(kv)
    except interface.StorageError as err:
        raise storage_error(resource, name, err) from err
    raise errors.not_found(resource.group, resource.plural, name)
