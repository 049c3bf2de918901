"""Makes, suspends and removes logical clusters as the objects `clusters.pilothouse.dev` ask for."""

import asyncio
import time
from collections.abc import Iterable

from pilothouse.api import meta
from pilothouse.api.changes.patch import copy
from pilothouse.api.values import quantity
from pilothouse.api.values.fields import Object
from pilothouse.clusters.definition import (
    DEFINITION,
    FINALIZER,
    GROUP,
    NAME,
    PLURAL,
    VERSION,
    condition,
)
from pilothouse.clusters.directory import Directory, Place, SourceMissing
from pilothouse.clusters.kubeconfig import ClusterKubeconfigs
from pilothouse.clusters.limiter import ClusterLimiter
from pilothouse.configuration.sections.clusters import ClusterOptions
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.logs import Logger
from pilothouse.pki import Files
from pilothouse.registry.client import Client
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import decode

log = Logger(__name__)

DEFINITIONS = "apiextensions.k8s.io", "v1", "customresourcedefinitions"
PATIENCE = 15.0
"""Seconds for the definition to be served."""
READY = "Ready"


class ClusterController(Background):
    """Follows the objects of the server's own cluster, and keeps the directory's places."""

    def __init__(self, client: Client, directory: Directory, files: Files) -> None:
        self._client = client
        self._directory = directory
        self._queue = WorkQueue("clusters", self._sync, metrics=client.metrics)
        self._kubeconfigs = ClusterKubeconfigs(client, files, self._queue.add)
        self._removals = WorkQueue("cluster-removals", directory.remove, metrics=client.metrics)
        """The UIDs of clusters whose objects have gone; most have been removed before."""
        self._task: asyncio.Task[None] | None = None

    def limiter(self, options: ClusterOptions) -> ClusterLimiter:
        """The admission plugin that refuses clusters beyond the limits."""
        return ClusterLimiter(self._directory, options)

    def start(self) -> None:
        """Bring the definition, then follow the clusters."""
        self._task = asyncio.get_running_loop().create_task(self._begin(), name="clusters")

    async def synced(self) -> None:
        """Wait until all clusters that there are have their names."""
        assert self._task is not None
        await self._task

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._kubeconfigs.close()
        await self._queue.close()
        await self._removals.close()

    async def _begin(self) -> None:
        await self._define()
        resource = await self._served()
        cache = self._client.store.cache(resource)
        entries = cache.list(resource.key_prefix, None).entries
        await self._sweep({decode(entry)["metadata"]["uid"] for entry in entries})
        self._client.readers.subscribe(NAME, self._changed)

    async def _define(self) -> None:
        """Create the definition, or bring it up to date."""
        resource = self._client.resource(*DEFINITIONS)
        if await self._client.create(resource, copy(DEFINITION)):
            return

        def edit(obj: Object) -> None:
            obj["spec"]["versions"] = copy(DEFINITION["spec"]["versions"])

        await self._client.change(resource, "", NAME, edit)

    async def _served(self) -> Resource:
        """The resource, once it is served."""
        ends = time.monotonic() + PATIENCE
        while (found := self._client.catalog.get(GROUP, VERSION, PLURAL)) is None:
            if time.monotonic() > ends:
                raise TimeoutError(
                    f"the definition {NAME} is not served; what holds it back is in its status"
                )
            await asyncio.sleep(0.002)
        return found

    async def _sweep(self, uids: set[str]) -> None:
        """Remove what was left of clusters whose removal was interrupted, and unused base states."""
        records = self._directory.records
        kept = await records.all()
        for uid in kept.keys() - uids:
            await records.remove(uid)
        await records.sweep({record.base for uid, record in kept.items() if uid in uids})

    # Changes

    def _changed(self, key: str, new: Object | None, old: Object | None) -> None:
        obj = new if new is not None else old
        assert obj is not None
        name = obj["metadata"]["name"]
        self._directory.coming.discard(name)
        if new is not None and not new["metadata"].get("deletionTimestamp"):
            self._put(name, new)
        else:
            self._directory.forget(name)
        if new is not None and not self._is_settled(new):
            self._queue.add(name)
        if old is not None and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            self._removals.add(old["metadata"]["uid"])

    def _is_settled(self, obj: Object) -> bool:
        """Whether there is nothing to do for an object: a start has thousands of them."""
        metadata, status = obj["metadata"], obj.get("status") or {}
        if metadata.get("deletionTimestamp") or FINALIZER not in metadata.get("finalizers", ()):
            return False
        ready: Object = next(iter(status.get("conditions") or ()), {})
        seen = ready.get("observedGeneration") == metadata.get("generation", 1)
        return seen and ready["status"] == "True" and status["url"] == self._directory.url_of(metadata["name"])

    def _put(self, name: str, obj: Object) -> None:
        """Note what an object says; a cluster keeps its place while it is the same."""
        spec = obj.get("spec") or {}
        given = spec.get("limits") or {}
        size = given.get("bytes", 0)
        known = self._directory.places.get(name)
        if known is None or known.uid != obj["metadata"]["uid"]:
            self._directory.forget(name)
            known = Place(obj["metadata"]["uid"])
            self._directory.places[name] = known
        known.copy_of = spec.get("copyOf", "")
        known.suspend = bool(spec.get("suspend"))
        known.limits.keys = given.get("objects", 0)
        known.limits.bytes = quantity.parse(str(size)).value()

    async def _sync(self, name: str) -> float | None:
        resource = await self._served()
        obj = self._client.get(resource, "", name)
        if obj is None:
            return None
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            if FINALIZER in metadata.get("finalizers", ()):
                await self._kubeconfigs.sync(obj, "", None)
                await self._directory.remove(metadata["uid"])
                await self._client.change_metadata(resource, "", name, _without_finalizer, metadata["uid"])
            return None
        if FINALIZER not in metadata.get("finalizers", ()):
            await self._client.change_metadata(resource, "", name, _with_finalizer, metadata["uid"])
        try:
            await self._directory.provision(name)
        except SourceMissing:
            source = obj["spec"]["copyOf"]
            message = f'there is no cluster "{source}" of which a copy can be made'
            await self._tell(resource, obj, [condition(READY, "False", "SourceNotFound", message)])
            return 5.0
        place = (obj.get("spec") or {}).get("kubeconfigSecret")
        later, written = await self._kubeconfigs.sync(obj, self._directory.url_of(name), place)
        conditions = [condition(READY, "True", "Served", "requests are answered")]
        conditions += [written] if written is not None else []
        kept = place if written is not None and written["status"] == "True" else None
        await self._tell(resource, obj, conditions, kubeconfigSecret=kept)
        return later

    async def _tell(
        self, resource: Resource, obj: Object, conditions: Iterable[Object], **members: Object | None
    ) -> None:
        """Write the status where it differs; a member that is None is removed."""
        metadata, known = obj["metadata"], obj.get("status") or {}
        before = {one["type"]: one for one in known.get("conditions") or ()}
        content: Object = {"url": self._directory.url_of(metadata["name"]), **members}
        content["conditions"] = [
            _settled(one, before.get(one["type"], {}), metadata.get("generation", 1)) for one in conditions
        ]
        if all(known.get(member) == value for member, value in content.items()):
            return

        def edit(live: Object) -> None:
            status = (live.get("status") or {}) | content
            live["status"] = {member: value for member, value in status.items() if value is not None}

        await self._client.change(resource, "", metadata["name"], edit, "status", uid=metadata["uid"])


def _settled(condition: Object, before: Object, generation: int) -> Object:
    """A condition as it is written: its time is that of the last change of its status."""
    same = before.get("status") == condition["status"]
    since = before["lastTransitionTime"] if same else meta.now()
    return {**condition, "observedGeneration": generation, "lastTransitionTime": since}


def _with_finalizer(obj: Object) -> None:
    obj["metadata"].setdefault("finalizers", []).append(FINALIZER)


def _without_finalizer(obj: Object) -> None:
    finalizers = obj["metadata"].get("finalizers", [])
    obj["metadata"]["finalizers"] = [one for one in finalizers if one != FINALIZER]
