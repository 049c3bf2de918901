"""The connections that a server of a test has accepted end with the test."""

import asyncio
import contextlib
import socket

from accepted import end_accepted


async def test_connections_that_were_accepted_have_ended(runner: asyncio.Runner) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    while not server._active_count:  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    server.close()
    await end_accepted()
    assert not server._active_count and not writer.transport.is_closing()  # type: ignore[attr-defined]
    try:
        assert await reader.read() == b""
    except ConnectionResetError:
        pass
    writer.close()


async def test_one_that_is_on_its_way_ends_too(runner: asyncio.Runner) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname(), timeout=0.1) as client:
        await end_accepted()  # the loop has had no turn for it yet
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    server.close()
