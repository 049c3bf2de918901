"""The logical clusters of a server by their names: they are made, woken by requests, and suspended."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import field, replace
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api.values.clock import SYSTEM
from pilothouse.api.values.fields import Object
from pilothouse.assembly.cluster import Cluster
from pilothouse.assembly.host import Host
from pilothouse.authn.keys import new_private
from pilothouse.clusters import fresh
from pilothouse.clusters.authentication import usable
from pilothouse.clusters.clocks import Clocks
from pilothouse.clusters.definition import GROUP, PLURAL
from pilothouse.clusters.guests import PATH, Guests
from pilothouse.clusters.logical import LogicalCluster
from pilothouse.clusters.records import ClusterRecord, Records
from pilothouse.lifecycle import Opened
from pilothouse.logs import Logger
from pilothouse.process.record import record
from pilothouse.storage.base_state import BaseState
from pilothouse.storage.interface import Storage
from pilothouse.storage.keyspaces.journal import RowStore
from pilothouse.storage.keyspaces.keyspace import KeyspaceLimits, KeyspaceStorage

if TYPE_CHECKING:
    from pilothouse.assembly.state_file import StateFile

log = Logger(__name__)

WAKING = 8
"""Clusters that come into memory at once. Anybody who knows names can wake them."""


@record
class ClusterPlace:
    """A name: the UID of its cluster, and what its object says."""

    uid: str
    copy_of: str = ""
    source_uid: str = ""
    """The UID of the source at the creation of the object, "" when it is not known."""
    suspend: bool = False
    limits: KeyspaceLimits = field(default_factory=KeyspaceLimits)
    authentication: Object | None = None


NO_SOURCE = "the cluster cannot be made: what it is a copy of is missing"
"""Names no other cluster: anybody may read it."""


class SourceMissing(errors.ServiceUnavailable):
    """The cluster that another one is a copy of is missing."""


class Directory:
    """The logical clusters of one server.

    `places` is kept by the controller, from the objects in the server's own cluster. most: the number of
    clusters in memory above which one that nobody asks leaves it, 0 for no limit. state: that with which
    clusters begin in place of the objects of a fresh one.
    """

    def __init__(self, host: Host, journal: Storage, most: int = 0, state: "StateFile | None" = None) -> None:
        self._most = most
        self._state = state
        self.places: dict[str, ClusterPlace] = {}
        self.coming: set[str] = set()
        """Names of clusters whose objects are being written."""
        self.open: dict[str, LogicalCluster] = {}
        """Clusters in memory, by name."""
        self.journal = journal
        self.records = Records(journal)
        self._host = host
        self.guests = Guests(host, self.url_of)
        self._clocks = Clocks(host.clock)
        self._url, self._port = "", 0
        self._waking: dict[str, asyncio.Task[LogicalCluster]] = {}
        self._closing: dict[str, asyncio.Task[None]] = {}
        """The tasks of clusters that come into memory, and of those that leave it, by UID."""
        self._fresh: asyncio.Task[tuple[str, str, BaseState]] | None = None
        self._digest = ""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._room = asyncio.Semaphore(WAKING)

    def reached_at(self, url: str, port: int) -> None:
        """Set where clients reach the server, and the port on which it listens."""
        self._url, self._port = url, port

    def url_of(self, name: str) -> str:
        """Where clients reach a cluster."""
        return f"{self._url}{PATH}{name}"

    async def start(self, digest: str) -> None:
        """Open the journal. `digest` is that of a fresh cluster's objects."""
        self._digest = digest if self._state is None else fresh.digest_with(digest, self._state.digest)
        self._host.authorities.on_change(self._trust)
        await self.journal.start()

    async def close(self) -> None:
        """Close all clusters, then the journal."""
        for task in (*self._waking.values(), *((self._fresh,) if self._fresh is not None else ())):
            task.cancel()
            await asyncio.wait([task])
        await asyncio.gather(*self._closing.values(), *(one.close() for one in self.open.values()))
        self.open.clear()
        await self.journal.close()

    # Clusters without an object

    async def lend(self, name: str, copy_of: str = "") -> str:
        """Serve a cluster that no object tells of, until it is given back or the server ends; its UID.
        It begins as a fresh one, or as the cluster `copy_of` is now. ValueError when there is one of this
        name, SourceMissing when there is none to copy."""
        if name in self.places:
            raise ValueError(f"there is a cluster {name!r} already")
        place = self.places[name] = ClusterPlace(meta.new_uid(), copy_of)
        try:
            await self.wake(name)
        except BaseException:
            await self.give_back(name)
            raise
        return place.uid

    async def give_back(self, name: str) -> None:
        """Serve a cluster that was lent no more, and remove all that it holds."""
        place = self.places.get(name)
        self.forget(name)
        if place is not None:
            await self.remove(place.uid)

    # What servers that share the journal do otherwise (clusters/shared/directory.py)

    @property
    def leads(self) -> bool:
        """Whether this server makes and removes clusters, and tells of them in their objects."""
        return True

    async def journal_of(self, name: str, uid: str, opened: Opened) -> RowStore:
        """The journal for a cluster that comes into memory, until `opened` is closed."""
        return self.journal

    def check(self, uid: str) -> None:
        """Raise StatusError when a cluster may not come into memory after all."""

    @contextlib.asynccontextmanager
    async def held(self, uid: str) -> AsyncIterator[None]:
        """Let no server have a cluster in memory."""
        yield

    # Waking and suspending

    async def wake(self, name: str) -> LogicalCluster:
        """A cluster in memory, brought there if need be; NotFound when there is none of this name."""
        known = self.open.get(name)
        if known is not None:
            return known
        place = self._place(name)
        task = self._waking.get(place.uid)
        if task is None:
            task = self._waking[place.uid] = asyncio.create_task(self._open(name, place))
            task.add_done_callback(lambda _: self._waking.pop(place.uid))
        return await asyncio.shield(task)

    async def suspend(self, name: str) -> None:
        """Have a cluster leave memory; one that is woken meanwhile waits until it has."""
        known = self.open.pop(name, None)
        if known is not None:
            await asyncio.shield(self._close(known))

    def forget(self, name: str) -> None:
        """Serve a cluster no more: its object is deleted."""
        self.places.pop(name, None)
        known = self.open.pop(name, None)
        if known is not None:
            self._close(known)

    def relieve(self) -> None:
        """Free memory of all clusters: the process has little left."""
        for one in self.open.values():
            one.relieve()

    def _close(self, known: LogicalCluster) -> asyncio.Task[None]:
        task = self._closing[known.uid] = asyncio.create_task(known.close())
        task.add_done_callback(lambda _: self._closing.pop(known.uid))
        return task

    def _place(self, name: str) -> ClusterPlace:
        place = self.places.get(name)
        if place is None:
            raise errors.not_found(GROUP, PLURAL, name)
        return place

    @contextlib.asynccontextmanager
    async def _alone(self, uid: str) -> AsyncIterator[None]:
        """Let nobody else make, open or remove a cluster, and wait until it has left memory if it was to."""
        lock = self._locks.get(uid)
        if lock is None:
            lock = self._locks[uid] = asyncio.Lock()
        async with lock:
            closing = self._closing.get(uid)
            if closing is not None:
                await asyncio.wait([closing])
            yield

    async def _open(self, name: str, place: ClusterPlace) -> LogicalCluster:
        async with self._room:
            await self.provision(name)
            async with self._alone(place.uid):
                return await self._opened(name, place)

    async def _opened(self, name: str, place: ClusterPlace) -> LogicalCluster:
        async with Opened() as opened:
            journal = await self.journal_of(name, place.uid, opened)
            record = await self._recorded(name, place)
            base = await self.records.base(record.base)
            filled = record.filled == self._digest
            clock = self._clocks.open(place.uid, opened)
            storage = KeyspaceStorage(journal, place.uid, base, place.limits, clock.time, clock.call_later)
            host = self.guests.make(name, place.uid, storage, record.key, clock, place.authentication)
            cluster = await Cluster.open(host, opened)
            if fresh.IDENTITY in base.current:
                await fresh.give_identity(cluster.registry, base.current[fresh.IDENTITY].mod)
            whole = await fresh.begin(cluster, opened, self._port, fill=not filled)
            if whole and not filled:
                await self.records.write(place.uid, replace(record, filled=self._digest), journal)
            if self.places.get(name) is not place:  # deleted meanwhile
                raise errors.not_found(GROUP, PLURAL, name)
            self.check(place.uid)
            made = LogicalCluster(name, place.uid, host, cluster, storage, opened.pop_all())
        self.open[name] = made
        await self.authenticate(name)  # its object may have changed meanwhile
        await self._make_room(name)
        return made

    async def _make_room(self, name: str) -> None:
        """Suspend the cluster that was asked the longest time ago, if there are too many beside `name`."""
        if not self._most or len(self.open) <= self._most:
            return
        idle = [one for one in self.open.values() if not one.open_requests and one.name != name]
        if idle:
            await self.suspend(min(idle, key=lambda one: one.used).name)

    async def authenticate(self, name: str) -> None:
        """Have a cluster know users by the issuers that its object names now."""
        place, known = self.places.get(name), self.open.get(name)
        if place is not None and known is not None and known.uid == place.uid:
            own = known.host.config.authentication.service_accounts.issuers
            await known.use(usable(place.authentication, own, name))

    def _trust(self) -> None:
        """Have all clusters know clients by the CAs that are in force."""
        for one in self.open.values():
            one.trust(self._host.authorities.clients)

    # Making and removing

    async def provision(self, name: str, copies: tuple[str, ...] = ()) -> None:
        """Make a cluster that was not made yet: its record, and before that of the cluster it is a copy of.

        `copies` are those that wait for it. SourceMissing when there is nothing to begin with.
        """
        place = self._place(name)
        if place.copy_of and await self.records.read(place.uid) is None:
            if place.copy_of in (*copies, name):
                raise SourceMissing(NO_SOURCE)
            self._source(place)
            await self.provision(place.copy_of, (*copies, name))
        async with self._alone(place.uid):
            await self._recorded(name, place)

    async def _recorded(self, name: str, place: ClusterPlace) -> ClusterRecord:
        """The record of a cluster, made when it is missing."""
        if self.places.get(name) is not place:
            raise errors.not_found(GROUP, PLURAL, name)
        record = await self.records.read(place.uid)
        if record is None:
            if place.copy_of:
                base, filled, state = await self._copied(self._source(place))
                self._clocks.copy(place.uid, self._source(place).uid)
            else:
                base, filled, state = await self._fresh_base()
                self._clocks.begin(place.uid, self._ahead())
            record = ClusterRecord(base=base, filled=filled, key=new_private())
            await self.records.write(place.uid, record)
            del state  # held until now: a sweep would have taken it away
        return record

    async def remove(self, uid: str) -> None:
        """Remove all that a cluster holds. Its object is deleted, and it is served no more."""
        async with self._alone(uid), self.held(uid):
            self._clocks.forget(uid)
            if await self.records.read(uid) is not None:
                await self.records.remove(uid)

    async def _fresh_base(self) -> tuple[str, str, BaseState]:
        """The name, the digest and the pairs of the base state of fresh clusters; made on first use."""
        if self._fresh is None or (
            self._fresh.done() and (self._fresh.cancelled() or self._fresh.exception())
        ):
            self._fresh = asyncio.create_task(self._make_fresh())
        return await asyncio.shield(self._fresh)

    async def _make_fresh(self) -> tuple[str, str, BaseState]:
        known = await self.records.fresh(self._digest)
        if known is not None:
            return known[0], self._digest, known[1]
        begun, storage = time.monotonic(), await self._unkept_storage()
        async with Opened() as opened:
            self._clocks.begin("", self._ahead())
            host = self.guests.make("", "fresh", storage, new_private(), self._clocks.open("", opened))
            pairs, revision = await fresh.made(host, storage, self._port)
        name, base = await self.records.add_base(pairs, revision, fresh=self._digest)
        log.info(
            "The objects of a fresh cluster were made", objects=len(pairs), seconds=time.monotonic() - begun
        )
        return name, self._digest, base

    async def _unkept_storage(self) -> KeyspaceStorage:
        """The store of the fresh cluster, which has the objects of a state if there is one."""
        if self._state is None:
            return await fresh.unkept_storage()
        return await fresh.unkept_storage(BaseState(*await asyncio.to_thread(self._state.pairs)))

    def _ahead(self) -> float:
        """Seconds by which the time of the state is later than now."""
        return self._state.time - SYSTEM.time() if self._state is not None else 0.0

    def uid_of(self, name: str) -> str:
        """The UID of the cluster of a name, "" when there is none."""
        place = self.places.get(name)
        return place.uid if place is not None else ""

    def _source(self, copy: ClusterPlace) -> ClusterPlace:
        """The place of the cluster that a copy begins with; SourceMissing, also when another cluster has the
        name by now."""
        found = self.places.get(copy.copy_of)
        if found is None or (copy.source_uid and found.uid != copy.source_uid):
            raise SourceMissing(NO_SOURCE)
        return found

    async def _copied(self, place: ClusterPlace) -> tuple[str, str, BaseState]:
        """The base state of a cluster as it is now: its name, the digest of its fresh objects, the state."""
        async with self._alone(place.uid):
            record = await self.records.read(place.uid)
            if record is None:
                raise SourceMissing(NO_SOURCE)
            base = await self.records.base(record.base)
            known = next((one for one in self.open.values() if one.uid == place.uid), None)
            storage = known.storage if known is not None else KeyspaceStorage(self.journal, place.uid, base)
            if known is None:
                await storage.start()
            pairs, revision = storage.snapshot()
            if known is None:
                await storage.close()
            frozen = await self.records.frozen(place.uid, revision)
            if frozen is None:
                frozen = await self.records.add_base(pairs, revision)
                self.records.freeze(place.uid, revision, frozen[0])
            return frozen[0], record.filled, frozen[1]
