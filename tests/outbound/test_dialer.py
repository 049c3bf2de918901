"""Connections that are opened straight to their addresses."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from backend import Backend

from pilothouse.outbound.dialer import Dialer, DialError, Switch, join
from pilothouse.outbound.http import Trust


async def ok(request: Any) -> Any:
    return web.Response(text="ok")


async def test_a_connection_with_tls(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with Backend(tmp_path, ok, ("name.svc",)) as backend:
        context = Trust(backend.ca).context()
        reader, writer = await Dialer().streams("127.0.0.1", backend.port, context, "name.svc")
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"ok")
        writer.close()
        with pytest.raises(DialError, match=r"^tls: failed to verify certificate: x509: IP address mismatch"):
            await Dialer().streams("127.0.0.1", backend.port, context)


async def test_what_is_said_of_failures(runner: asyncio.Runner) -> None:
    with pytest.raises(DialError, match=r"^dial tcp 127\.0\.0\.1:1: connect: connection refused$"):
        await Dialer().streams("127.0.0.1", 1)
    with pytest.raises(DialError, match=r"^dial tcp \[::1\]:1: connect: "):
        await Dialer().streams("::1", 1)
    with pytest.raises(DialError, match=r"^dial tcp: lookup name\.invalid: no such host$"):
        await Dialer().streams("name.invalid", 1)

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"no TLS here\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(DialError, match=r"^tls: "):
            await Dialer().streams("127.0.0.1", port, Trust().context(), "name.svc")


async def test_a_connection_that_takes_too_long(runner: asyncio.Runner, virtual: Any) -> None:
    class Endless(Dialer):
        async def _connect(self, *arguments: Any) -> Any:
            await asyncio.Event().wait()

    with pytest.raises(DialError, match=r"^dial tcp 192\.0\.2\.1:443: i/o timeout$"):
        await Endless().streams("192.0.2.1", 443)
    assert virtual.time() >= 30


def test_addresses() -> None:
    assert [join("h", 1), join("::1", 2)] == ["h:1", "[::1]:2"]


class Counting(Dialer):
    """Notes what it is asked for; `busy` while a connection needs it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.busy = self.closed = False

    @property
    def idle(self) -> bool:
        return not self.busy

    async def connect(self, factory: Any, host: str, *more: Any) -> Any:
        self.asked.append(host)

    async def close(self) -> None:
        self.closed = True


def test_another_dialer_takes_the_place_of_one() -> None:
    async def run() -> None:
        first, second, third = Counting(), Counting(), Counting()
        switch = Switch(first)
        await switch.connect(asyncio.Protocol, "a", 1)
        first.busy = True
        switch.use(second)
        await switch.connect(asyncio.Protocol, "b", 1)
        switch.use(third)
        await switch.connect(asyncio.Protocol, "c", 1)
        assert (first.asked, second.asked, third.asked) == (["a"], ["b"], ["c"])
        assert not first.closed, "a connection needs it"
        await switch.close()
        assert (first.closed, second.closed, third.closed) == (True, False, True)

    asyncio.run(run())
