"""Objects by their controller and namespace, kept by a watch: no reconciliation looks at all objects."""

from collections.abc import Callable, Iterable
from sys import intern
from typing import Generic, TypeVar

from pilothouse.api.values.fields import Object
from pilothouse.process.frozen import frozen
from pilothouse.registry.client import Client
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import decode
from pilothouse.storage._entry import Entry


@frozen(kw_only=True)
class Indexed:
    """The members of one version of an object by which controllers find it;
    `owner` is its controller's uid."""

    key: str
    namespace: str
    name: str
    uid: str
    labels: dict[str, str]
    owner: str
    owner_kind: str
    owner_name: str
    created: str
    deleting: str


F = TypeVar("F", bound=Indexed)


def identity(key: str, obj: Object) -> Object:
    """The members of Indexed, as arguments. Objects of one owner share their texts."""
    metadata = obj["metadata"]
    owner: Object = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), {})
    return {
        "key": key,
        "namespace": intern(metadata.get("namespace", "")),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "labels": {intern(key): intern(value) for key, value in (metadata.get("labels") or {}).items()},
        "owner": intern(owner.get("uid", "")),
        "owner_kind": intern(owner.get("kind", "")),
        "owner_name": intern(owner.get("name", "")),
        "created": intern(metadata.get("creationTimestamp") or ""),
        "deleting": metadata.get("deletionTimestamp") or "",
    }


def plain_facts(key: str, obj: Object) -> Indexed:
    """The facts of an object of which no more is looked at."""
    return Indexed(**identity(key, obj))


def follow(
    client: Client, resource: Resource, changed: Callable[[Entry | None, Entry | None], None]
) -> Callable[[], None]:
    """Call back with (new, old): at once for each object, then for each change,
    until the result is called."""
    cache = client.store.cache(resource)
    for entry in cache.list(resource.key_prefix, None).entries:
        changed(entry, None)
    stop: Callable[[], None] = cache.subscribe(changed)
    return stop


class ObjectIndex(Generic[F]):
    """The facts of the objects of one resource. Controllers share it:
    each version is decoded once for all."""

    def __init__(self, client: Client, resource: Resource, read: Callable[[str, Object], F]) -> None:
        self.client = client
        self.resource = resource
        self._read = read
        self._facts: dict[str, F] = {}
        self._owned: dict[str, dict[str, F]] = {}
        self._strays: dict[str, dict[str, F]] = {}
        self._spaces: dict[str, dict[str, F]] = {}
        self._listeners: list[Callable[[F | None, F | None], None]] = []
        self._users = 0
        self._stop: Callable[[], None] | None = None

    def follow(self) -> Callable[[], None]:
        """Know the objects until the result is called; what nobody follows any more is forgotten."""
        self._users += 1
        if self._stop is None:
            self._stop = follow(self.client, self.resource, self._changed)
        return self._leave

    def _leave(self) -> None:
        self._users -= 1
        if self._users == 0 and self._stop is not None:
            self._stop()
            self._stop = None
            for facts in list(self._facts.values()):
                self.drop(facts)
            self._facts.clear()

    def listen(self, listener: Callable[[F | None, F | None], None]) -> Callable[[], None]:
        """Call back with (new, old): at once for each object, then for each change,
        until the result is called."""
        leave = self.follow()
        for facts in list(self._facts.values()):
            listener(facts, None)
        self._listeners.append(listener)

        def stop() -> None:
            self._listeners.remove(listener)
            leave()

        return stop

    def owned(self, uid: str) -> list[F]:
        """The objects whose controller has this uid."""
        return list(self._owned.get(uid, {}).values())

    def strays(self, namespace: str) -> list[F]:
        """The objects of a namespace without a controller."""
        return list(self._strays.get(namespace, {}).values())

    def among(self, namespace: str) -> list[F]:
        """All objects of a namespace."""
        return list(self._spaces.get(namespace, {}).values())

    def all(self) -> Iterable[F]:
        """All objects."""
        return self._facts.values()

    def find(self, namespace: str, name: str) -> F | None:
        """The facts of one object."""
        return self._facts.get(self.resource.key(namespace, name))

    def object(self, facts: Indexed) -> Object | None:
        """The object itself, which is shared and must not be changed."""
        return self.client.readers.get(self.resource.group_resource, facts.namespace, facts.name)

    def _changed(self, new: Entry | None, old: Entry | None) -> None:
        key = new.key if new is not None else old.key if old is not None else ""
        before = self._facts.pop(key, None)
        after = self._read(key, decode(new)) if new is not None else None
        if before is not None:
            self.drop(before)
        if after is not None:
            self._facts[key] = after
            self.keep(after)
        for listener in list(self._listeners):
            listener(after, before)

    def keep(self, facts: F) -> None:
        """Add an object to the groups in which it is found."""
        self._spaces.setdefault(facts.namespace, {})[facts.key] = facts
        if facts.owner:
            self._owned.setdefault(facts.owner, {})[facts.key] = facts
        else:
            self._strays.setdefault(facts.namespace, {})[facts.key] = facts

    def drop(self, facts: F) -> None:
        """Take an object out of its groups."""
        remove(self._spaces, facts.namespace, facts.key)
        if facts.owner:
            remove(self._owned, facts.owner, facts.key)
        else:
            remove(self._strays, facts.namespace, facts.key)


def remove(groups: dict[str, dict[str, F]], name: str, key: str) -> None:
    """Take an object out of one group, and the group away when it is empty."""
    members = groups[name]
    del members[key]
    if not members:
        del groups[name]
