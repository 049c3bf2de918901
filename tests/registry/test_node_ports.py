"""Node ports: chosen in memory, claimed in the store."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from metric_samples import samples

from pilothouse import wire
from pilothouse.registry import encoding
from pilothouse.registry.allocators import AllocationError
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.node_ports import KEY, NodePortAllocator, decode, encode, ports_of
from pilothouse.storage.interface import StorageError
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.watchcache import Cacher


class Services:
    """Readers that know some services."""

    def __init__(self, *ports: int) -> None:
        self.stored = [{"spec": {"ports": [{"nodePort": port}]}} for port in ports]

    def list(self, resource: str, namespace: str = "") -> list[dict[str, Any]]:
        return self.stored


@asynccontextmanager
async def servers(
    count: int = 1, first: int = 30000, last: int = 30009, services: Any = None
) -> AsyncIterator[Any]:
    """The pools of some servers over one store, and the store."""
    storage = MemoryStorage()
    await storage.start()
    cachers = [Cacher(storage) for _ in range(count)]
    for cacher in cachers:
        await cacher.start()
    readers: Any = services or Services()
    pools = [NodePortAllocator(storage, c, readers, first, last) for c in cachers]
    try:
        yield *pools, storage
    finally:
        for cacher in cachers:
            await cacher.close()
        await storage.close()


async def marked(storage: Any, first: int = 30000) -> set[int]:
    bits = decode((await storage.get(KEY)).value)[1]
    return {first + n for n in range(bits.bit_length()) if bits >> n & 1}


def test_the_stored_form_is_that_of_kube_apiserver() -> None:
    value = orjson.loads(encode("30000-32767", 0b100000001))
    assert value == {
        "kind": "RangeAllocation",
        "apiVersion": "v1",
        "metadata": {},
        "range": "30000-32767",
        "data": base64.b64encode(b"\x01\x01").decode(),
    }
    assert decode(encode("30000-32767", 1 << 2767)) == ("30000-32767", 1 << 2767)
    assert orjson.loads(encode("1-2", 0))["data"] == ""
    assert decode(b'{"range":"1-2","data":null}') == ("1-2", 0)


def test_protobuf_is_read() -> None:
    message = wire.message((1, b""), (2, b"30000-32767"), (3, b"\x01\x00"))
    kind = wire.message((1, b"v1"), (2, b"RangeAllocation"))
    value = b"k8s\0" + wire.message((1, kind), (2, message), (3, b""), (4, b""))
    assert decode(encoding.reader(Catalog())(KEY, value)) == ("30000-32767", 256)


def test_a_port_is_chosen_once_and_claimed_in_the_store() -> None:
    async def main() -> None:
        async with servers() as (ports, storage):
            assert ports.allocate(30007) == 30007
            with pytest.raises(AllocationError, match="provided port is already allocated"):
                ports.allocate(30007)
            assert await ports.claim({30007}) == set()
            assert await marked(storage) == {30007}
            with pytest.raises(AllocationError, match="provided port is already allocated"):
                ports.allocate(30007)
            await ports.give_back({30007})
            assert await marked(storage) == set()
            assert ports.allocate(30007) == 30007
            ports.release(30007)
            ports.allocate(30007)

    asyncio.run(main())


def test_a_full_range() -> None:
    async def main() -> None:
        async with servers() as (ports, _):
            taken = {ports.allocate() for _ in range(5)}
            await ports.claim(taken)
            taken |= {ports.allocate() for _ in range(5)}
            assert taken == set(range(30000, 30010))
            with pytest.raises(AllocationError, match="range is full"):
                ports.allocate()
            found, name = samples(ports.metrics), "kube_apiserver_nodeport_allocator"
            assert found[f'{name}_allocation_total{{scope="dynamic"}}'] == "10"
            assert found[f'{name}_allocation_errors_total{{scope="dynamic"}}'] == "1"

    asyncio.run(main())


def test_a_port_outside_the_range() -> None:
    async def main() -> None:
        async with servers() as (ports, _):
            with pytest.raises(AllocationError) as caught:
                ports.allocate(80)
            text = "provided port is not in the valid range. The range of valid ports is 30000-30009"
            assert str(caught.value) == text
            assert ports.allocate(80, dry_run=True) == 80
            assert 80 not in ports and 30009 in ports

    asyncio.run(main())


def test_users_choose_from_the_lower_part() -> None:
    async def main() -> None:
        async with servers(1, 30000, 32767) as (ports, _):
            assert min(ports.allocate() for _ in range(500)) >= 30086

    asyncio.run(main())


def test_two_servers_never_have_the_same_port() -> None:
    async def main() -> None:
        async with servers(2) as (one, two, storage):
            assert one.allocate(30001) == two.allocate(30001) == 30001
            two.allocate(30002)
            assert list(await asyncio.gather(one.claim({30001}), two.claim({30001, 30002}))) == [
                set(),
                {30001},
            ]
            assert await marked(storage) == {30001}
            two.release(30001)
            with pytest.raises(AllocationError):
                two.allocate(30001)
            await two.give_back({30001})
            assert one.allocate(30001) == 30001

    asyncio.run(main())


def test_concurrent_claims_all_count() -> None:
    async def main() -> None:
        async with servers(3, 30000, 30099) as (*pools, storage):
            chosen: list[tuple[NodePortAllocator, int]] = [
                (pool, pool.allocate()) for pool in pools for _ in range(20)
            ]
            lost = await asyncio.gather(*(pool.claim({port}) for pool, port in chosen))
            won = [port for (_, port), failed in zip(chosen, lost, strict=True) if not failed]
            assert len(won) == len(set(won)) == len({port for _, port in chosen})
            assert await marked(storage) == set(won)

    asyncio.run(main())


def test_a_bitmap_that_is_missing_is_made_of_the_services() -> None:
    async def main() -> None:
        async with servers(1, services=Services(30003, 80)) as (ports, storage):
            with pytest.raises(AllocationError):
                ports.allocate(30003)
            await ports.claim({ports.allocate(30004)})
            assert await marked(storage) == {30003, 30004}

    asyncio.run(main())


def test_a_bitmap_of_another_range() -> None:
    async def main() -> None:
        async with servers() as (ports, storage):
            await storage.create(KEY, encode("29995-30005", 0b1_10000_00001))
            with pytest.raises(AllocationError, match="already allocated"):
                ports.allocate(30005)
            port = ports.allocate(30001)
            with pytest.raises(AllocationError, match="the provided port range does not match"):
                await ports.claim({port})
            await ports.change(lambda bits: bits, rebuild=True)
            assert decode((await storage.get(KEY)).value)[0] == "30000-30009"
            assert await marked(storage) == {30004, 30005}
            assert await ports.claim({port}) == set()

    asyncio.run(main())


def test_a_bitmap_that_can_not_be_read_is_left_alone() -> None:
    async def main() -> None:
        async with servers() as (ports, storage):
            await storage.create(KEY, b"nonsense")
            port = ports.allocate()
            with pytest.raises((AllocationError, StorageError), match="can not be"):
                await ports.claim({port})
            assert (await storage.get(KEY)).value == b"nonsense"

    asyncio.run(main())


def test_a_sweep_lets_go_of_what_was_cut_off() -> None:
    async def main() -> None:
        async with servers() as (ports, _):
            ports.allocate(30001)
            ports.sweep()
            with pytest.raises(AllocationError):
                ports.allocate(30001)
            ports.sweep()
            ports.allocate(30001)

    asyncio.run(main())


def test_ports_of_a_service() -> None:
    spec = {"ports": [{"nodePort": 1}, {"port": 2}, {"nodePort": 0}], "healthCheckNodePort": 3}
    assert ports_of({"spec": spec}) == {1, 3}
    assert ports_of({}) == ports_of({"spec": {"type": "ClusterIP"}}) == set()
