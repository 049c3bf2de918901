"""Unix sockets that lead through a dialer."""

import asyncio
import os
import stat
from pathlib import Path

import pytest
from connect_proxy import ConnectProxy, egress_file
from logged import pairs

from pilothouse.outbound.egress_config import load
from pilothouse.outbound.metrics import EgressMetrics
from pilothouse.outbound.tunnel import Tunnels


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()


async def test_bytes_pass_both_ways(
    runner: asyncio.Runner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        await asyncio.start_server(echo, "127.0.0.1", 0) as server,
        ConnectProxy(tmp_path, "uds") as proxy,
    ):
        port = server.sockets[0].getsockname()[1]
        dialer = load(egress_file(tmp_path, etcd=proxy.connection), EgressMetrics()).etcd
        tunnels = Tunnels(dialer, [("127.0.0.1", port), ("127.0.0.1", 7), ("127.0.0.1", port)])
        await tunnels.start()
        path = Path(tunnels.path("127.0.0.1", port))
        assert stat.S_IMODE(os.stat(path.parent).st_mode) == 0o700
        reader, writer = await asyncio.open_unix_connection(path)
        sent = bytes(range(256)) * 4096
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        assert proxy.targets == [f"127.0.0.1:{port}"]
        proxy.refuse.add("127.0.0.1:7")
        refused, closing = await asyncio.open_unix_connection(tunnels.path("127.0.0.1", 7))
        assert await refused.read() == b""
        closing.close()
        assert pairs(caplog.records[-1])["target"] == "127.0.0.1:7"
        await tunnels.close()
        assert await reader.read() == b""
        assert not path.parent.exists()
        writer.close()


async def test_an_end_that_leaves_ends_the_other(runner: asyncio.Runner, tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()
        writer.close()

    async with await asyncio.start_server(count, "127.0.0.1", 0) as server, ConnectProxy(tmp_path) as proxy:
        target = server.sockets[0].getsockname()
        dialer = load(egress_file(tmp_path, etcd=proxy.connection), EgressMetrics()).etcd
        tunnels = Tunnels(dialer, [target])
        await tunnels.start()
        _, writer = await asyncio.open_unix_connection(tunnels.path(*target))
        writer.write(b"a")
        writer.close()
        await asyncio.wait_for(ended.wait(), 5)
        await tunnels.close()
