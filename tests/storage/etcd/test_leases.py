import asyncio
from typing import Any

from metric_samples import samples

from pilothouse.storage.etcd import leases as etcd_leases
from pilothouse.storage.etcd.leases import Leases
from pilothouse.storage.etcd.metrics import EtcdMetrics
from pilothouse.wire import message, parse


class Rpc:
    """Grants leases with the numbers 1, 2, ..."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    async def write(self, method: str, request: bytes) -> bytes:
        self.lengths.append(dict(parse(request))[1])
        await asyncio.sleep(0)
        return message((2, len(self.lengths)))


def test_many_keys_share_a_lease() -> None:
    async def main() -> None:
        rpc: Any = Rpc()
        metrics = EtcdMetrics()
        leases = Leases(rpc, metrics=metrics)
        ids = await asyncio.gather(*(leases.get(3600) for _ in range(etcd_leases.MAX_KEYS)))
        assert set(ids) == {1}
        assert rpc.lengths == [3660]
        assert samples(metrics) == {}
        assert await leases.get(3600) == 2
        assert samples(metrics)["etcd_lease_object_counts_sum"] == "1000"
        assert await leases.get(15) == 3
        assert rpc.lengths[-1] == 15
        leases.forget(2)
        assert await leases.get(3600) == 4

    asyncio.run(main())


def test_fractions_count_as_a_second() -> None:
    async def main() -> None:
        rpc: Any = Rpc()
        await Leases(rpc).get(0.05)
        assert rpc.lengths == [1]

    asyncio.run(main())
