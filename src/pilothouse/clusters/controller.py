"""Makes, suspends and removes logical clusters as the objects `clusters.pilothouse.dev` ask for."""

import asyncio
from collections.abc import Iterable, Iterator

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values import quantity
from pilothouse.api.values.fields import Object
from pilothouse.authz.authorizer import Authorizer
from pilothouse.clusters.authentication import ClusterIssuers
from pilothouse.clusters.brought import bring, served
from pilothouse.clusters.definition import (
    DEFINITION,
    FINALIZER,
    GROUP,
    NAME,
    PLURAL,
    SOURCE_UID,
    VERSION,
    condition,
    settled,
)
from pilothouse.clusters.directory import ClusterPlace, Directory, SourceMissing
from pilothouse.clusters.finalizer import ClusterFinalizer
from pilothouse.clusters.kubeconfig import AGAIN, ClusterKubeconfigs
from pilothouse.clusters.limiter import ClusterLimiter
from pilothouse.clusters.profiles import ClusterProfiles
from pilothouse.clusters.rights import ClusterRights
from pilothouse.configuration.sections.clusters import ClusterOptions
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.logs import Logger
from pilothouse.pki import Files
from pilothouse.registry.client import Client
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import decode

log = Logger(__name__)

READY = "Ready"


class ClusterController(Background):
    """Follows the objects of the server's own cluster, and keeps the directory's places."""

    def __init__(self, client: Client, directory: Directory, files: Files, profiles: str = "") -> None:
        """`profiles`: the namespace in which clusters are published, "" for none."""
        self._client = client
        self._directory = directory
        self._queue = WorkQueue("clusters", self._sync, metrics=client.metrics)
        self._kubeconfigs = ClusterKubeconfigs(client, files, self._add)
        self._profiles = ClusterProfiles(client, profiles, files, self._add) if profiles else None
        self._removals = WorkQueue("cluster-removals", directory.remove, metrics=client.metrics)
        """The UIDs of clusters whose objects have gone; most have been removed before."""
        self._issuers = WorkQueue("cluster-issuers", directory.authenticate, metrics=client.metrics)
        """Names of clusters in memory whose objects have changed, where another server leads."""
        self._task: asyncio.Task[None] | None = None

    def plugins(self, options: ClusterOptions, authorizer: Authorizer) -> list[AdmissionPlugin]:
        """The admission plugins that give clusters their finalizer, and refuse those beyond the limits,
        those whose issuers cannot be used, and those that need rights which the user does not have.
        authorizer: that of the server's own cluster."""
        return [
            ClusterFinalizer(),
            ClusterLimiter(self._directory, options),
            ClusterIssuers(self._directory.guests.issuers_of),
            ClusterRights(authorizer, self._directory.uid_of),
        ]

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
        await self._issuers.close()
        await self._removals.close()

    async def _begin(self) -> None:
        await bring(self._client, DEFINITION)
        await self._served()
        if self._profiles is not None:
            await self._profiles.begin()
        if self._directory.leads:
            await self._sweep([uid async for uid, _ in self._directory.records.each()])
        self._client.readers.subscribe(NAME, self._changed)

    async def take_over(self) -> None:
        """Look after the clusters of several servers from now on; the directory leads."""
        made = [uid async for uid, _ in self._directory.records.each()]
        if self._client.store.fresh is not None:  # what is made has an object in the cache by then
            await self._client.store.fresh()
        await self._sweep(made)
        for obj in await self._objects():
            if not self._is_settled(obj):
                self._add(obj["metadata"]["name"])

    async def _objects(self) -> Iterator[Object]:
        resource = await self._served()
        entries = self._client.store.cache(resource).list(resource.key_prefix, None).entries
        return (decode(entry) for entry in entries)

    def _add(self, name: str) -> None:
        if self._directory.leads:
            self._queue.add(name)

    async def _served(self) -> Resource:
        return await served(self._client, GROUP, VERSION, PLURAL)

    async def _sweep(self, made: list[str]) -> None:
        """Remove what was left of clusters whose removal was interrupted, and unused base states.
        `made` are the UIDs of clusters that have been made."""
        known = {obj["metadata"]["uid"] for obj in await self._objects()}
        for uid in made:
            if uid not in known:
                await self._directory.remove(uid)
        await self._directory.records.sweep()

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
        if not self._directory.leads:
            if name in self._directory.open:
                self._issuers.add(name)
            return
        if new is not None and not self._is_settled(new):
            self._queue.add(name)
        if old is not None and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            self._removals.add(old["metadata"]["uid"])

    def _is_settled(self, obj: Object) -> bool:
        """Whether there is nothing to do for an object: a start has thousands of them."""
        metadata, status = obj["metadata"], obj.get("status") or {}
        if metadata.get("deletionTimestamp") or FINALIZER not in metadata.get("finalizers", ()):
            return False
        if self._secret_of(obj) is not None:  # its certificate may be about to expire
            return False
        ready: Object = next(iter(status.get("conditions") or ()), {})
        if ready.get("observedGeneration") != metadata.get("generation", 1) or ready["status"] != "True":
            return False
        return bool(status["url"] == self._directory.url_of(metadata["name"]))

    def _put(self, name: str, obj: Object) -> None:
        """Note what an object says; a cluster keeps its place while it is the same."""
        spec = obj.get("spec") or {}
        given = spec.get("limits") or {}
        size = given.get("bytes", 0)
        known = self._directory.places.get(name)
        if known is None or known.uid != obj["metadata"]["uid"]:
            self._directory.forget(name)
            known = ClusterPlace(obj["metadata"]["uid"])
            self._directory.places[name] = known
        known.copy_of = spec.get("copyOf", "")
        known.source_uid = (obj["metadata"].get("annotations") or {}).get(SOURCE_UID, "")
        known.suspend = bool(spec.get("suspend"))
        known.limits.keys = given.get("objects", 0)
        known.limits.bytes = quantity.parse(str(size)).value()
        known.authentication = spec.get("authentication")

    async def _sync(self, name: str) -> float | None:
        resource = await self._served()
        obj = self._client.get(resource, "", name)
        if obj is None or not self._directory.leads:
            return None
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            if FINALIZER in metadata.get("finalizers", ()):
                await self._unpublish(obj)
                await self._directory.remove(metadata["uid"])
                await self._client.change_metadata(resource, "", name, _without_finalizer, metadata["uid"])
            return None
        if FINALIZER not in metadata.get("finalizers", ()):  # an older version has created it
            await self._client.change_metadata(resource, "", name, _with_finalizer, metadata["uid"])
        ready = condition(READY, "True", "Served", "requests are answered")
        await self._directory.authenticate(name)
        try:
            await self._directory.provision(name)
        except SourceMissing:
            source = obj["spec"]["copyOf"]
            message = f'there is no cluster "{source}" of which a copy can be made'
            ready = condition(READY, "False", "SourceNotFound", message)
        later = await self._publish(resource, obj, ready)
        return later if ready["status"] == "True" else 5.0

    def _secret_of(self, obj: Object) -> Object | None:
        """Where the kubeconfig of a cluster is kept, None for nowhere."""
        given: Object | None = (obj.get("spec") or {}).get("kubeconfigSecret")
        if given is None and self._profiles is not None:
            return self._profiles.secret_of(obj["metadata"]["name"])
        return given

    async def _publish(self, resource: Resource, obj: Object, ready: Object) -> float | None:
        """Keep what tells of a cluster. Returns the seconds after which to look at it again."""
        url, secret = self._directory.url_of(obj["metadata"]["name"]), self._secret_of(obj)
        later, written = await self._kubeconfigs.sync(obj, url, secret)
        conditions = [ready, *([written] if written is not None else [])]
        if self._profiles is not None and secret is not None:
            published = await self._profiles.sync(obj, url, secret, ready)
            conditions.append(published)
            later = later if published["status"] == "True" else AGAIN
        kept = secret if written is not None and written["status"] == "True" else None
        await self._tell(resource, obj, conditions, kubeconfigSecret=kept)
        return later

    async def _unpublish(self, obj: Object) -> None:
        await self._kubeconfigs.sync(obj, "", None)
        if self._profiles is not None:
            await self._profiles.remove(obj)

    async def _tell(
        self, resource: Resource, obj: Object, conditions: Iterable[Object], **members: Object | None
    ) -> None:
        """Write the status where it differs; a member that is None is removed."""
        metadata, known = obj["metadata"], obj.get("status") or {}
        before = {one["type"]: one for one in known.get("conditions") or ()}
        content: Object = {"url": self._directory.url_of(metadata["name"]), **members}
        generation, now = metadata.get("generation", 1), self._client.now()
        content["conditions"] = [
            settled(one, before.get(one["type"], {}), generation, now) for one in conditions
        ]
        if all(known.get(member) == value for member, value in content.items()):
            return

        def edit(live: Object) -> None:
            status = (live.get("status") or {}) | content
            live["status"] = {member: value for member, value in status.items() if value is not None}

        await self._client.change(resource, "", metadata["name"], edit, "status", uid=metadata["uid"])


def _with_finalizer(obj: Object) -> None:
    obj["metadata"].setdefault("finalizers", []).append(FINALIZER)


def _without_finalizer(obj: Object) -> None:
    finalizers = obj["metadata"].get("finalizers", [])
    obj["metadata"]["finalizers"] = [one for one in finalizers if one != FINALIZER]
