import asyncio
from collections.abc import Iterator

import pytest
from eventually import aeventually

from pilothouse.storage.etcd import rpc as etcd_rpc
from pilothouse.storage.etcd import wire as etcd_wire
from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.storage.etcd.compaction import KEY, EtcdCompaction
from pilothouse.storage.interface import Compacted
from pilothouse.testing.etcd import BINARY, EtcdCluster

pytestmark = pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")

P = "/registry/pods/"


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as running:
        yield running


def test_one_of_several_servers_compacts(cluster: EtcdCluster) -> None:
    async def main() -> None:
        store = EtcdStorage(cluster.urls)
        await store.start()
        one, two = EtcdCompaction(store), EtcdCompaction(store)
        first = await store.create(P + "a", b"1")
        assert await one.turn() == 0
        assert await two.turn() == 0
        second = await store.update(P + "a", b"2", first.mod)
        await store.update(P + "a", b"3", second.mod)
        done = await one.turn()
        assert first.mod < done < second.mod
        assert await two.turn() == 0
        found = etcd_wire.range_answer(await store.rpc.read(etcd_rpc.RANGE, etcd_wire.range_request(KEY)))
        assert found.pairs[0].value == str(done).encode()
        assert found.pairs[0].version == 2
        # the one that compacted is gone: the other takes over at its second turn
        assert await two.turn() > done
        with pytest.raises(Compacted):
            await store.get(P + "a", first.mod)
        await store.close()

    asyncio.run(main())


def test_a_server_that_does_not_compact_learns_what_is_gone(cluster: EtcdCluster) -> None:
    async def main() -> None:
        one, two = EtcdStorage(cluster.urls), EtcdStorage(cluster.urls)
        await one.start()
        await two.start()
        follower = EtcdCompaction(two, 0)
        follower.start()
        first = await one.create(P + "a", b"1")
        compaction = EtcdCompaction(one)
        await compaction.turn()
        second = await one.update(P + "a", b"2", first.mod)
        done = await compaction.turn()
        assert first.mod < done < second.mod
        await aeventually(lambda: two.compacted == done, "word of the compaction")
        await follower.close()
        await one.close()
        await two.close()

    asyncio.run(main())


def test_loop_runs_and_stops(cluster: EtcdCluster) -> None:
    async def main() -> None:
        store = EtcdStorage(cluster.urls)
        await store.start()
        loop = EtcdCompaction(store, 0.02)
        loop.start()
        for i in range(20):
            await store.create(f"{P}{i}", b"1")
            await asyncio.sleep(0.01)
        assert store.compacted > 1
        await loop.close()
        await store.close()

    asyncio.run(main())
