"""Compaction of an etcd that several servers share, kube-apiservers too (apiserver etcd3/compact.go)."""

import asyncio
import logging

from pilothouse.lifecycle import BackgroundTask
from pilothouse.storage.etcd import rpc as etcd_rpc
from pilothouse.storage.etcd import wire as etcd_wire
from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.storage.interface import StorageError

log = logging.getLogger(__name__)

KEY = b"compact_rev_key"
"""Its value is the revision compacted last, its version the number of turns: who raises it, compacts."""


class EtcdCompaction(BackgroundTask):
    """Every `interval` seconds one server compacts to what was the newest revision an interval ago."""

    def __init__(self, storage: EtcdStorage, interval: float = 300.0) -> None:
        self._storage = storage
        self._interval = interval
        self._version = 0
        self._revision = 0

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.turn()
            except StorageError as error:
                log.warning("compaction failed, it is tried again: %s", error)

    async def turn(self) -> int:
        """Compact if no other server has done so since our last turn; the revision compacted to, 0 = none."""
        request = etcd_wire.txn_request(
            [etcd_wire.version_is(KEY, self._version)],
            [etcd_wire.op_put(KEY, str(self._revision).encode())],
            [etcd_wire.op_range(etcd_wire.range_request(KEY))],
        )
        answer = etcd_wire.txn_answer(await self._storage.rpc.write(etcd_rpc.TXN, request))
        target, self._revision = self._revision, answer.revision
        if not answer.succeeded:
            pairs = answer.ranges[0].pairs
            self._version = pairs[0].version if pairs else 0
            return 0
        self._version += 1
        if target:
            await self._storage.compact(target)
        return target
