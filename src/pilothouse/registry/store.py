"""Reads objects from the watch cache by key; registry/write.py has the writes."""

from collections.abc import Awaitable, Callable

from pilothouse import errors
from pilothouse.api._json import splice
from pilothouse.api._stored import loads
from pilothouse.api.values import names
from pilothouse.api.values.fields import Object
from pilothouse.configuration.sections.store import OBJECT_LIMIT
from pilothouse.registry.fields import extractor
from pilothouse.registry.object_metrics import ObjectMetrics
from pilothouse.registry.resource import Resource
from pilothouse.registry.storage_errors import unavailable
from pilothouse.registry.strategy import WriteContext
from pilothouse.storage import interface
from pilothouse.storage._entry import Entry
from pilothouse.storage.watchcache import Cacher, ResourceCache

CATCH_UP = 3.0
"""Seconds for the cache to take in what the store has."""


class Store:
    """Objects of every resource, by key; `storage` holds them and `cacher` serves the reads."""

    def __init__(
        self,
        storage: interface.Storage,
        cacher: Cacher,
        object_limit: int = OBJECT_LIMIT,
        stale: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """`object_limit`: bytes that a stored object may have at the most.
        `stale` tells of a key whether its value is to be written anew though it
        has not changed, as after a change of the encryption; None = none is."""
        self.storage = storage
        self.cacher = cacher
        self.object_limit = object_limit
        self.stale = stale
        self.author: Callable[[WriteContext, str], bytes] | None = None
        """Tells who writes, by a write's context and field manager; None where the store does not keep it."""
        self.metrics = ObjectMetrics()
        self._caches: dict[str, ResourceCache] = {}
        self.fresh: Callable[[], Awaitable[None]] | None = self._catch_up if storage.others_write else None
        """Waits until the caches are as new as the store; None where they always are.
        Concurrent callers share one read."""

    def cache(self, resource: Resource) -> ResourceCache:
        """The watch cache of what is stored for a resource."""
        found = self._caches.get(resource.key_prefix)
        if found is None:
            stored = resource.storage or resource
            found = self.cacher.resource(stored.key_prefix, extractor(stored), stored.indexed)
            self._caches[resource.key_prefix] = found
        return found

    def forget(self, resource: Resource) -> None:
        """Drop the cache of a resource that is no longer served."""
        self._caches.pop(resource.key_prefix, None)

    def readable(self, resource: Resource, prefix: str = "") -> ResourceCache:
        """Like cache(), for readers of all objects or all under a prefix;
        InternalError when one of them cannot be read."""
        if self.cacher.unreadable:
            prefix = prefix or (resource.storage or resource).key_prefix
            for key, error in self.cacher.unreadable.items():
                if key.startswith(prefix):
                    raise unavailable(error.in_list())
        cache = self._caches.get(resource.key_prefix)
        return self.cache(resource) if cache is None else cache

    def get(self, resource: Resource, key: str) -> Entry | None:
        """The newest cached state of an object; InternalError when what is stored cannot be read."""
        if key in self.cacher.unreadable:
            raise unavailable(self.cacher.unreadable[key])
        cache = self._caches.get(resource.key_prefix)
        return (self.cache(resource) if cache is None else cache).get(key)

    def served(self, resource: Resource, kv: interface.KeyValue) -> bytes:
        """The bytes of a write as they are served; the cache most often has them already."""
        entry = self.cache(resource).get(kv.key)
        if entry is not None and entry.rev == kv.mod:
            return entry.value
        return splice(kv.value, kv.mod)

    def entry(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        """Like get(), by namespace and name."""
        return self.get(resource, resource.key(namespace, name))

    def find(self, resource: Resource, namespace: str, name: str) -> Entry:
        """Like entry(), but a missing object is a NotFound."""
        entry = self.get(resource, key_of(resource, namespace, name))
        if entry is None:
            raise errors.not_found(resource.group, resource.plural, name)
        return entry

    async def _catch_up(self) -> None:
        try:
            revision = await self.storage.current_revision()
        except interface.StorageError as err:
            raise unavailable(err) from err
        if not await self.cacher.wait_for(revision, CATCH_UP):
            raise unavailable(interface.Unavailable("the cache does not keep up with the store"))

    async def refresh(self, key: str) -> None:
        """Wait until the cache has what the store has, after a lost compare-and-set."""
        await self._catch_up()


def decode(entry: Entry) -> Object:
    """A fresh dict of a cached object."""
    out: Object = loads(entry.value)
    return out


def key_of(resource: Resource, namespace: str, name: str) -> str:
    """The storage key; BadRequest when the name can be no path segment (apiserver NamespaceKeyFunc)."""
    if resource.namespaced and not namespace:
        raise errors.BadRequest("Namespace parameter required.")
    if not name:
        raise errors.BadRequest("Name parameter required.")
    if name[0] == "." or "/" in name or "%" in name:
        why = names.path_segment(name, False)
        if why:
            raise errors.BadRequest(f'Name parameter invalid: "{name}": {";".join(why)}')
    return resource.key(namespace, name)
