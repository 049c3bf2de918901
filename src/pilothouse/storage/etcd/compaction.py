"""Compaction of an etcd that several servers share, kube-apiservers too (apiserver etcd3/compact.go)."""

import asyncio

from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.storage.etcd import rpc as etcd_rpc
from pilothouse.storage.etcd import wire as etcd_wire
from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.storage.etcd.watch import EtcdWatch, WatchListener
from pilothouse.storage.etcd.wire import EtcdEvent
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

KEY = b"compact_rev_key"
"""The key whose value is the revision compacted last, and whose version counts the turns.
The server that raises it compacts."""

RETRY = 1.0
"""Seconds until the key is watched again after its watch has ended."""


class EtcdCompaction(BackgroundTask):
    """Every `interval` seconds one server compacts to what was the newest revision an interval ago.

    The others learn by a watch of the key to which revision it did.
    With an interval of 0 this server never compacts.
    """

    def __init__(self, storage: EtcdStorage, interval: float = 300.0) -> None:
        self._storage = storage
        self._interval = interval
        self._version = 0
        self._revision = 0

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            if self._interval:
                tasks.create_task(self._compact())

    async def _compact(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.turn()
            except StorageError as error:
                log.warning("Compaction failed, it is tried again", err=error)

    async def _follow(self) -> None:
        """Tell the store of every compaction, also of those that other servers make."""
        while True:
            await self._follow_once()
            await asyncio.sleep(RETRY)

    async def _follow_once(self) -> None:
        ended = asyncio.Event()
        listener = WatchListener(self._changed, on_error=lambda _: ended.set())
        watch = EtcdWatch(self._storage.rpc, (KEY, KEY + b"\0"), self._storage.revision + 1, listener)
        try:
            await ended.wait()
        finally:
            watch.close()
            await watch.closed()

    def _changed(self, changes: list[EtcdEvent]) -> None:
        value = changes[-1].kv.value
        if not changes[-1].deleted and value.isdigit():
            self._storage.note_compacted(int(value))

    async def turn(self) -> int:
        """Compact, unless another server has done so since our last turn.
        Returns the compacted revision, or 0."""
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
