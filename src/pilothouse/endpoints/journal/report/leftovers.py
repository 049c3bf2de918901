"""Objects that were created since a time and are still there, and what holds those that are being deleted."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import NamedTuple

import orjson

from pilothouse.api.values.fields import Object
from pilothouse.api.values.selectors import EVERYTHING
from pilothouse.endpoints.journal.report.seen import HELPERS
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import Store
from pilothouse.waiting import Pace

MOST = 20_000
"""Objects that are looked at."""
LONGEST = 8
"""Owners of owners that are followed."""
FILLED = {("configmaps", "kube-root-ca.crt"), ("serviceaccounts", "default")}
"""Resources and names of what controllers create in every namespace."""
OWN = {"kube-apiserver", "api-priority-and-fairness-config-producer-v1", HELPERS}
"""Managers of what a server creates by itself, at its start or for a definition, and of a test's helpers."""


class ScannedObject(NamedTuple):
    """An object."""

    uid: str
    what: str
    created: float
    deleting: str
    finalizers: tuple[str, ...]
    owners: tuple[tuple[str, str], ...]
    """The uid, and the kind and name, of each."""


async def left_over(catalog: Catalog, store: Store, begun: float) -> list[Object]:
    """The objects created since `begun`: first those whose deletion something holds, then those whose owner
    is gone, then the others. Objects of an owner that is there are counted with the last one of the chain."""
    found = {one.uid: one async for one in _objects(catalog, store)}
    dependents: Counter[str] = Counter()
    shown: list[Object] = []
    for one in found.values():
        if one.created < int(begun):
            continue
        chain = list(_chain(one, found))
        root = found.get(chain[-1][0]) if chain else None
        told: Object = {"object": one.what}
        if one.deleting:
            told |= {"deletionTimestamp": one.deleting, "finalizers": list(one.finalizers)}
            waits = [two.what for two in found.values() if any(uid == one.uid for uid, _ in two.owners)]
            if waits and "foregroundDeletion" in one.finalizers:
                told["waitsFor"] = waits[:LONGEST]
        if chain:
            told["owners"] = [what for _, what in chain]
            if root is None:
                told["ownerIsGone"] = True
            elif not one.deleting:
                dependents[root.uid] += 1
                continue
        told["uid"] = one.uid
        shown.append(told)
    for told in shown:
        if count := dependents[told.pop("uid")]:
            told["dependents"] = count
    shown.sort(key=lambda told: ("deletionTimestamp" not in told, "ownerIsGone" not in told))
    return shown


def _chain(one: ScannedObject, found: dict[str, ScannedObject]) -> Iterator[tuple[str, str]]:
    """Yield the owner of an object, the owner of that, and so on."""
    for _ in range(LONGEST):
        if not one.owners:
            return
        yield one.owners[0]
        owner = found.get(one.owners[0][0])
        if owner is None:
            return
        one = owner


async def _objects(catalog: Catalog, store: Store) -> AsyncIterator[ScannedObject]:
    """Yield the objects of all resources that are stored, without those that go by themselves (events)."""
    pace, done, count = Pace(), set[str](), 0
    for resource in list(catalog.all()):
        stored = resource.storage or resource
        if resource.virtual or stored.key_prefix in done or stored.strategy.ttl is not None:
            continue
        done.add(stored.key_prefix)
        for entry in store.cache(stored).list(stored.key_prefix, EVERYTHING).entries:
            count += 1
            if count > MOST:
                return
            one = _found(stored, orjson.loads(entry.value)["metadata"])
            if one is not None:
                yield one
            await pace.pause()


def _found(resource: Resource, metadata: Object) -> ScannedObject | None:
    name, namespace = metadata["name"], metadata.get("namespace", "")
    if (resource.plural, name) in FILLED and not resource.group:
        return None
    managers = metadata.get("managedFields") or ()
    if any(one.get("manager") in OWN and not one.get("subresource") for one in managers):
        return None
    created = metadata.get("creationTimestamp")
    return ScannedObject(
        uid=metadata.get("uid", ""),
        what=f"{resource.kind} {namespace}/{name}" if namespace else f"{resource.kind} {name}",
        created=datetime.fromisoformat(created).timestamp() if created else 0.0,
        deleting=metadata.get("deletionTimestamp") or "",
        finalizers=tuple(metadata.get("finalizers") or ()),
        owners=tuple(
            (owner["uid"], f"{owner['kind']} {owner['name']}")
            for owner in metadata.get("ownerReferences") or ()
        ),
    )
