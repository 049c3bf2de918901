"""Looks after all logical clusters in memory with one timer, so that an idle one costs none."""

import asyncio
import time

from pilothouse.clusters.directory import Directory
from pilothouse.clusters.logical import LogicalCluster
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

PERIOD = 5.0
"""Seconds between two looks."""
COMPACTION = 300.0
"""Seconds between two compactions of the clusters in which something was written."""
GRACE = 5.0
"""Seconds without a request after which a cluster that is to be suspended leaves memory."""
CACHES = 256 << 20
"""Bytes that the caches of all clusters may take together."""


class Janitor(BackgroundTask):
    """Suspends idle clusters, compacts and repairs those that were written, and evicts what they remember.

    idle: seconds without a request after which a cluster leaves memory, 0 for never. `grace` is that of those
    that are to be suspended.
    """

    def __init__(
        self,
        directory: Directory,
        idle: float,
        *,
        period: float = PERIOD,
        grace: float = GRACE,
        caches: int = CACHES,
    ) -> None:
        self._directory = directory
        self._idle = idle
        self._period = period
        self._grace = grace
        self._caches = caches
        self._compacted = time.monotonic()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._period)
            now = time.monotonic()
            try:
                await self._suspend(now)
                self._look(now)
                if now - self._compacted >= COMPACTION:
                    self._compacted = now
                    await self._compact()
                    await self._directory.records.sweep()
            except StorageError as error:
                log.warning("Logical clusters were not looked after, it is tried again", err=error)

    async def _suspend(self, now: float) -> None:
        for name, one in list(self._directory.open.items()):
            if not one.open_requests and now - one.used >= self._patience(name):
                await self._directory.suspend(name)
                log.info("A cluster has left memory", cluster=name, level=2)

    def _patience(self, name: str) -> float:
        place = self._directory.places.get(name)
        if place is not None and place.suspend:
            return self._grace
        return self._idle or float("inf")

    def _look(self, now: float) -> None:
        """Divide seats and sweep caches of the clusters that are used."""
        total = 0
        clusters = list(self._directory.open.values())
        for one in clusters:
            if one.open_requests or now - one.used < 2 * PERIOD:
                one.host.look()
                one.host.caches.sweep()
            total += one.host.caches.used
        if total > self._caches:
            for one in clusters:
                one.host.caches.halve()

    async def _compact(self) -> None:
        """Compact each cluster to what was its newest revision at the last compaction."""
        for one in list(self._directory.open.values()):
            await _compacted(one)


async def _compacted(one: LogicalCluster) -> None:
    target, one.compactable = one.compactable, one.storage.revision
    if target > one.storage.compacted:
        await one.storage.compact(target)
    if target != one.compactable:
        await one.host.repair()
