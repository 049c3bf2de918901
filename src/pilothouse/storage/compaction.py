"""Compacts the history of the embedded stores at regular intervals, as kube-apiserver's compactor does."""

import asyncio
from collections import deque

from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.storage.interface import Storage, StorageError

log = Logger(__name__)


class CompactionLoop(BackgroundTask):
    """Every `interval` seconds, compacts to the revision that was the newest one `keep` seconds ago."""

    def __init__(self, storage: Storage, interval: float = 300.0, keep: float = 300.0) -> None:
        self._storage = storage
        self._interval = interval
        self._keep = keep

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        seen = deque([(clock(), self._storage.revision)])
        while True:
            await asyncio.sleep(self._interval)
            target = 0
            while seen and seen[0][0] <= clock() - self._keep:
                target = seen.popleft()[1]
            seen.append((clock(), self._storage.revision))
            if target > self._storage.compacted:
                try:
                    await self._storage.compact(target)
                except StorageError as error:
                    log.warning("Compaction failed, it is tried again", revision=target, err=error)
