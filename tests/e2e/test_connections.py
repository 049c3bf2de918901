"""Many unauthenticated connections do not prevent an administrator's requests."""

import asyncio
import contextlib
import http.client
import socket
import ssl
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

import pytest

from pilothouse.testing.server import Subprocess

pytestmark = [pytest.mark.slow, pytest.mark.alone]

RATE = 400
"""Connections that are opened in a second: clients and server share the processors of the machine."""

MOST = 600
"""Connections without a user that the server keeps: half of the silent ones, two in three of the others."""

HELLO = b"\x16\x03\x01\x00\xa5\x01"


@pytest.fixture
def server() -> Iterator[Subprocess]:
    started = Subprocess([f"--max-unauthenticated-connections={MOST}"]).start()
    yield started
    started.stop()


class Administrator:
    """Asks over a kept connection and over fresh ones, and notes how long the answers take."""

    def __init__(self, server: Subprocess) -> None:
        self.port, self.context = server.port, server.context()
        self.kept_times: list[float] = []
        self.fresh_times: list[float] = []
        self.failure: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            kept = self._connect()
            while not self._ended.wait(0.02):
                self.kept_times.append(self._ask(kept))
                if len(self.kept_times) % 5 == 0:
                    begun = time.monotonic()
                    fresh = self._connect()
                    self._ask(fresh)
                    fresh.close()
                    self.fresh_times.append(time.monotonic() - begun)
            kept.close()
        except BaseException as error:
            self.failure = error

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=10)

    def _ask(self, connection: http.client.HTTPSConnection) -> float:
        begun = time.monotonic()
        connection.request("GET", "/api/v1/namespaces/default")
        response = connection.getresponse()
        assert response.status == 200
        response.read()
        return time.monotonic() - begun


async def crowd(count: int, open_one: Callable[[], object]) -> None:
    """Open connections at the rate."""
    begun = asyncio.get_running_loop().time()
    for i in range(count):
        with contextlib.suppress(OSError):
            await open_one()  # type: ignore[misc]
        await asyncio.sleep(max(0.0, begun + i / RATE - asyncio.get_running_loop().time()))


def test_an_administrator_is_answered_among_crowds(server: Subprocess) -> None:
    context = ssl.create_default_context(cafile=str(server.ca_file))
    sockets: list[socket.socket] = []
    writers: list[asyncio.StreamWriter] = []

    async def silent() -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sockets.append(sock)
        sock.bind(("127.0.0.2", 0))
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
        if len(sockets) % 2:
            sock.send(HELLO)

    async def tls(first: bytes) -> None:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=context, local_addr=("127.0.0.2", 0)
        )
        writers.append(writer)
        writer.write(first)

    async def attack() -> None:
        def ignore(*_: object) -> None:
            """Connections that the server cuts are what this is about."""

        asyncio.get_running_loop().set_exception_handler(ignore)
        anonymous = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"
        slow_head = b"GET /version HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 8000
        slow_body = b"POST /version HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + b"x" * 8000
        await crowd(2 * MOST, silent)
        for first, count in ((anonymous, MOST), (slow_head, MOST // 4), (slow_body, MOST // 4)):
            await crowd(count, lambda first=first: tls(first))  # type: ignore[misc]
        for writer in writers:
            writer.transport.abort()
        for sock in sockets:
            sock.close()

    with Administrator(server) as administrator:
        asyncio.run(attack())
    assert administrator.failure is None
    for times in (administrator.kept_times, administrator.fresh_times):
        times.sort()
        assert len(times) > 20
        # the client shares the processors with the crowds that it makes, so a few may be late for that
        assert times[int(len(times) * 0.99)] < 0.1, (statistics.median(times), times[-5:])
