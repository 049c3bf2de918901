"""Empties deleted namespaces, then removes their finalizer
(kube-controller-manager's namespace controller)."""

import asyncio
from collections import Counter

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import decode

FINALIZER = "kubernetes"
RETRY_SECONDS = 1.0
BATCH = 256

REMAINING, HELD = "NamespaceContentRemaining", "NamespaceFinalizersRemaining"
PROGRESSING = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    REMAINING: ("ContentRemoved", "All content successfully removed"),
    HELD: ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}
"""Condition type -> reason and message while the deletion of a namespace proceeds without problems."""


class NamespaceDeletion(Background):
    """Follows namespaces; those with a deletion time are emptied one resource at a time."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.namespaces = client.resource("", "v1", "namespaces")
        self.queue = WorkQueue(
            "namespace-deletion", self._empty, metrics=client.metrics, call_later=client.clock.call_later
        )

    def start(self) -> None:
        self.client.readers.subscribe("namespaces", self._changed)

    async def close(self) -> None:
        await self.queue.close()

    def _changed(self, key: str, new: Object | None, old: Object | None) -> None:
        if (
            new is not None
            and new["metadata"].get("deletionTimestamp")
            and (new.get("spec") or {}).get("finalizers")
        ):
            self.queue.add(new["metadata"]["name"])

    async def _empty(self, name: str) -> float | None:
        namespace = self.client.get(self.namespaces, "", name)
        if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
            return None
        if FINALIZER not in ((namespace.get("spec") or {}).get("finalizers") or []):
            return None
        remaining: Counter[str] = Counter()
        finalizers: Counter[str] = Counter()
        for resource in self._contents():
            await self._delete_all(resource, name)
        for resource in self._contents():
            self._count(resource, name, remaining, finalizers)
        try:
            if remaining:
                await self._report(name, namespace["metadata"]["uid"], remaining, finalizers)
                return RETRY_SECONDS
            await self.client.change(
                self.namespaces, "", name, _finalize, "finalize", namespace["metadata"]["uid"]
            )
        except (errors.NotFound, errors.Conflict):
            return None
        return None

    def _contents(self) -> list[Resource]:
        """Every stored namespaced resource, each once."""
        found: dict[str, Resource] = {}
        for resource in self.client.catalog.all():
            if resource.namespaced and "delete" in resource.verbs and resource.key_prefix:
                found.setdefault(resource.key_prefix, resource.storage or resource)
        return list(found.values())

    async def _delete_all(self, resource: Resource, namespace: str) -> None:
        prefix = f"{resource.key_prefix}{namespace}/"
        cache = self.client.store.readable(resource, prefix)
        after = ""
        while True:
            listing = cache.list(prefix, None, after=after, limit=BATCH)
            if not listing.entries:
                return
            names = []
            for entry in listing.entries:
                if entry.deleting and not self._is_orphaned(resource, decode(entry)):
                    continue
                names.append((entry.key.rpartition("/")[2], self._options(resource, decode(entry))))
            await asyncio.gather(
                *(self.client.delete(resource, namespace, n, options) for n, options in names)
            )
            if not listing.more:
                return
            after = listing.entries[-1].key

    def _is_orphaned(self, resource: Resource, obj: Object) -> bool:
        """Whether the pod's node no longer exists, so that no kubelet will end the pod (rule of pod GC)."""
        if resource.group_resource != "pods":
            return False
        node = (obj.get("spec") or {}).get("nodeName")
        return not node or self.client.readers.get("nodes", "", node) is None

    def _options(self, resource: Resource, obj: Object) -> Object:
        out: Object = {"propagationPolicy": "Background", "preconditions": {"uid": obj["metadata"]["uid"]}}
        if self._is_orphaned(resource, obj):
            out["gracePeriodSeconds"] = 0
        return out

    def _count(
        self, resource: Resource, namespace: str, remaining: Counter[str], finalizers: Counter[str]
    ) -> None:
        prefix = f"{resource.key_prefix}{namespace}/"
        listing = self.client.store.readable(resource, prefix).list(prefix, None)
        if listing.entries:
            remaining[f"{resource.plural}.{resource.group}"] = len(listing.entries)  # "pods." as upstream
        for entry in listing.entries:
            if b'"finalizers"' in entry.value:
                finalizers.update(decode(entry)["metadata"].get("finalizers") or [])

    async def _report(self, name: str, uid: str, remaining: Counter[str], finalizers: Counter[str]) -> None:
        """Set the namespace's conditions to what still blocks its deletion."""
        left = ", ".join(f"{kind} has {n} resource instances" for kind, n in sorted(remaining.items()))
        held = ", ".join(
            f"{finalizer} in {n} resource instances" for finalizer, n in sorted(finalizers.items())
        )
        now = self.client.now()
        found = {
            REMAINING: ("SomeResourcesRemain", f"Some resources are remaining: {left}"),
            HELD: ("SomeFinalizersRemain", f"Some content in the namespace has finalizers remaining: {held}"),
        }
        if not finalizers:
            del found[HELD]
        conditions = [
            _condition(kind, kind in found, *found.get(kind, well)) for kind, well in PROGRESSING.items()
        ]

        def edit(obj: Object) -> None:
            status = obj.setdefault("status", {})
            kept = {c["type"]: c for c in status.get("conditions") or []}
            for condition in conditions:
                old = kept.get(condition["type"])
                if old is None or any(old.get(k) != v for k, v in condition.items()):
                    same = old is not None and old.get("status") == condition["status"]
                    kept[condition["type"]] = {
                        **condition,
                        "lastTransitionTime": old["lastTransitionTime"] if same and old else now,
                    }
            status["conditions"] = list(kept.values())

        await self.client.change(self.namespaces, "", name, edit, "status", uid)


def _condition(kind: str, true: bool, reason: str, message: str) -> Object:
    return {"type": kind, "status": "True" if true else "False", "reason": reason, "message": message}


def _finalize(obj: Object) -> None:
    left = [f for f in obj["spec"].get("finalizers") or [] if f != FINALIZER]
    if left:
        obj["spec"]["finalizers"] = left
    else:
        obj["spec"].pop("finalizers", None)
