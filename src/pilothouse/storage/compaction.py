"""Compacts the history of the embedded stores at regular intervals (apiserver storage/etcd3/compact.go)."""

import asyncio

from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.lifecycle import Background, BackgroundTask
from pilothouse.logs import Logger
from pilothouse.storage.interface import Full, Op, Storage, StorageError

log = Logger(__name__)

KEY = "compact_rev_key"
"""The key whose value is the revision compacted last, as in etcd.
Its write makes every turn a revision of its own."""


class CompactionLoop(BackgroundTask):
    """Every `interval` seconds, compacts to what was the newest revision one interval ago.

    So a continue token or an exact resourceVersion is good for one interval at least and for less than two,
    whether anything is written in between or not.
    """

    def __init__(self, storage: Storage, interval: float = 300.0) -> None:
        self._storage = storage
        self._interval = interval
        self._revision = 0

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self._turn()
            except StorageError as error:
                log.warning("Compaction failed, it is tried again", revision=self._revision, err=error)

    async def _turn(self) -> None:
        target = self._revision
        try:
            newest = await self._storage.txn([Op(KEY, str(target).encode())])
        except Full:  # compaction is what makes space
            newest = self._storage.revision
        if target > self._storage.compacted:
            await self._storage.compact(target)
        self._revision = newest


def upkeep(storage: Storage, options: StoreOptions, checks: object) -> list[Background]:
    """The background work beside an embedded store (storage/backends.py)."""
    interval = options.etcd_compaction_interval
    return [CompactionLoop(storage, interval)] if interval else []
