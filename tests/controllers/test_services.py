"""The repair of address and port pools."""

import asyncio
from types import SimpleNamespace
from typing import Any

from pilothouse.controllers.services import PoolRepair
from pilothouse.registry.allocators import Addresses, NodePorts


class Services:
    """Readers that know services only."""

    def __init__(self) -> None:
        self.stored: list[dict[str, Any]] = []
        self.told: Any = None

    def list(self, resource: str, namespace: str = "") -> list[dict[str, Any]]:
        return self.stored

    def subscribe(self, resource: str, callback: Any) -> None:
        self.told = callback


def service(ip: str, port: int = 0) -> dict[str, Any]:
    return {"metadata": {"name": "s"}, "spec": {"clusterIPs": [ip], "ports": [{"port": 1, "nodePort": port}]}}


def free(pool: Addresses, ip: str) -> bool:
    try:
        pool.allocate(ip)
    except ValueError:
        return False
    pool.release(ip)
    return True


def test_takes_what_is_stored_and_frees_what_nobody_has() -> None:
    async def run() -> None:
        readers = Services()
        pools = SimpleNamespace(addresses=Addresses(["10.0.0.0/24"]), node_ports=NodePorts())
        readers.stored = [service("10.0.0.7", 30007)]
        repair = PoolRepair(readers, pools)  # type: ignore[arg-type]
        repair.start()
        assert not free(pools.addresses, "10.0.0.7")
        pools.addresses.allocate("10.0.0.9")
        repair.repair()
        assert not free(pools.addresses, "10.0.0.9"), "a write may be under way"
        repair.repair()
        assert free(pools.addresses, "10.0.0.9")
        readers.told("key", service("10.0.0.8", 30008), None)
        assert not free(pools.addresses, "10.0.0.8")
        readers.stored = []
        repair.repair()
        repair.repair()
        assert free(pools.addresses, "10.0.0.7")
        assert pools.node_ports.allocate(30007) == 30007
        repair.close()

    asyncio.run(run())
