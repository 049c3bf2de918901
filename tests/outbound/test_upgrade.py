"""Requests to upgrade to other servers, over real sockets; the servers answer as the test says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from backend import Backend
from server.duplexes import Log
from server.fake_transport import FakeTransport, run
from virtual_time import VirtualLoop

from pilothouse.outbound.dialer import Dialer
from pilothouse.outbound.http import INSECURE, Outbound, Trust
from pilothouse.outbound.upgrade import (
    BODY_BYTES,
    HEAD_BYTES,
    HEAD_LINES,
    HEAD_SECONDS,
    Upgrade,
    UpgradeError,
    upgrade,
)
from pilothouse.server._turns import Line

GRANTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: speech\r\nConnection: Upgrade\r\nX-A: 1\r\n\r\n"
PLAIN = ssl.create_default_context()
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: bytes | Serve) -> AsyncIterator[str]:
    """The URL of a server that answers every request so, and what it was sent."""
    closed: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        closed.append(writer)
        try:
            if callable(answer):
                await answer(reader, writer)
            else:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/exec?x=1"
    finally:
        server.close()
        for writer in closed:
            writer.close()


async def ask(url: str, *headers: tuple[str, str]) -> Upgrade:
    return await upgrade(Dialer(), Line(asyncio.get_running_loop()), "POST", url, headers, PLAIN)


async def until(log: Log, count: int) -> None:
    while len(log.seen) < count:
        await asyncio.sleep(0.001)


@run
async def test_a_granted_upgrade_is_a_duplex() -> None:
    heads: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(GRANTED[:20])
        await writer.drain()
        writer.write(GRANTED[20:] + b"first ")
        while data := await reader.read(100):
            writer.write(data)

    async with serving(echo) as url:
        answer = await ask(url, ("Upgrade", "speech"), ("X-Bad", "a\r\nX-Other: b"))
        host = url.split("/")[2]
        assert heads == [
            f"POST /exec?x=1 HTTP/1.1\r\nHost: {host}\r\n".encode()
            + b"Upgrade: speech\r\nX-Bad: a  X-Other: b\r\n\r\n"
        ]
        assert answer.status == 101 and answer.header("x-a") == "1" and answer.header("none") == ""
        duplex, log = answer.duplex, Log()
        duplex.write(b"second")
        duplex.start(log)
        while b"".join(log.seen) != b"first second":
            await asyncio.sleep(0.001)
        duplex.close()
        await until(log, 3)
        assert log.seen[-1] == ("closed", None)


@run
async def test_the_other_side_ends_at_once() -> None:
    async with serving(GRANTED + b"bye") as url:
        answer = await ask(url)
        await asyncio.sleep(0.005)
        log = Log()
        answer.duplex.start(log)
        await until(log, 2)
        assert log.seen == [b"bye", ("closed", None)]


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", 404, b"gone"),
        (b"HTTP/1.1 500 Oops\r\n\r\nto the end", 500, b"to the end"),
        (b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400, b"abc"),
        (b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n\r\n", 400, b"abc"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\nx", 403, b"x"),
        (b"HTTP/1.1 500 Long\r\n\r\n" + b"x" * (BODY_BYTES + 1000), 500, b"x" * BODY_BYTES),
    ],
)
@run
async def test_refusals(raw: bytes, status: int, body: bytes) -> None:
    async with serving(raw) as url:
        answer = await ask(url)
        assert (answer.status, answer.body, answer.duplex) == (status, body, None)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "unexpected EOF"),
        (b"HTTP/1.1 101 Switching", "unexpected EOF"),
        (b"SSH-2.0-x\r\n\r\n", "malformed HTTP response"),
        (b"HTTP/1.1 101 X\r\nbad header\r\n\r\n", "malformed HTTP response"),
        (b"HTTP/1.1 101 X\r\nA: " + b"x" * (HEAD_BYTES + 100), "header size limit exceeded"),
        (b"HTTP/1.1 101 X\r\nA: " + b"x" * HEAD_BYTES + b"\r\n\r\n", "header size limit exceeded"),
    ],
)
@run
async def test_hostile_answers(raw: bytes, error: str) -> None:
    async with serving(raw) as url:
        with pytest.raises(UpgradeError) as caught:
            await ask(url)
        assert str(caught.value) == error


@run
async def test_nobody_is_there() -> None:
    async with serving(b"") as url:
        pass
    with pytest.raises(
        UpgradeError, match=r"^error dialing backend: dial tcp 127.0.0.1:\d+: connect: connection refused$"
    ):
        await ask(url)


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_server_that_never_answers(virtual: VirtualLoop) -> None:
    gone = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with virtual.hold():
            asked.set()
        await reader.read()
        gone.set()

    asked = asyncio.Event()
    async with serving(hang) as url:
        start = virtual.time()
        with pytest.raises(UpgradeError, match="context deadline exceeded"):
            await ask(url)
        assert virtual.time() - start <= HEAD_SECONDS + 1
        await gone.wait()


@run
async def test_whoever_stops_waiting_leaves_no_connection() -> None:
    gone, asked = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        gone.set()

    async with serving(hang) as url:
        task = asyncio.create_task(ask(url))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone.wait()


@run
async def test_a_slow_server_blocks_the_duplex() -> None:
    go_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GRANTED)
        await go_on.wait()
        while await reader.read(1 << 20):
            pass

    async with serving(slow) as url:
        duplex, log = (await ask(url)).duplex, Log()
        duplex.start(log)
        for _ in range(200):
            if duplex.blocked:
                break
            duplex.write(b"x" * (1 << 18))
        assert duplex.blocked and log.seen == [True]
        go_on.set()
        await until(log, 2)
        assert log.seen == [True, False] and not duplex.blocked
        duplex.abort()


@run
async def test_trust(tmp_path: Path) -> None:
    async def refuse(request: object) -> object:
        from aiohttp import web

        return web.Response(status=418, text="no")

    outbound = Outbound()
    async with Backend(tmp_path, refuse) as backend:  # type: ignore[arg-type]
        url = f"https://127.0.0.1:{backend.port}/x"
        cert, key = backend.client_files("apiserver")
        answer = await outbound.upgrade("GET", url, [], Trust(backend.ca, cert_file=cert, key_file=key))
        assert (answer.status, answer.body) == (418, b"no")
        assert backend.clients == ["apiserver"]
        assert (await outbound.upgrade("GET", url, [], INSECURE)).status == 418
        with pytest.raises(
            UpgradeError, match="error dialing backend: tls: failed to verify certificate: x509: "
        ):
            await outbound.upgrade("GET", url, [], Trust())
        with pytest.raises(UpgradeError, match="error dialing backend: tls: "):
            await outbound.upgrade("GET", url, [], Trust(b"no certificate"))
    await outbound.close()


@run
async def test_a_server_that_has_gone_before_it_was_asked() -> None:
    class Gone(FakeTransport):
        def write(self, data: object) -> None:
            raise RuntimeError("the handler is closed")

    class Late(Dialer):
        async def connect(self, factory: Any, *_: Any) -> Any:
            client = factory()
            client.connection_made(Gone())
            client.connection_lost(None)
            return None, client

    with pytest.raises(UpgradeError, match=r"^unexpected EOF$"):
        await upgrade(Late(), Line(asyncio.get_running_loop()), "POST", "http://127.0.0.1:1/x", [], PLAIN)


@pytest.mark.parametrize("interim", [b"HTTP/1.1 103 x\r\n\r\n", b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n"])
@run
async def test_answers_before_the_answer_are_counted(interim: bytes) -> None:
    """Some 14,000 fit into one read; each of them was read by a call within the one before."""
    async with serving(interim * 5 + b"HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\nx") as url:
        assert (await ask(url)).status == 403
    async with serving(interim * 20_000) as url:
        with pytest.raises(UpgradeError, match="too many 1xx informational responses"):
            await ask(url)


@run
async def test_a_head_of_very_many_lines_is_refused() -> None:
    async with serving(GRANTED[:-2] + b"a:\r\n" * HEAD_LINES + b"\r\n") as url:
        with pytest.raises(UpgradeError, match="header size limit exceeded"):
            await ask(url)


@run
async def test_a_refusal_in_chunks_of_one_byte_is_read_in_turns() -> None:
    line = Line(asyncio.get_running_loop())
    raw = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 30_000 + b"0\r\n\r\n"
    async with serving(raw) as url:
        answer = await upgrade(Dialer(), line, "POST", url, (), PLAIN)
    assert answer.body == b"x" * 30_000
    assert line.deferred > 50 and line.most < 2_100_000
