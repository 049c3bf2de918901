"""Leases for keys that expire, each shared by many keys (apiserver storage/etcd3 lease_manager)."""

import asyncio
import math

from pilothouse.process.record import record
from pilothouse.storage.etcd import rpc as etcd_rpc
from pilothouse.storage.etcd import wire as etcd_wire
from pilothouse.storage.etcd.metrics import EtcdMetrics
from pilothouse.storage.etcd.rpc import Rpc

REUSE_SECONDS = 60
"""Seconds for which a lease is used for more keys, at most (--lease-reuse-duration-seconds)."""

REUSE_SHARE = 0.05
"""The same time as a share of the lease's length; the shorter one counts."""

MAX_KEYS = 1000
"""The most keys on one lease; etcd deletes them all at once."""


@record
class _Lease:
    id: int
    expires: float
    keys: int = 0


class Leases:
    """Hands out lease ids; a key expires between `ttl` and `ttl` plus the reuse time after its write."""

    def __init__(
        self, rpc: Rpc, reuse_seconds: float = REUSE_SECONDS, metrics: EtcdMetrics | None = None
    ) -> None:
        self._rpc = rpc
        self._metrics = metrics or EtcdMetrics()
        self._reuse_seconds = reuse_seconds
        self._known: dict[int, _Lease] = {}
        self._locks: dict[int, asyncio.Lock] = {}

    async def get(self, ttl: float) -> int:
        """The id of a lease that lasts at least `ttl` more seconds (at least 1, whole ones)."""
        seconds = max(math.ceil(ttl), 1)
        async with self._locks.setdefault(seconds, asyncio.Lock()):
            now = asyncio.get_running_loop().time()
            lease = self._known.get(seconds)
            if lease is None or lease.keys >= MAX_KEYS or lease.expires < now + seconds:
                length = seconds + int(min(self._reuse_seconds, seconds * REUSE_SHARE))
                answer = await self._rpc.write(etcd_rpc.LEASE_GRANT, etcd_wire.lease_grant(length))
                if lease is not None:
                    self._metrics.lease_keys.observe(lease.keys)
                lease = self._known[seconds] = _Lease(etcd_wire.lease_id(answer), now + length)
            lease.keys += 1
            return lease.id

    def forget(self, id: int) -> None:
        """Never hand out this lease again: etcd no longer has it."""
        for ttl, lease in list(self._known.items()):
            if lease.id == id:
                del self._known[ttl]
