import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from eventually import aeventually
from virtual_time import VirtualLoop

from pilothouse.api import meta
from pilothouse.controllers import leases
from pilothouse.controllers.leases import PREFIX, RENEW, TTL, IdentityLease, KubernetesEndpoints
from pilothouse.registry.cached import CachedReaders
from pilothouse.registry.catalog import default_catalog
from pilothouse.registry.client import Client
from pilothouse.registry.store import Store
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.watchcache import Cacher


def run(check: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        storage = MemoryStorage(asyncio.get_running_loop().time)
        await storage.start()
        cacher = Cacher(storage)
        await cacher.start()
        store, catalog = Store(storage, cacher), default_catalog({})
        try:
            await check(Client(store, catalog, CachedReaders(store, catalog), None, "kube-apiserver"))
        finally:
            await cacher.close()
            await storage.close()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def addresses(client: Client) -> list[str]:
    live = client.get(client.resource("", "v1", "endpoints"), "default", "kubernetes")
    assert live is not None
    slice_ = client.get(client.resource("discovery.k8s.io", "v1", "endpointslices"), "default", "kubernetes")
    assert slice_ is not None
    found = [a["ip"] for s in live.get("subsets") or [] for a in s["addresses"]]
    assert found == [a for e in slice_.get("endpoints") or [] for a in e["addresses"]]
    return found


async def until(reached: Callable[[], Any]) -> None:
    def check() -> Any:
        try:
            return reached()
        except AssertionError:
            return None

    await aeventually(check, "the endpoints", 3)


def test_every_live_server_is_an_endpoint() -> None:
    async def check(client: Client) -> None:
        one = KubernetesEndpoints(client, "192.0.2.10", 6443)
        two = KubernetesEndpoints(client, "192.0.2.9", 6444)
        one.start()
        await until(lambda: addresses(client) == ["192.0.2.10"])
        two.start()
        await until(lambda: addresses(client) == ["192.0.2.9", "192.0.2.10"])
        kv = await client.store.storage.get(PREFIX + "192.0.2.9")
        assert kv is not None and kv.lease
        assert orjson.loads(kv.value)["subsets"] == [{"addresses": [{"ip": "192.0.2.9"}]}]
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        await loop.advance(10 * TTL)  # both renew their keys
        assert addresses(client) == ["192.0.2.9", "192.0.2.10"]
        await two._loop.close()  # killed: its key runs out, and the others hear of it at once
        await loop.advance(TTL - RENEW)
        assert addresses(client) == ["192.0.2.9", "192.0.2.10"]
        await loop.advance(RENEW + 0.1)
        assert addresses(client) == ["192.0.2.10"]
        await one.close()
        assert addresses(client) == []

    run(check)


def test_a_loopback_address_is_of_no_use() -> None:
    async def check(client: Client) -> None:
        one = KubernetesEndpoints(client, "127.0.0.1", 6443)
        one.start()
        await asyncio.sleep(0.01)
        await one.close()
        assert await client.store.storage.get(PREFIX + "127.0.0.1") is None

    run(check)


def lease(name: str, renewed: str) -> dict[str, Any]:
    return {
        "kind": "Lease",
        "apiVersion": "coordination.k8s.io/v1",
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "labels": {leases.IDENTITY: "kube-apiserver"},
        },
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 3600, "renewTime": renewed},
    }


def test_identity_is_renewed_and_old_ones_go() -> None:
    async def check(client: Client) -> None:
        resource = client.resource("coordination.k8s.io", "v1", "leases")
        await client.create(resource, lease("gone", "2020-01-01T00:00:00.000000Z"))
        await client.create(resource, lease("there", meta.now_micro()))
        identity = IdentityLease(client, lease("mine", "2020-01-01T00:00:00.000000Z"))
        identity.start()
        await until(lambda: client.get(resource, "kube-system", "gone") is None)
        await until(lambda: client.get(resource, "kube-system", "mine") is not None)
        await identity._renew()
        mine = client.get(resource, "kube-system", "mine")
        assert mine is not None and mine["spec"]["renewTime"] > "2026"
        assert client.get(resource, "kube-system", "there") is not None
        await identity.close()

    run(check)


@pytest.mark.parametrize("spec", [{}, {"renewTime": "2020-01-01T00:00:00.000000Z"}])
def test_a_lease_without_times_is_nobodys(spec: dict[str, Any]) -> None:
    assert leases._expired(spec, 0)
