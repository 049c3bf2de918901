"""Has the store forget old history at a steady pace, as kube-apiserver's compactor does."""

import asyncio
import logging
from collections import deque

from pilothouse.lifecycle import BackgroundTask
from pilothouse.storage.interface import Storage, StorageError

log = logging.getLogger(__name__)


class CompactionLoop(BackgroundTask):
    """Compacts every `interval` seconds to what was the newest revision `keep` seconds ago."""

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
                    log.warning("compaction to revision %d failed, it is tried again: %s", target, error)
