"""While a server's watch of etcd is silent, reads that must not be stale are answered from etcd."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.etcd_proxy import EtcdProxy
from e2e.http_client import Connection

from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.server import Subprocess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
]

MAPS = "/api/v1/namespaces/default/configmaps"
METRIC = "apiserver_watch_cache_consistent_read_total"


@pytest.fixture
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


def flags(url: str) -> list[str]:
    return ["--storage-backend=etcd3", f"--etcd-servers={url}"]


def config_map(name: str, value: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {"v": value}}


async def at_once(server: Subprocess, *requests: tuple[Any, ...]) -> list[tuple[int, Any]]:
    """The answers to requests that wait beside each other, each on a connection of its own."""
    clients = [Connection(server.port, server.context()) for _ in requests]
    pairs = zip(clients, requests, strict=True)
    answers = await asyncio.gather(*(client.request(*sent) for client, sent in pairs))
    for client in clients:
        await client.end()
    return list(answers)


def seen(listed: Any) -> dict[str, str]:
    return {i["metadata"]["name"]: i["data"]["v"] for i in listed["items"] if "v" in i["data"]}


def test_reads_fall_back_to_etcd(etcd: EtcdCluster) -> None:
    async def main(proxy: EtcdProxy, stalled: Subprocess, other: Subprocess) -> None:
        reader = Connection(stalled.port, stalled.context())
        writer = Connection(other.port, other.context())
        for name in ("a", "b"):
            status, _ = await reader.request("POST", MAPS, config_map(name, "old"))
            assert status == 201
        proxy.hold()
        _, old = await writer.request("GET", f"{MAPS}/a")
        status, made = await writer.request("PUT", f"{MAPS}/a", {**old, "data": {"v": "new"}})
        assert status == 200
        version = made["metadata"]["resourceVersion"]

        status, found = await reader.request("GET", f"{MAPS}/a?resourceVersion=0")
        assert (status, found["data"]) == (200, {"v": "old"})
        start = time.monotonic()
        (status, found), (listing, listed), (paging, page) = await at_once(
            stalled, ("GET", f"{MAPS}/a"), ("GET", MAPS), ("GET", f"{MAPS}?limit=1")
        )
        assert time.monotonic() - start > 2.5
        assert (status, found) == (200, made)
        assert listing == 200 and seen(listed) == {"a": "new", "b": "old"}
        assert paging == 200 and seen(page) == {"a": "new"}
        token = page["metadata"]["continue"]
        status, rest = await reader.request("GET", f"{MAPS}?limit=5&continue={token}")
        assert status == 200 and seen(rest) == {"b": "old"}
        assert rest["metadata"]["resourceVersion"] == page["metadata"]["resourceVersion"]
        *late, (status, failure) = await at_once(
            stalled,
            ("GET", f"{MAPS}/a?resourceVersion={version}"),
            ("GET", f"{MAPS}?resourceVersion={version}"),
            ("POST", MAPS, config_map("c", "x")),
        )
        assert status == 500 and "does not keep up" in failure["message"]
        for status, failure in late:
            assert status == 504 and failure["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
            assert failure["details"]["retryAfterSeconds"] == 1
        _, text = await reader.request("GET", "/metrics")
        fallen = [line for line in text.splitlines() if line.startswith(METRIC) and 'fallback="true"' in line]
        labels = 'fallback="true",group="",resource="configmaps",success="true"'
        assert f"{METRIC}{{{labels}}} 3" in fallen

        proxy.release()
        end = time.monotonic() + 20
        while True:  # a watch that was silent for long may be made anew; clients come again as they are told
            status, found = await reader.request("GET", f"{MAPS}/a?resourceVersion={version}")
            if status != 504 or time.monotonic() > end:
                break
        assert (status, found) == (200, made)
        status, _ = await reader.request("POST", MAPS, config_map("c", "x"))
        assert status == 201
        status, listed = await writer.request("GET", MAPS)
        assert seen(listed) == {"a": "new", "b": "old", "c": "x"}
        _, text = await writer.request("GET", "/metrics")
        assert not [s for s in text.splitlines() if s.startswith(METRIC) and 'fallback="true"' in s]
        await reader.end()
        await writer.end()

    with (
        EtcdProxy(etcd.urls[0]) as proxy,
        Subprocess(flags(etcd.urls[0])) as other,
        Subprocess(flags(proxy.url)) as stalled,
    ):
        asyncio.run(main(proxy, stalled, other))
