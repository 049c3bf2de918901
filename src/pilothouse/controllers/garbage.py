"""Garbage collection by owner references: background, foreground and orphan (kube-controller-manager's
garbagecollector).

Objects without owner references are cheap: the cached bytes are searched for the member name before they are
decoded.
"""

import asyncio

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client
from pilothouse.registry.deletion import FOREGROUND, ORPHAN
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import decode
from pilothouse.storage._entry import Entry

WAITS = [f'"{finalizer}"'.encode() for finalizer in (FOREGROUND, ORPHAN)]


class GarbageCollector(Background):
    """Indexes objects by their owners and acts when an owner is deleted or is being deleted."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.dependents: dict[str, set[str]] = {}
        self.owners: dict[str, tuple[str, ...]] = {}
        self._served: set[str] = set()
        """The prefixes of resources that have come to be served since the start."""
        self._prefixes: dict[str, Resource] = {}
        """The resources that are stored under them, once one is looked for."""
        self.objects = WorkQueue("garbage-objects", self._collect, metrics=client.metrics)
        self.deleting = WorkQueue("garbage-owners", self._finish, metrics=client.metrics)

    def start(self) -> None:
        """Follow every stored resource, including those that are added later."""
        self.client.catalog.changed.append(self._catalog_changed)
        self.client.store.cacher.subscribe_tied(self._changed)

    async def close(self) -> None:
        await self.objects.close()
        await self.deleting.close()

    def _catalog_changed(self, group: str, version: str) -> None:
        """Look at the objects of resources that were not served before, of which nobody was told."""
        for resource in self.client.catalog.resources(group, version):
            prefix = resource.key_prefix
            if not _is_collected(resource):
                continue
            if self._prefixes:
                self._prefixes[prefix] = resource.storage or resource
            if prefix in self._served:
                continue
            self._served.add(prefix)
            for entry in self.client.store.cache(resource).list(prefix, None).entries:
                if entry.owned or entry.deleting:
                    self._changed(entry, None)

    def _resource_of(self, key: str) -> Resource | None:
        """The resource of a key, found by the longest matching prefix."""
        if not self._prefixes:
            served = filter(_is_collected, self.client.catalog.all())
            self._prefixes = {one.key_prefix: one.storage or one for one in served}
        at = key.rfind("/")
        while at > 0:
            found = self._prefixes.get(key[: at + 1])
            if found is not None:
                return found
            at = key.rfind("/", 0, at)
        return None

    def _changed(self, new: Entry | None, old: Entry | None) -> None:
        entry = new or old
        resource = self._resource_of(entry.key) if entry is not None else None
        if resource is None or resource.strategy.garbage_collection == "unsupported":
            return
        if new is None:
            assert old is not None
            self._index(old.key, ())
            if self.dependents:
                self._owner_gone(decode(old)["metadata"]["uid"])
            return
        if new.owned:
            refs = decode(new)["metadata"].get("ownerReferences") or []
            owners = tuple(ref.get("uid", "") for ref in refs)
            if self._index(new.key, owners):
                self.objects.add(new.key)
        elif new.key in self.owners:
            self._index(new.key, ())
        if new.deleting and any(waits in new.value for waits in WAITS):
            finalizers = decode(new)["metadata"].get("finalizers") or []
            if FOREGROUND in finalizers or ORPHAN in finalizers:
                self.deleting.add(new.key)

    def _index(self, key: str, owners: tuple[str, ...]) -> bool:
        """Store an object's owners and return whether they changed.
        Requeues waiting owners that it no longer names."""
        before = self.owners.get(key, ())
        if before == owners:
            return False
        kept = set(owners)
        for uid in before:
            if uid not in kept:
                members = self.dependents.get(uid)
                if members is not None:
                    members.discard(key)
                    if not members:
                        del self.dependents[uid]
        for uid in owners:
            self.dependents.setdefault(uid, set()).add(key)
        if owners:
            self.owners[key] = owners
        else:
            del self.owners[key]
        return True

    def _owner_gone(self, uid: str) -> None:
        for key in self.dependents.get(uid, ()):
            self.objects.add(key)

    async def _collect(self, key: str) -> float | None:
        """Process a dependent: delete it if no owner exists, else remove its dangling references."""
        resource = self._resource_of(key)
        entry = self.client.store.get(resource, key) if resource is not None else None
        if resource is None or entry is None:
            return None
        obj = decode(entry)
        metadata = obj["metadata"]
        refs = metadata.get("ownerReferences") or []
        if not refs or (metadata.get("deletionTimestamp") and not metadata.get("finalizers")):
            return None
        namespace = metadata.get("namespace", "")
        solid, waiting, dangling = [], [], []
        owners: dict[tuple[str, str, str], Object | None] = {}  # caches each owner for repeated references
        for ref in refs:
            place = (ref.get("apiVersion", ""), ref.get("kind", ""), ref.get("name", ""))
            if place not in owners:
                owners[place] = self._owner(ref, namespace)
                await asyncio.sleep(0)  # yield to other tasks: owners may be many and large
            owner = owners[place]
            if owner is None or (owner is not _UNKNOWN and owner["uid"] != ref.get("uid")):
                dangling.append(ref["uid"])
            elif _in_foreground_deletion(owner) and ref.get("blockOwnerDeletion"):
                waiting.append(ref["uid"])
            else:
                solid.append(ref["uid"])
        if not dangling and not waiting:
            return None
        now = self.client.store.get(resource, key)
        if now is None or now.value != entry.value:  # it has changed since the decision was made
            self.objects.add(key)
            return None
        if solid:
            await self._drop_references(resource, namespace, metadata, {*dangling, *waiting})
        elif waiting and self.dependents.get(metadata["uid"]):
            await self._delete(resource, namespace, metadata, "Foreground")
        else:
            await self._delete(resource, namespace, metadata, _policy(metadata))
        return None

    def _owner(self, ref: Object, namespace: str) -> Object | None:
        """The metadata of the object that a reference names, whatever its uid; None if it does not exist."""
        group, _, version = ref.get("apiVersion", "").rpartition("/")
        resource = self.client.catalog.by_kind(group, version, ref.get("kind", ""))
        if resource is None:
            return _UNKNOWN  # the resource is not served now: nothing is known, so nothing is deleted
        if resource.namespaced and not namespace:
            return _UNKNOWN
        entry = self.client.store.entry(resource, namespace, ref.get("name", ""))
        if entry is None:
            return None
        metadata: Object = decode(entry)["metadata"]
        return metadata

    async def _delete(self, resource: Resource, namespace: str, metadata: Object, policy: str) -> None:
        options = {"propagationPolicy": policy, "preconditions": {"uid": metadata["uid"]}}
        await self.client.delete(resource, namespace, metadata["name"], options)

    async def _drop_references(
        self, resource: Resource, namespace: str, metadata: Object, uids: set[str]
    ) -> None:
        def edit(obj: Object) -> None:
            kept = [ref for ref in obj["metadata"].get("ownerReferences") or [] if ref.get("uid") not in uids]
            if kept:
                obj["metadata"]["ownerReferences"] = kept
            else:
                obj["metadata"].pop("ownerReferences", None)

        try:
            await self.client.change_metadata(resource, namespace, metadata["name"], edit, metadata["uid"])
        except (errors.NotFound, errors.Conflict):
            return

    async def _finish(self, key: str) -> float | None:
        """Process an owner that is being deleted and has the foreground or orphan finalizer."""
        resource = self._resource_of(key)
        entry = self.client.store.get(resource, key) if resource is not None else None
        if resource is None or entry is None:
            return None
        metadata = decode(entry)["metadata"]
        finalizers = metadata.get("finalizers") or []
        members = sorted(self.dependents.get(metadata["uid"], ()))
        if ORPHAN in finalizers:
            await asyncio.gather(*(self._orphan(member, metadata["uid"]) for member in members))
            await self._release(resource, metadata, ORPHAN)
            return None
        if FOREGROUND not in finalizers:
            return None
        for member in members:
            self.objects.add(member)
        if any(self._blocks(member, metadata["uid"]) for member in members):
            return 0.2
        await self._release(resource, metadata, FOREGROUND)
        return None

    def _blocks(self, key: str, uid: str) -> bool:
        resource = self._resource_of(key)
        entry = self.client.store.get(resource, key) if resource is not None else None
        if entry is None:
            return False
        refs = decode(entry)["metadata"].get("ownerReferences") or []
        return any(ref.get("uid") == uid and ref.get("blockOwnerDeletion") for ref in refs)

    async def _orphan(self, key: str, uid: str) -> None:
        resource = self._resource_of(key)
        entry = self.client.store.get(resource, key) if resource is not None else None
        if resource is not None and entry is not None:
            metadata = decode(entry)["metadata"]
            await self._drop_references(resource, metadata.get("namespace", ""), metadata, {uid})

    async def _release(self, resource: Resource, metadata: Object, finalizer: str) -> None:
        def edit(obj: Object) -> None:
            left = [f for f in obj["metadata"].get("finalizers") or [] if f != finalizer]
            if left:
                obj["metadata"]["finalizers"] = left
            else:
                obj["metadata"].pop("finalizers", None)

        try:
            await self.client.change_metadata(
                resource, metadata.get("namespace", ""), metadata["name"], edit, metadata["uid"]
            )
        except (errors.NotFound, errors.Conflict):
            return


def _is_collected(resource: Resource) -> bool:
    """Whether objects of a resource are stored and can be deleted."""
    return bool(resource.key_prefix) and "delete" in resource.verbs


_UNKNOWN: Object = {}
"""Stands for an owner whose existence is unknown; it is treated as existing."""


def _in_foreground_deletion(metadata: Object) -> bool:
    """Whether the object is in foreground deletion and waits for its dependents."""
    return bool(metadata.get("deletionTimestamp")) and FOREGROUND in (metadata.get("finalizers") or [])


def _policy(metadata: Object) -> str:
    """The propagation policy for deleting a dependent, from its own finalizers."""
    finalizers = metadata.get("finalizers") or []
    if ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers else "Background"
