"""Readers over the watch cache; they keep decoded objects by resourceVersion."""

from collections.abc import Callable, Iterator
from functools import partial

from pilothouse.api.types import depth
from pilothouse.api.values._selectors import Selector
from pilothouse.api.values.fields import Object
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import Store, decode
from pilothouse.storage._entry import Entry

REMEMBERED = 8192
REMEMBERED_BYTES = 4 * 1024 * 1024
"""Bytes of JSON of the objects that are kept decoded; as dicts they take about six times as much memory."""


class _Stored(dict[str, Resource | None]):
    """Name of a resource (`deployments.apps`) -> the record that is stored, None where it is not served."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__()
        self._catalog = catalog

    def __missing__(self, name: str) -> Resource | None:
        found = self._catalog.by_group_resource(name)
        self[name] = found = found.storage or found if found is not None else None
        return found


class CachedReaders:
    """Implements readers.Readers over a store's watch caches."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self.store = store
        self.catalog = catalog
        self._decoded: dict[str, tuple[int, Object]] = {}
        self._bytes = 0
        self._told: tuple[tuple[Entry, Object], ...] = ()
        """The objects that subscribers were told of last."""
        self._resources = _Stored(catalog)
        catalog.changed.append(lambda group, version: self._resources.clear())

    def _decode(self, entry: Entry) -> Object:
        obj = depth.readable(entry.value)
        self._bytes += len(entry.value)
        if len(self._decoded) >= REMEMBERED or self._bytes > REMEMBERED_BYTES:
            self._decoded.clear()
            self._bytes = len(entry.value)
        self._decoded[entry.key] = (entry.rev, obj)
        return obj

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        found = self._resources[resource]
        entry = None if found is None else self.store.get(found, found.key(namespace, name))
        if entry is None:
            return None
        known = self._decoded.get(entry.key)
        return known[1] if known is not None and known[0] == entry.rev else self._decode(entry)

    def list(self, resource: str, namespace: str = "") -> Iterator[Object]:
        found = self._resources[resource]
        if found is None:
            return
        prefix = f"{found.key_prefix}{namespace}/" if namespace and found.namespaced else found.key_prefix
        for entry in self.store.readable(found, prefix).list(prefix, None).entries:
            known = self._decoded.get(entry.key)
            yield known[1] if known is not None and known[0] == entry.rev else self._decode(entry)

    def by_kind(self, group: str, version: str, kind: str) -> Resource | None:
        return self.catalog.by_kind(group, version, kind)

    def revision(self, resource: str) -> int:
        found = self._resources[resource]
        return self.store.cache(found).last_change if found is not None else 0

    def selected(
        self, resource: str, field: str, value: str
    ) -> Iterator[tuple[str, int, Callable[[], Object]]]:
        found = self._resources[resource]
        if found is None:
            return
        selector = Selector(fields=[(field, "=", value)])
        for entry in self.store.cache(found).list(found.key_prefix, selector).entries:
            yield entry.key, entry.rev, partial(decode, entry)

    def _shared(self, entry: Entry) -> Object:
        """The object of an entry that several subscribers are told of, decoded once for all of them."""
        for known, obj in self._told:
            if known is entry:
                return obj
        obj = decode(entry)
        self._told = (*self._told[-1:], (entry, obj))
        return obj

    def subscribe(self, resource: str, callback: Callable[[str, Object | None, Object | None], None]) -> None:
        found = self._resources[resource]
        if found is None:
            return

        def changed(new: Entry | None, old: Entry | None) -> None:
            key = new.key if new is not None else old.key if old is not None else ""
            before = self._shared(old) if old is not None else None
            callback(key, self._shared(new) if new is not None else None, before)

        cache = self.store.cache(found)
        for entry in cache.list(found.key_prefix, None).entries:
            changed(entry, None)
        cache.subscribe(changed)
