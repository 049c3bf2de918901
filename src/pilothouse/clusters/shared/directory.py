"""The logical clusters of a server that shares their journal with others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from pilothouse import errors
from pilothouse.assembly.host import Host
from pilothouse.clusters.directory import ClusterPlace, Directory
from pilothouse.clusters.logical import LogicalCluster
from pilothouse.clusters.records import ClusterRecord, Records
from pilothouse.clusters.shared.metrics import SharedMetrics
from pilothouse.lifecycle import Opened
from pilothouse.logs import Logger
from pilothouse.storage.claims import Claim, SharedStorage, Taken
from pilothouse.storage.interface import StorageError, Unavailable
from pilothouse.storage.keyspaces.journal import MOST_ROWS, ClaimedJournal, RowStore

log = Logger(__name__)

CONTROLLER = "controller"
"""The claim of the server that makes and removes clusters."""
LOOK, LOOKS = 0.1, 30
"""Seconds between two looks whether another server has given a cluster up, and how many there are."""
SOON = (("Retry-After", "1"),)


class ClusterUnavailable(errors.ServiceUnavailable):
    """Another server has the cluster, or must make it first."""

    def __init__(self, message: str) -> None:
        super().__init__(message, details={"retryAfterSeconds": 1}, headers=SOON)


class SharedDirectory(Directory):
    """The clusters that this server has claimed.

    `fresh` returns once `places` are as new as the store of the server's own cluster.
    """

    def __init__(
        self,
        host: Host,
        journal: SharedStorage,
        most: int = 0,
        fresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(host, journal, most)
        self.shared = journal
        self.metrics = SharedMetrics()
        self._fresh_places = fresh
        self._journals: dict[str, ClaimedJournal] = {}
        """The journals of clusters that are in memory, or come into it or leave it, by UID."""
        self._lead: ClaimedJournal | None = None
        self.records = Records(journal, MOST_ROWS)
        self.records.writer = None
        journal.on_lapse = self._lapsed

    # Claims

    async def elsewhere(self, name: str) -> str:
        """The address of the server that has a cluster in memory, "" when this one may; NotFound."""
        if name not in self.places and self._fresh_places is not None:
            await self._fresh_places()
        return await self.shared.claimant(self._place(name).uid)

    async def journal_of(self, name: str, uid: str, opened: Opened) -> RowStore:
        try:
            claim = await self.shared.claim(uid)
        except Taken:
            raise ClusterUnavailable("another server has claimed the cluster, try again") from None
        opened.on_close("a claim", lambda: self._release(claim))
        journal = ClaimedJournal(self.shared, claim, lambda: self._lost(name, uid))
        self._journals[uid] = journal
        if claim.before not in ("", self.shared.address):
            self.metrics.taken_over.inc()
            log.info("A cluster of a server that has gone was taken over", cluster=name, server=claim.before)
        return journal

    async def _release(self, claim: Claim) -> None:
        journal = self._journals.pop(claim.name, None)
        if journal is not None:
            journal.close()
        if not self.shared.holds_lease():
            return
        with contextlib.suppress(StorageError):  # then it ends with the lease, or with the next claim
            await self.shared.release(claim)

    def check(self, uid: str) -> None:
        journal = self._journals.get(uid)
        if journal is None or not journal.open or not self.shared.holds_lease():
            raise ClusterUnavailable("another server may have claimed the cluster by now, try again")

    def _lost(self, name: str, uid: str) -> None:
        """Give up a cluster that another server may have claimed by now."""
        known = self.open.get(name)
        if known is not None and known.uid == uid:
            log.warning("A cluster was given up: it is not sure who may write it", cluster=name)
            self._give_up(known)

    def _lapsed(self) -> None:
        """Give up all clusters: the lease of this server has ended."""
        self.resign()
        for journal in self._journals.values():
            journal.close()
        for known in list(self.open.values()):
            self._give_up(known)

    def _give_up(self, known: LogicalCluster) -> None:
        del self.open[known.name]
        self._close(known)
        self.metrics.lost.inc()

    @contextlib.asynccontextmanager
    async def held(self, uid: str) -> AsyncIterator[None]:
        """Hold the claim of a cluster; ClusterUnavailable when another server does not give it up."""
        for _ in range(LOOKS):
            with contextlib.suppress(Taken):
                claim = await self.shared.claim(uid)
                break
            await asyncio.sleep(LOOK)
        else:
            raise ClusterUnavailable("another server has the cluster in memory")
        try:
            yield
        finally:
            with contextlib.suppress(StorageError):
                await self.shared.release(claim)

    # The server that makes and removes clusters

    @property
    def leads(self) -> bool:
        return self._lead is not None

    async def lead(self) -> bool:
        """Become the server that makes and removes clusters, unless another one is."""
        try:
            claim = await self.shared.claim(CONTROLLER)
        except Taken:
            return False
        self._lead = self.records.writer = ClaimedJournal(self.shared, claim, self.resign)
        return True

    def resign(self) -> None:
        """Leave it to others to make and remove clusters."""
        if self._lead is not None:
            self._lead.close()
            self._lead = self.records.writer = None

    async def provision(self, name: str, copies: tuple[str, ...] = ()) -> None:
        if self.leads:
            await super().provision(name, copies)
        elif await self.records.read(self._place(name).uid) is None:
            raise ClusterUnavailable("the cluster is being made, try again")

    async def _recorded(self, name: str, place: ClusterPlace) -> ClusterRecord:
        if not self.leads and await self.records.read(place.uid) is None:
            raise ClusterUnavailable("the cluster is being made, try again")
        return await super()._recorded(name, place)

    async def wake(self, name: str) -> LogicalCluster:
        if not self.shared.holds_lease():
            raise ClusterUnavailable("this server has no lease of etcd, try again")
        return await super().wake(name)

    async def _open(self, name: str, place: ClusterPlace) -> LogicalCluster:
        try:
            return await super()._open(name, place)
        except Unavailable as error:
            raise ClusterUnavailable(str(error)) from error
