"""Two servers with one etcd allocate node ports and cluster IPs from small ranges at the same time."""

import asyncio
import base64
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.http_client import Connection

from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.server import Subprocess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
]

SERVICES = "/api/v1/namespaces/default/services"
FIRST, LAST = 30000, 30019
ADDRESSES = 30
"""The addresses of a /27."""


@pytest.fixture
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


@pytest.fixture
def servers(etcd: EtcdCluster) -> Iterator[list[Subprocess]]:
    flags = [
        "--storage-backend=etcd3",
        f"--etcd-servers={etcd.urls[0]}",
        f"--service-node-port-range={FIRST}-{LAST}",
        "--service-cluster-ip-range=10.0.0.0/27",
    ]
    with Subprocess(flags) as first, Subprocess(flags) as second:
        yield [first, second]


def marked(etcd: EtcdCluster) -> set[int]:
    """The ports that are marked in etcd, as its own client shows them."""
    command = [
        "etcdctl",
        f"--endpoints={etcd.urls[0]}",
        "get",
        "/registry/ranges/servicenodeports",
        "-w",
        "json",
    ]
    [kv] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["kvs"]
    found = json.loads(base64.b64decode(kv["value"]))
    assert (found["kind"], found["range"]) == ("RangeAllocation", f"{FIRST}-{LAST}")
    bits = int.from_bytes(base64.b64decode(found["data"]), "big")
    return {FIRST + n for n in range(bits.bit_length()) if bits >> n & 1}


CONNECTIONS = 8
"""Connections to each of the two servers, which is less than half of what a range holds."""


async def fill(
    server: Subprocess, prefix: str, spec: dict[str, Any], begun: asyncio.Barrier
) -> tuple[list[Any], set[str]]:
    """Create services from all connections until nothing is left.

    Return the services and the last errors. Each connection waits at `begun` when it has created its
    first service, so that a server that starts late still gets its share.
    """
    made: list[Any] = []
    failures: set[str] = set()

    async def one(worker: int) -> None:
        connection = Connection(server.port, server.context(), 30)
        for number in range(40):
            body = {
                "metadata": {"name": f"{prefix}-{worker}-{number}"},
                "spec": {"ports": [{"port": 80}], **spec},
            }
            status, answer = await connection.request("POST", SERVICES, body)
            if status != 201:
                failures.add(f"{status} {answer['message']}")
                break
            made.append(answer)
            if number == 0:
                await begun.wait()
        await connection.end()

    await asyncio.gather(*(one(worker) for worker in range(CONNECTIONS)))
    return made, failures


async def fill_both(servers: list[Subprocess], spec: dict[str, Any]) -> list[tuple[list[Any], set[str]]]:
    """Fill the ranges from both servers at the same time."""
    begun = asyncio.Barrier(2 * CONNECTIONS)
    async with asyncio.timeout(60):
        return list(
            await asyncio.gather(fill(servers[0], "a", spec, begun), fill(servers[1], "b", spec, begun))
        )


def test_no_port_is_given_out_twice(etcd: EtcdCluster, servers: list[Subprocess]) -> None:
    async def main() -> None:
        results = await fill_both(servers, {"type": "NodePort"})
        made = [service for result in results for service in result[0]]
        ports = [service["spec"]["ports"][0]["nodePort"] for service in made]
        assert sorted(ports) == list(range(FIRST, LAST + 1))
        assert len({service["spec"]["clusterIP"] for service in made}) == len(made)
        full = "500 Internal error occurred: failed to allocate a nodePort: range is full"
        assert {failure for result in results for failure in result[1]} == {full}
        assert all(len(result[0]) >= CONNECTIONS for result in results)
        assert marked(etcd) == set(ports)

        one, other = (Connection(server.port, server.context(), 30) for server in servers)
        for service in made[:5]:
            assert (await one.request("DELETE", f"{SERVICES}/{service['metadata']['name']}"))[0] == 200
            port = service["spec"]["ports"][0]["nodePort"]
            again = {
                "metadata": {"name": f"again-{port}"},
                "spec": {
                    "type": "NodePort",
                    "clusterIP": service["spec"]["clusterIP"],
                    "ports": [{"port": 1}],
                },
            }
            again["spec"]["ports"][0]["nodePort"] = port
            status, answer = await other.request("POST", SERVICES, again)
            assert status == 201, answer
            status, answer = await one.request("POST", SERVICES, {**again, "metadata": {"name": "late"}})
            assert status == 422 and "already allocated" in answer["message"]
        assert marked(etcd) == set(ports)
        await one.end()
        await other.end()

    asyncio.run(main())


def test_no_address_is_given_out_twice(servers: list[Subprocess]) -> None:
    async def main() -> None:
        client = Connection(servers[0].port, servers[0].context(), 30)
        mine = {
            "metadata": {"name": "10.0.0.30"},
            "spec": {"parentRef": {"resource": "gateways", "name": "g"}},
        }
        addresses = "/apis/networking.k8s.io/v1/ipaddresses"
        assert (await client.request("POST", addresses, mine))[0] == 201
        results = await fill_both(servers, {})
        given = [service["spec"]["clusterIP"] for result in results for service in result[0]]
        assert len(given) == len(set(given)) == ADDRESSES - 2, "all but that of `kubernetes` and the user's"
        assert "10.0.0.30" not in given
        full = "500 Internal error occurred: failed to allocate a serviceIP: range is full"
        assert {failure for result in results for failure in result[1]} == {full}
        _, listed = await client.request("GET", addresses)
        assert {item["metadata"]["name"] for item in listed["items"]} == {*given, "10.0.0.1", "10.0.0.30"}
        await client.end()

    asyncio.run(main())
