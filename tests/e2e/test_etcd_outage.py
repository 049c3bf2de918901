"""One server on one etcd that goes away and comes back."""

import asyncio
import base64
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from http_client import Connection

from pilothouse.testing.etcd import BINARY, Cluster
from pilothouse.testing.server import InProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
]

MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


@pytest.fixture
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


@pytest.fixture
def server(etcd: Cluster) -> Iterator[InProcess]:
    with InProcess(["--storage-backend=etcd3", f"--etcd-servers={etcd.urls[0]}"]) as running:
        yield running


def test_cached_reads_go_on_and_all_is_well_afterwards(etcd: Cluster, server: InProcess) -> None:
    async def main() -> None:
        client = Connection(server.port, server.context(), 30)
        status, made = await client.request("POST", MAPS, config_map("a", x="1"))
        assert status == 201
        watcher = Connection(server.port, server.context())
        since = made["metadata"]["resourceVersion"]
        watch = await watcher.watch(f"{MAPS}?watch=1&resourceVersion={since}")
        await asyncio.to_thread(etcd.kill, 0)
        status, found = await client.request("GET", f"{MAPS}/a?resourceVersion=0")
        assert (status, found["data"]) == (200, {"x": "1"})
        start = time.monotonic()
        status, failure = await client.request("POST", MAPS, config_map("b"))
        assert status == 500 and "connect" in failure["message"] and failure["reason"] == "InternalError"
        status, failure = await client.request("GET", f"{MAPS}/a")
        assert status == 500 and failure["kind"] == "Status"
        assert time.monotonic() - start < 25
        status, _ = await client.request("GET", "/readyz/etcd-readiness")
        assert status == 500
        status, _ = await client.request("GET", "/livez/etcd")
        assert status == 500
        etcd.start(0)
        await asyncio.to_thread(etcd.wait)
        end = time.monotonic() + 15
        while (await client.request("GET", "/readyz/etcd"))[0] != 200:
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        status, made = await client.request("POST", MAPS, config_map("c"))
        assert status == 201
        event = await asyncio.wait_for(watch.next(), 5)
        assert event is not None and event["object"]["metadata"]["name"] == "c"
        await client.end()
        await watcher.end()

    asyncio.run(main())


def test_an_independent_observer_sees_what_is_stored(etcd: Cluster, server: InProcess) -> None:
    async def main() -> None:
        client = Connection(server.port, server.context())
        status, made = await client.request("POST", MAPS, config_map("a", x="1"))
        assert status == 201
        event = {
            "metadata": {"name": "e", "namespace": "default"},
            "involvedObject": {"namespace": "default"},
        }
        status, _ = await client.request("POST", "/api/v1/namespaces/default/events", event)
        assert status == 201
        await client.end()
        return made

    made: Any = asyncio.run(main())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import etcd3

        host, _, port = etcd.urls[0].rpartition("/")[2].partition(":")
        observer = etcd3.Client(host, int(port))
        [pair] = observer.range("/registry/configmaps/default/a").kvs
        [event] = observer.range("/registry/events/default/e").kvs
        keys = [kv.key for kv in observer.range("/registry/", prefix=True, keys_only=True).kvs]
        observer.close()
    import orjson

    stored = orjson.loads(pair.value)
    assert str(pair.mod_revision) == made["metadata"].pop("resourceVersion")
    assert stored == made
    assert event.lease
    wanted = (b"/registry/namespaces/default", b"/registry/services/specs/default/kubernetes")
    assert set(wanted) <= set(keys)
    assert base64.b64encode(pair.value[:1]) == b"ew=="
