"""Readers over the watch cache; they keep decoded objects by resourceVersion."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial

from pilothouse.api.types import depth
from pilothouse.api.values._selectors import Selector
from pilothouse.api.values.fields import Object
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.readers import J, T
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import Store, decode
from pilothouse.storage._entry import Entry
from pilothouse.storage.base_state import EMPTY, BaseState

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

    def __init__(self, store: Store, catalog: Catalog, base: BaseState = EMPTY) -> None:
        """`base` is the state that the store has in common with others: its objects are decoded once."""
        self.store = store
        self.catalog = catalog
        self._base = base
        self._decoded: dict[str, tuple[int, Object]] = {}
        self._bytes = 0
        self._told: tuple[tuple[Entry, Object], ...] = ()
        """The objects that subscribers were told of last."""
        self._resources = _Stored(catalog)
        catalog.changed.append(lambda group, version: self._resources.clear())

    def _is_in_common(self, entry: Entry) -> bool:
        return entry.rev <= self._base.revision and self._base.entries.get(entry.key) is entry

    def _decode(self, entry: Entry) -> Object:
        if entry.rev <= self._base.revision and self._base.entries.get(entry.key) is entry:
            return self._in_common(entry)
        obj = depth.readable(entry.value)
        self._bytes += len(entry.value)
        if len(self._decoded) >= REMEMBERED or self._bytes > REMEMBERED_BYTES:
            self._decoded.clear()
            self._bytes = len(entry.value)
        self._decoded[entry.key] = (entry.rev, obj)
        return obj

    def _in_common(self, entry: Entry) -> Object:
        known = self._base.decoded.get(entry.key)
        if known is None:
            known = self._base.decoded[entry.key] = depth.readable(entry.value)
        return known

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
        if entry.rev <= self._base.revision and self._base.entries.get(entry.key) is entry:
            return self._in_common(entry)
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

        changed = partial(self._tell, callback)
        cache = self.store.cache(found)
        for entry in cache.list(found.key_prefix, None).entries:
            changed(entry, None)
        cache.subscribe(changed)

    def follow(
        self, resource: str, callback: Callable[[str, Object | None, Object | None], None]
    ) -> Iterator[Object]:
        found = self._resources[resource]
        if found is None:
            return iter(())
        cache = self.store.cache(found)
        cache.subscribe(partial(self._tell, callback))
        return map(self._shared, cache.list(found.key_prefix, None).entries)

    def judged(self, name: Hashable, resources: Sequence[str], judge: Callable[[], J]) -> J | None:
        if not self._are_in_common(resources):
            return None
        known: J | None = self._base.judged.get(name)
        if known is None:
            known = self._base.judged[name] = judge()
        return known

    def _are_in_common(self, resources: Sequence[str]) -> bool:
        """Whether no object of these resources has changed since the state that the store has in common with
        others."""
        found = [one for resource in resources if (one := self._resources[resource]) is not None]
        return all(self.store.cacher.is_in_common(self.store.cache(one).prefix) for one in found)

    def _tell(
        self,
        callback: Callable[[str, Object | None, Object | None], None],
        new: Entry | None,
        old: Entry | None,
    ) -> None:
        key = new.key if new is not None else old.key if old is not None else ""
        before = self._shared(old) if old is not None else None
        callback(key, self._shared(new) if new is not None else None, before)

    def indexed(self, name: str, resources: Sequence[str], make: Callable[[], T]) -> T:
        known = self._base.indexes.get(name)
        if known is not None and self._are_in_common(resources):
            index: T = known[0].copy()
        else:
            index = self._indexed(name, resources, make)
        for resource in resources:
            self.follow(resource, partial(index.put, resource))
        return index

    def _indexed(self, name: str, resources: Sequence[str], make: Callable[[], T]) -> T:
        """An index of objects of which some are not in common with other stores."""
        found = [(resource, one) for resource in resources if (one := self._resources[resource]) is not None]
        listed = {
            resource: self.store.cache(one).list(one.key_prefix, None).entries for resource, one in found
        }
        known, left = self._index_in_common(name, listed, make)
        index = known.copy()
        for resource, entries in listed.items():
            for entry in entries:
                if left.pop(entry.key, None) is None or not self._is_in_common(entry):
                    index.put(resource, entry.key, self._shared(entry), None)
        for key, resource in left.items():
            index.put(resource, key, None, self._base.decoded[key])
        return index

    def _index_in_common(
        self, name: str, listed: Mapping[str, Sequence[Entry]], make: Callable[[], T]
    ) -> tuple[T, dict[str, str]]:
        """The index of the objects of the state that the store has in common with others, made by the first,
        and their keys with their resources: some of them may be missing, or have changed."""
        known = self._base.indexes.get(name)
        if known is None:
            index, keys = make(), {}
            for resource, entries in listed.items():
                for entry in filter(self._is_in_common, entries):
                    index.put(resource, entry.key, self._in_common(entry), None)
                    keys[entry.key] = resource
            if not keys:
                return index, {}
            known = self._base.indexes[name] = index, keys
        return known[0], dict(known[1])
