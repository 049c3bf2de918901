"""Connections of a test end with its loop, or fail it."""

import asyncio
import contextlib
import gc
import socket

import pytest
from event_loops import end_accepted, running


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


def test_a_connection_that_nobody_closes_fails_its_own_test() -> None:
    async def leave_one_open() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        kept.append(await asyncio.open_connection(*server.sockets[0].getsockname()))
        server.close()

    kept: list[object] = []
    with (
        pytest.raises(ResourceWarning, match=r"nobody has closed <_SelectorSocketTransport"),
        running() as runner,
    ):
        runner.run(leave_one_open())
    kept.clear()
    gc.collect()  # nothing is left to warn of


def test_connections_that_were_accepted_end_with_their_loop() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.close()
        server.close()

    with running() as runner:
        runner.run(main())
