"""One server with one etcd that stops and starts again."""

import asyncio
import base64
import signal
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.http_client import Connection
from eventually import aeventually

from pilothouse import cli
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.server import InProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
]

MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


@pytest.fixture
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


@pytest.fixture
def server(etcd: EtcdCluster) -> Iterator[InProcess]:
    with InProcess(["--storage-backend=etcd3", f"--etcd-servers={etcd.urls[0]}"]) as running:
        yield running


def test_cached_reads_go_on_and_all_is_well_afterwards(etcd: EtcdCluster, server: InProcess) -> None:
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
        (status, failure), (read, unread) = await asyncio.gather(
            one_shot(server, "POST", MAPS, config_map("b")), one_shot(server, "GET", f"{MAPS}/a", None)
        )
        assert status == 500 and "connect" in failure["message"] and failure["reason"] == "InternalError"
        assert read == 500 and unread["kind"] == "Status"
        status, text = await client.request("GET", "/readyz?verbose")
        assert status == 500 and "[-]etcd failed" in text and "[-]etcd-readiness failed" in text
        assert "[+]ping ok" in text
        status, _ = await client.request("GET", "/livez/etcd")
        assert status == 500
        etcd.start(0)
        await asyncio.to_thread(etcd.wait)
        await well(client)
        status, made = await client.request("POST", MAPS, config_map("c"))
        assert status == 201
        event = await asyncio.wait_for(watch.next(), 30)
        assert event is not None and event["object"]["metadata"]["name"] == "c"
        await client.end()
        await watcher.end()

    asyncio.run(main())


def test_an_etcd_that_hangs_is_given_up_in_time(etcd: EtcdCluster, server: InProcess) -> None:
    """Nobody waits for longer than the time-outs say, and what was refused did not wait for its turn."""

    async def main() -> None:
        client = Connection(server.port, server.context(), 30)
        assert (await client.request("POST", MAPS, config_map("a", x="1")))[0] == 201
        etcd.signal(0, signal.SIGSTOP)
        try:
            start = time.monotonic()
            service = server._server.listener.http1.service
            before = service.requests
            first = asyncio.ensure_future(one_shot(server, "GET", MAPS, None))
            # the others wait for the read that follows the one of the first
            await aeventually(lambda: service.requests > before, "the first read has begun")
            answers = await asyncio.gather(
                first,
                *(
                    one_shot(server, method, path, body)
                    for method, path, body in (
                        ("POST", MAPS, config_map("b")),
                        ("PUT", f"{MAPS}/a", config_map("a", x="2")),
                        ("DELETE", f"{MAPS}/a", None),
                        ("GET", f"{MAPS}/a", None),
                        ("GET", MAPS, None),
                    )
                ),
            )
            assert time.monotonic() - start < 15
            for status, failure in answers:
                assert status in (500, 503, 504) and failure["kind"] == "Status" and failure["message"]
            status, found = await client.request("GET", f"{MAPS}/a?resourceVersion=0")
            assert (status, found["data"]) == (200, {"x": "1"})
            assert (await client.request("GET", "/readyz/etcd"))[0] == 500
        finally:
            etcd.signal(0, signal.SIGCONT)
        await well(client)
        assert (await client.request("POST", MAPS, config_map("c")))[0] == 201
        status, found = await client.request("GET", f"{MAPS}/a")
        assert (status, found["data"]) == (200, {"x": "1"})
        await client.end()

    asyncio.run(main())


async def well(client: Connection) -> None:
    """Wait until the server finds etcd again."""

    async def reached() -> bool:
        return (await client.request("GET", "/readyz/etcd"))[0] == 200

    await aeventually(reached, "etcd is found again", 15)


async def one_shot(server: InProcess, method: str, path: str, body: Any) -> tuple[int, Any]:
    client = Connection(server.port, server.context(), 30)
    try:
        return await client.request(method, path, body)
    finally:
        await client.end()


def test_a_full_database(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Writes say so, reads go on; all is well after the operator's commands, without a restart."""

    async def fill(client: Connection) -> None:
        assert (await client.request("POST", MAPS, config_map("small", x="1")))[0] == 201
        status, known = await client.request("POST", MAPS, config_map("big", x="x" * 500_000))
        assert status == 201
        for _ in range(300):
            known["data"]["x"] = ("y" if known["data"]["x"][0] == "x" else "x") * 500_000
            status, answer = await client.request("PUT", f"{MAPS}/big", known)
            if status != 200:
                break
            known = answer
        assert status == 500 and answer["kind"] == "Status", answer
        assert "mvcc: database space exceeded" in answer["message"]
        status, answer = await client.request("POST", MAPS, config_map("more"))
        assert status == 500 and "mvcc: database space exceeded" in answer["message"]
        status, found = await client.request("GET", f"{MAPS}/small")
        assert (status, found["data"]) == (200, {"x": "1"})

    async def empty(client: Connection) -> None:
        assert (await client.request("DELETE", f"{MAPS}/big"))[0] == 200
        assert (await client.request("POST", MAPS, config_map("more")))[0] == 201

    with EtcdCluster(tmp_path_factory.mktemp("etcd"), 1, f"--quota-backend-bytes={16 << 20}") as cluster:
        url = cluster.urls[0]
        flags = ["--storage-backend=etcd3", f"--etcd-servers={url}", "--etcd-compaction-interval=0"]
        with InProcess(flags) as running:
            client = Connection(running.port, running.context(), 30)

            async def main() -> None:
                await fill(client)
                for command in ("compact", "defragment", "disarm"):
                    assert await asyncio.to_thread(cli.main, ["etcd", command, f"--etcd-servers={url}"]) == 0
                await empty(client)
                await client.end()

            asyncio.run(main())
    capsys.readouterr()


def test_an_independent_observer_sees_what_is_stored(etcd: EtcdCluster, server: InProcess) -> None:
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
