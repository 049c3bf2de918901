"""Connections through a konnectivity server of the tests' own, over gRPC."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web
from backend import Backend
from connect_proxy import egress_file
from event_loops import StrictLoop, running
from eventually import aeventually
from konnectivity_server import KonnectivityServer

from pilothouse.outbound.dialer import DialError
from pilothouse.outbound.egress_config import load
from pilothouse.outbound.http import Outbound, Trust
from pilothouse.outbound.konnectivity import DATA, DIAL_RESPONSE, KonnectivityDialer, packet, read_packet
from pilothouse.outbound.metrics import EgressMetrics
from pilothouse.wire import WireError, message

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": StrictLoop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(params=LOOPS)
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with running(LOOPS[request.param]) as runner:
        yield runner


async def respond(request: Any) -> Any:
    return web.Response(text=request.path_qs)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello\n")
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()


def dialer(server: KonnectivityServer, metrics: EgressMetrics | None = None) -> Any:
    return KonnectivityDialer(server.path, metrics or EgressMetrics())


async def test_requests_go_through_it(runner: asyncio.Runner, tmp_path: Path) -> None:
    names = {"name.svc": "127.0.0.1"}
    async with (
        Backend(tmp_path, respond, ("name.svc",)) as backend,
        KonnectivityServer(tmp_path, names=names) as server,
    ):
        metrics = EgressMetrics()
        egress = load(egress_file(tmp_path, cluster=server.connection), metrics)
        outbound = Outbound(egress.cluster)
        for path in ("/a", "/b"):
            url = f"https://name.svc:{backend.port}{path}"
            assert await outbound.exchange("GET", url, trust=Trust(backend.ca), timeout=5) == path.encode()
        assert server.targets == [f"name.svc:{backend.port}"]
        labels = ("grpc", "uds")
        assert (metrics.starts.values, metrics.seconds.counts()) == ({labels: 1}, {labels: 1})
        await outbound.close()  # the end of TLS may have the backend close before the dialer does
        await aeventually(lambda: server.ended == [1], "the end of the connection")
        await egress.close()


async def test_bytes_pass_both_ways(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with (
        await asyncio.start_server(echo, "127.0.0.1", 0) as target,
        KonnectivityServer(tmp_path) as server,
    ):
        through = dialer(server)
        reader, writer = await through.streams("127.0.0.1", target.sockets[0].getsockname()[1])
        assert await reader.readline() == b"hello\n"
        sent = bytes(range(256)) * 4096
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        writer.close()
        await aeventually(lambda: server.closed == [1], "the end of the connection")
        await aeventually(lambda: not through._joined, "the end of its task")


async def test_an_end_by_the_other_side(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    async with (
        await asyncio.start_server(leave, "127.0.0.1", 0) as target,
        KonnectivityServer(tmp_path) as server,
    ):
        through = dialer(server)
        reader, writer = await through.streams("127.0.0.1", target.sockets[0].getsockname()[1])
        assert await reader.read() == b"bye"
        writer.close()
        await through.close()


async def test_what_is_open_is_closed_with_the_dialer(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with (
        await asyncio.start_server(echo, "127.0.0.1", 0) as target,
        KonnectivityServer(tmp_path) as server,
    ):
        through = dialer(server)
        reader, writer = await through.streams("127.0.0.1", target.sockets[0].getsockname()[1])
        await reader.readline()
        await through.close()
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    ("how", "said"), [({"error": "no agent"}, "no agent"), ({"closing": True}, "dial closed")]
)
async def test_a_server_that_refuses(runner: asyncio.Runner, tmp_path: Path, how: Any, said: str) -> None:
    async with KonnectivityServer(tmp_path, **how) as server:
        metrics = EgressMetrics()
        with pytest.raises(DialError) as caught:
            await dialer(server, metrics).streams("10.0.0.1", 443)
        assert str(caught.value) == said
        assert metrics.failures.values == {("grpc", "proxy", "uds"): 1}
        assert server.targets == ["10.0.0.1:443"]


async def test_a_server_that_is_away(runner: asyncio.Runner, tmp_path: Path) -> None:
    metrics = EgressMetrics()
    server = KonnectivityServer(tmp_path)
    with pytest.raises(DialError) as caught:
        await dialer(server, metrics).streams("10.0.0.1", 443)
    assert str(caught.value) == (
        'connection error: desc = "transport: Error while dialing: '
        f'dial unix {server.path}: connect: no such file or directory"'
    )
    assert metrics.failures.values == {("grpc", "connect", "uds"): 1}


async def test_the_certificate_behind_it_is_checked(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with Backend(tmp_path, respond, ("name.svc",)) as backend, KonnectivityServer(tmp_path) as server:
        through = dialer(server)
        with pytest.raises(DialError, match="tls: failed to verify certificate: x509: Hostname mismatch"):
            await through.streams("127.0.0.1", backend.port, Trust(backend.ca).context(), "other.svc")
        await aeventually(lambda: not through._joined, "the end of its task")


def test_packets() -> None:
    written = packet(DATA, (1, 7), (3, b"abc"))
    assert written == b"\x08\x04\x22\x07\x08\x07\x1a\x03abc"
    assert read_packet(written) == (DATA, {1: 7, 3: b"abc"})
    assert read_packet(b"") == (0, {})


@pytest.mark.parametrize(
    "data",
    [
        message((1, DIAL_RESPONSE), (3, message((1, 1 << 40)))),
        message((1, DIAL_RESPONSE), (3, message((2, b"7")))),
        message((1, DIAL_RESPONSE), (3, 1 << 40)),
        message((1, DATA), (4, message((1, 7), (3, 1 << 40)))),
        message((1, b"4")),
        b"\x78\x01" * 100_000,
        message((1, DATA), (4, b"\x78\x01" * 100_000)),
        b"\x0b",
    ],
)
def test_packets_that_are_none(data: bytes) -> None:
    """A number where a text should be would be taken for the length of one;
    each of many fields would be looked at."""
    began = time.thread_time()
    with pytest.raises(WireError):
        read_packet(data)
    assert time.thread_time() - began < 0.005


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            lambda asked: message((1, DIAL_RESPONSE), (3, message((1, 1 << 40), (3, asked)))),
            "field 1 of a payload",
        ),
        (lambda asked: packet(DIAL_RESPONSE, (1, b"x" * 200_000), (3, asked)), "characters left out"),
        (lambda asked: packet(DIAL_RESPONSE, (1, b"x" * 300_000), (3, asked)), "tunnel closed"),
        (lambda asked: packet(DIAL_RESPONSE, (2, 7), (3, asked ^ 1)), "tunnel closed"),
    ],
)
async def test_a_hostile_server(
    runner: asyncio.Runner, tmp_path: Path, answer: Callable[[int], bytes], said: str
) -> None:
    async with KonnectivityServer(tmp_path, answer=answer) as server:
        with pytest.raises(DialError, match=said) as caught:
            await dialer(server).streams("10.0.0.1", 443)
        assert len(str(caught.value)) < 1000
