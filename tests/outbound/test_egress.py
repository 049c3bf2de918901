"""Connections through the tests' own CONNECT proxy: real sockets, TLS, a Unix socket."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web
from backend import Backend
from connect_proxy import ConnectProxy, egress_file
from event_loops import StrictLoop, running

from pilothouse.outbound.dialer import Dialer, DialError
from pilothouse.outbound.egress import HEAD_BYTES
from pilothouse.outbound.egress_config import load
from pilothouse.outbound.http import ClientError, Outbound, Trust
from pilothouse.outbound.metrics import EgressMetrics

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


def dialer(proxy: ConnectProxy, metrics: EgressMetrics | None = None) -> Dialer:
    return load(egress_file(proxy.folder, cluster=proxy.connection), metrics or EgressMetrics()).cluster


def moved(metrics: EgressMetrics) -> list[dict[tuple[str, ...], float]]:
    return [metrics.starts.values, metrics.seconds.counts(), metrics.failures.values]


@pytest.mark.parametrize("kind", ["tcp", "tls", "uds"])
async def test_requests_go_through_it(runner: asyncio.Runner, tmp_path: Path, kind: str) -> None:
    """TLS to the other server passes through the proxy, over TLS to the proxy as well;
    names are looked up there."""
    names = {"name.svc": "127.0.0.1"}
    async with (
        Backend(tmp_path, respond, ("name.svc",)) as backend,
        ConnectProxy(tmp_path, kind, names=names) as proxy,
    ):
        metrics = EgressMetrics()
        outbound = Outbound(dialer(proxy, metrics))
        for path in ("/a", "/b"):
            url = f"https://name.svc:{backend.port}{path}"
            assert await outbound.exchange("GET", url, trust=Trust(backend.ca), timeout=5) == path.encode()
        await outbound.close()
        assert proxy.targets == [f"name.svc:{backend.port}"]  # one connection
        assert proxy.heads == [
            f"CONNECT name.svc:{backend.port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        ]
        labels = ("http_connect", "uds" if kind == "uds" else "tcp")
        assert moved(metrics) == [{labels: 1}, {labels: 1}, {}]


@pytest.mark.parametrize("kind", ["tcp", "tls", "uds"])
async def test_raw_connections(runner: asyncio.Runner, tmp_path: Path, kind: str) -> None:
    """The other server may speak first without TLS; what it says is not lost."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async with (
        await asyncio.start_server(echo, "127.0.0.1", 0) as server,
        ConnectProxy(tmp_path, kind) as proxy,
    ):
        reader, writer = await dialer(proxy).streams("127.0.0.1", server.sockets[0].getsockname()[1])
        assert await reader.readline() == b"hello\n"
        sent = bytes(range(256)) * 4096
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        writer.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            "proxy error from {proxy} while dialing {target}, code 403: 403 Forbidden",
        ),
        (b"HTTP/1.1 100 \n\n", "proxy error from {proxy} while dialing {target}, code 100: 100 "),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", 'unexpected 4 bytes of buffered data from CONNECT proxy "{proxy}"'),
        (b"HTTP/1.1 200 OK\r\n", "{reading}: unexpected EOF"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"a" * HEAD_BYTES, "{reading}: unexpected EOF"),
        (b"nonsense\r\n\r\n", '{reading}: malformed HTTP response "nonsense"'),
        (b"HTTP/1.1 20x OK\r\n\r\n", '{reading}: malformed HTTP status code "20x"'),
        (b"HTTP/1.1 \x1b[2J OK\r\n\r\n", '{reading}: malformed HTTP status code "\\x1b[2J"'),
        (
            b"HTTP/1.1 500 " + b"x" * 5000 + b"\r\n\r\n",
            "proxy error from {proxy} while dialing {target}, code 500: 500 "
            + "x" * 124
            + "... (4876 characters left out)",
        ),
        (b"HTTP/a 200 OK\r\n\r\n", '{reading}: malformed HTTP version "HTTP/a"'),
    ],
)
async def test_a_proxy_that_refuses(runner: asyncio.Runner, tmp_path: Path, answer: bytes, said: str) -> None:
    async with ConnectProxy(tmp_path, answer=answer) as proxy:
        metrics = EgressMetrics()
        with pytest.raises(DialError) as caught:
            await dialer(proxy, metrics).streams("::1", 7)
        known = {"proxy": f"127.0.0.1:{proxy.port}", "target": "[::1]:7"}
        reading = "reading HTTP response from CONNECT to {target} via proxy {proxy} failed".format(**known)
        assert str(caught.value) == said.format(**known, reading=reading)
        assert moved(metrics) == [{("http_connect", "tcp"): 1}, {}, {("http_connect", "proxy", "tcp"): 1}]


async def test_a_proxy_that_cannot_be_reached(runner: asyncio.Runner, tmp_path: Path) -> None:
    metrics = EgressMetrics()
    uds = dialer(ConnectProxy(tmp_path, "uds"), metrics)
    with pytest.raises(DialError) as caught:
        await uds.streams("127.0.0.1", 7)
    assert str(caught.value) == f"dial unix {tmp_path}/proxy.sock: connect: no such file or directory"
    nobody = ConnectProxy(tmp_path)
    nobody.port = 1
    outbound = Outbound(dialer(nobody, metrics))
    with pytest.raises(ClientError, match=r"^dial tcp 127\.0\.0\.1:1: connect: connection refused$"):
        await outbound.open("GET", "https://10.0.0.1/")
    await outbound.close()
    labels = {("http_connect", "uds"): 1, ("http_connect", "tcp"): 1}
    assert moved(metrics) == [labels, {}, {(name, "connect", way): 1 for name, way in labels}]


async def test_the_certificate_of_a_proxy_is_checked(runner: asyncio.Runner, tmp_path: Path) -> None:
    """The certificate must be valid for the proxy's address, or for tlsServerName."""
    async with (
        Backend(tmp_path, respond, ("name.svc",)) as backend,
        ConnectProxy(tmp_path, "tls", hosts=("proxy.svc",)) as proxy,
    ):
        with pytest.raises(DialError, match="tls: failed to verify certificate: x509: IP address mismatch"):
            await dialer(proxy).streams("127.0.0.1", backend.port)
        connection = proxy.connection
        connection["transport"]["tcp"]["tlsConfig"]["tlsServerName"] = "proxy.svc"
        known = load(egress_file(tmp_path, cluster=connection), EgressMetrics()).cluster
        _, writer = await known.streams("127.0.0.1", backend.port, Trust(backend.ca).context(), "name.svc")
        writer.close()


def test_the_certificate_of_a_server_behind_a_proxy_is_checked(tmp_path: Path) -> None:
    """The test runs with the loop of production alone:
    TLS within TLS that fails is a TypeError in asyncio of Python 3.11.7."""

    async def run() -> None:
        async with (
            Backend(tmp_path, respond, ("name.svc",)) as backend,
            ConnectProxy(tmp_path, "tls") as proxy,
        ):
            context = Trust(backend.ca).context()
            with pytest.raises(DialError, match="tls: failed to verify certificate: x509: Hostname mismatch"):
                await dialer(proxy).streams("127.0.0.1", backend.port, context, "other.svc")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
