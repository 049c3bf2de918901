"""Three servers on one etcd charge one quota at the same time, and one of them is killed."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.http_client import Connection, Lost
from eventually import aeventually

from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.server import Subprocess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
]

NS = "/api/v1/namespaces/default"
PODS, QUOTA = f"{NS}/pods", f"{NS}/resourcequotas/q"
LIMIT, CREATORS = 100, 64


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Subprocess]]:
    """The first one counts anew."""
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as cluster:
        flags = ["--storage-backend=etcd3", f"--etcd-servers={cluster.urls[0]}"]
        flags.append("--disable-admission-plugins=ServiceAccount")
        with (
            Subprocess([*flags, "--controllers=resourcequota"]) as first,
            Subprocess(flags) as second,
            Subprocess(flags) as third,
        ):
            yield [first, second, third]


async def used(connection: Connection) -> int:
    _, quota = await connection.request("GET", QUOTA)
    return int(((quota.get("status") or {}).get("used") or {}).get("pods", -1))


async def until_used(connection: Connection, wanted: int) -> None:
    async def reached() -> bool:
        return await used(connection) == wanted

    await aeventually(reached, f"{wanted} pods charged", 15)


async def create(server: Subprocess, worker: int) -> set[int]:
    """Create pods until there is no place or no server; the answers there were."""
    connection = Connection(server.port, server.context(), 30)
    answers: set[int] = set()
    for number in range(20):
        body: dict[str, Any] = {
            "metadata": {"name": f"p-{worker}-{number}"},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
        try:
            status, _ = await connection.request("POST", PODS, body)
        except (Lost, TimeoutError):
            break
        answers.add(status)
        if status == 403:
            break
    connection.close()
    return answers


def test_no_pod_too_many(servers: list[Subprocess]) -> None:
    async def main() -> None:
        reader = Connection(servers[0].port, servers[0].context(), 30)
        quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": str(LIMIT)}}}
        assert (await reader.request("POST", f"{NS}/resourcequotas", quota))[0] == 201
        await until_used(reader, 0)

        creators = [create(servers[n % 3], n) for n in range(CREATORS)]
        creating = asyncio.gather(*creators)
        while await used(reader) < LIMIT // 3:
            await asyncio.sleep(0.005)
        process = servers[2].process
        assert process is not None
        process.kill()
        answers = await creating
        assert set().union(*answers) == {201, 403}

        _, found = await reader.request("GET", PODS)
        there = len(found["items"])
        assert LIMIT - CREATORS < there <= LIMIT
        await until_used(reader, there)  # also what the killed server has charged for nothing

        more = await asyncio.gather(*(create(servers[n % 2], CREATORS + n) for n in range(CREATORS)))
        _, found = await reader.request("GET", PODS)
        assert len(found["items"]) == LIMIT == await used(reader), more

        for item in found["items"][:10]:
            path = f"{PODS}/{item['metadata']['name']}?gracePeriodSeconds=0"
            assert (await reader.request("DELETE", path))[0] == 200
        await until_used(reader, LIMIT - 10)
        await reader.end()

    asyncio.run(main())
