"""Two servers with one etcd act as one."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.http_client import Connection
from eventually import aeventually

from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.server import Subprocess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
]

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"


def definition() -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "maximum": 9}}}},
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [version],
        },
    }


def widget(size: int) -> dict[str, Any]:
    return {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w"},
        "spec": {"size": size},
    }


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Subprocess]]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as cluster:
        flags = ["--storage-backend=etcd3", f"--etcd-servers={cluster.urls[0]}"]
        with Subprocess(flags) as first, Subprocess(flags) as second:
            yield [first, second]


async def until(wanted: int, connection: Connection, path: str) -> None:
    async def reached() -> bool:
        return (await connection.request("GET", path))[0] == wanted

    await aeventually(reached, f"{wanted} from {path}", 30)


def test_a_definition_made_at_one_is_served_by_the_other(servers: list[Subprocess]) -> None:
    """How soon is held by quality/test_aims.py, which has the machine to itself."""

    async def main() -> None:
        first, second = (Connection(server.port, server.context()) for server in servers)
        assert (await second.request("GET", WIDGETS))[0] == 404
        assert (await first.request("POST", DEFINITIONS, definition()))[0] == 201
        await until(200, second, WIDGETS)
        status, made = await second.request("POST", WIDGETS, widget(3))
        assert status == 201
        status, found = await first.request("GET", f"{WIDGETS}/w")
        assert (status, found) == (200, made)
        status, failure = await second.request("PUT", f"{WIDGETS}/w", {**made, "spec": {"size": 10}})
        assert status == 422 and failure["details"]["causes"][0]["field"] == "spec.size"
        assert (await first.request("DELETE", f"{DEFINITIONS}/widgets.example.com"))[0] == 200
        await until(404, second, WIDGETS)
        await first.end()
        await second.end()

    asyncio.run(main())


def test_what_one_wrote_the_other_reads(servers: list[Subprocess]) -> None:
    async def main() -> None:
        maps = "/api/v1/namespaces/default/configmaps"
        first, second = (Connection(server.port, server.context()) for server in servers)
        assert (await first.request("POST", maps, {"metadata": {"name": "m"}, "data": {"n": "-1"}}))[0] == 201
        for turn in range(50):
            writer, reader = (first, second) if turn % 2 else (second, first)
            status, found = await reader.request("GET", f"{maps}/m")
            assert (status, found["data"]) == (200, {"n": str(turn - 1)})
            found["data"] = {"n": str(turn)}
            assert (await writer.request("PUT", f"{maps}/m", found))[0] == 200
        await first.end()
        await second.end()

    asyncio.run(main())
