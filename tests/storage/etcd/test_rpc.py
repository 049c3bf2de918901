import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from event_loops import running
from fuzz.watching import scheduled
from virtual_time import VirtualLoop

from pilothouse.storage.etcd import rpc as etcd_rpc
from pilothouse.storage.etcd import wire as etcd_wire
from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.storage.etcd.rpc import TLS, Rpc, backoff
from pilothouse.storage.interface import Unavailable
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.ports import free_ports

pytestmark = pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as running:
        yield running


def test_backoff_grows_to_a_limit() -> None:
    first, longest = etcd_rpc.BACKOFF
    assert first / 2 <= backoff(0) <= first
    assert longest / 2 <= backoff(50) <= longest


def test_goes_on_with_a_member_that_answers(cluster: EtcdCluster) -> None:
    async def main() -> None:
        dead = [f"http://127.0.0.1:{port}" for port in free_ports(3)]
        rpc = Rpc([*dead, cluster.urls[0]])
        rpc.open()
        put = etcd_wire.txn_request([], [etcd_wire.op_put(b"/a", b"1")], [])
        await rpc.write(etcd_rpc.TXN, put)
        assert rpc.member.url == cluster.urls[0]
        answer = etcd_wire.range_answer(await rpc.read(etcd_rpc.RANGE, etcd_wire.range_request(b"/a")))
        assert [p.value for p in answer.pairs] == [b"1"]
        await rpc.close()
        with pytest.raises(Unavailable, match="closed"):
            await rpc.read(etcd_rpc.RANGE, b"")

    asyncio.run(main())


def test_gives_up_within_the_time_out() -> None:
    async def main() -> None:
        rpc = Rpc([f"http://127.0.0.1:{port}" for port in free_ports(2)])
        rpc.open()
        start = time.monotonic() - scheduled("thread-self")[1]
        with pytest.raises(Unavailable, match="failed to connect"):
            await rpc.read(etcd_rpc.RANGE, b"", 0.5)
        with pytest.raises(Unavailable, match="failed to connect"):
            await rpc.write(etcd_rpc.TXN, b"", 0.5)
        assert time.monotonic() - scheduled("thread-self")[1] - start < 1.5
        await rpc.close()

    asyncio.run(main())


def test_a_start_waits_for_etcd_as_long_as_kube_apiserver() -> None:
    """A kubelet that starts both pods at once shall not have to start the server anew."""

    async def main() -> None:
        [port] = free_ports(1)
        store = EtcdStorage([f"http://127.0.0.1:{port}"])
        begun = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable, match="failed to connect"):
            await store.start()
        waited = asyncio.get_running_loop().time() - begun
        assert 20 - etcd_rpc.BACKOFF[1] <= waited <= 20

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_asks_another_member_when_one_does_not_answer(cluster: EtcdCluster) -> None:
    async def main() -> None:
        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.read()
            finally:
                writer.close()

        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        rpc = Rpc([f"http://127.0.0.1:{port}", cluster.urls[0]])
        rpc.open()
        rpc._at = 0
        await rpc.read(etcd_rpc.RANGE, etcd_wire.range_request(b"/a"))
        assert rpc.member.url == cluster.urls[0]
        await rpc.close()
        server.close()

    with running() as runner:
        runner.run(main())


def test_other_errors_are_not_repeated(cluster: EtcdCluster) -> None:
    async def main() -> None:
        rpc = Rpc(cluster.urls)
        rpc.open()
        with pytest.raises(Unavailable, match="unknown method"):
            await rpc.read("/etcdserverpb.KV/Nothing", b"")
        await rpc.close()

    asyncio.run(main())


def test_missing_certificate_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        store = EtcdStorage(["https://127.0.0.1:1"], TLS(ca=str(tmp_path / "ca.crt")))
        with pytest.raises(Unavailable, match=r"ca\.crt"):
            await store.start()

    asyncio.run(main())


def test_only_failures_before_the_sending_are_safe() -> None:
    def failure(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
        nothing = grpc.aio.Metadata()
        return grpc.aio.AioRpcError(code, nothing, nothing, details)

    unavailable = grpc.StatusCode.UNAVAILABLE
    assert etcd_rpc.not_sent(failure(unavailable, "failed to connect to all addresses; last error: ..."))
    assert etcd_rpc.not_sent(failure(unavailable, "etcdserver: no leader"))
    assert not etcd_rpc.not_sent(failure(unavailable, "Socket closed"))
    assert not etcd_rpc.not_sent(failure(grpc.StatusCode.DEADLINE_EXCEEDED, "connection refused"))
