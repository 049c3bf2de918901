"""A server whose disk is full: it starts, says so,
lets objects be deleted, and goes on when there is space."""

import asyncio
import contextlib
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small_disk
from e2e.http_client import Connection
from eventually import aeventually

from pilothouse.testing.ports import check
from pilothouse.testing.server import START_SECONDS, Subprocess

MAPS = "/api/v1/namespaces/default/configmaps"
MEBIBYTES = 64

pytestmark = pytest.mark.skipif(not small_disk.usable(), reason="no mount namespaces")


class OnSmallDisk(Subprocess):
    """A server whose data directory is the file system of a keeper;
    a start waits until it is alive, ready or not."""

    def __init__(self, keeper: int, data: Path) -> None:
        super().__init__(["--storage-backend=sqlite", f"--data-dir={data}"])
        self.keeper = keeper
        self.disk = small_disk.seen(keeper, data)

    client_key = property(lambda self: self.disk / "admin.key")
    client_cert = property(lambda self: self.disk / "admin.crt")
    ca_file = property(lambda self: self.disk / "ca.crt")

    def _spawn(self) -> None:
        [self.port] = self._choose(1)
        program = [sys.executable, "-m", "pilothouse", "serve", *self.arguments()]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                small_disk.inside(self.keeper, program), stdout=log, stderr=log, start_new_session=True
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        context = ssl._create_unverified_context()
        while time.monotonic() < deadline:
            check(self.process, self.log)
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/livez", timeout=2, context=context).close()
                return
            time.sleep(0.01)
        raise TimeoutError(f"the server is not alive: {self.log.read_text()}")

    def end(self) -> None:
        """Stop the server as a service manager does; its files stay."""
        self._end()

    def crash(self) -> None:
        """Kill the server; its files stay."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None


class Client:
    """Asks a server on a small disk."""

    def __init__(self, server: OnSmallDisk) -> None:
        self._connection = Connection(server.port, server.context(), 30)

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        return await self._connection.request(method, path, body)

    async def create(self, name: str) -> tuple[int, Any]:
        return await self.ask("POST", MAPS, {"metadata": {"name": name}, "data": {"a": "x" * 900_000}})

    async def ready(self) -> bool:
        return (await self.ask("GET", "/readyz"))[0] == 200

    async def says_full(self) -> None:
        status, text = await self.ask("GET", "/readyz?verbose")
        assert status == 500 and "[-]storage-space failed" in text
        assert "pilothouse_storage_full 1" in (await self.ask("GET", "/metrics"))[1]
        status, answer = await self.create("refused")
        assert status == 500 and "mvcc: database space exceeded" in str(answer["message"])
        assert "reason" not in answer

    async def goes_on(self) -> None:
        await aeventually(self.ready, "the server is ready again", 20)
        assert (await self.create("new"))[0] == 201
        assert "pilothouse_storage_full 0" in (await self.ask("GET", "/metrics"))[1]


def fill(file: Path) -> None:
    """Write a file until the disk is full."""
    with file.open("ab", buffering=0) as out, pytest.raises(OSError, match="No space"):  # noqa: PT012 -- it ends the loop
        while True:
            out.write(bytes(1 << 16))
    with file.open("ab", buffering=0) as out, pytest.raises(OSError, match="No space"):  # noqa: PT012 -- it ends the loop
        while True:
            out.write(bytes(1 << 12))


def shrink(file: Path) -> None:
    """Give 4 MiB of the disk back, which is less than a disk needs that is not full."""
    with file.open("r+b") as out:
        out.truncate(file.stat().st_size - (4 << 20))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OnSmallDisk]:
    """A server that runs and has an object `kept`."""
    with small_disk.kept(tmp_path, MEBIBYTES) as keeper, OnSmallDisk(keeper, tmp_path) as made:

        async def created(client: Client) -> None:
            assert (await client.create("kept"))[0] == 201

        run(made, created)
        yield made


def run(server: OnSmallDisk, work: Callable[[Client], Awaitable[None]]) -> None:
    """Run a coroutine with a client of the server."""

    async def main() -> None:
        client = Client(server)
        await work(client)
        await client._connection.end()

    asyncio.run(main())


def test_a_disk_that_becomes_full(server: OnSmallDisk) -> None:
    ballast = server.disk / "ballast"  # what something else has put there

    async def work(client: Client) -> None:
        fill(ballast)
        for turn in range(40):
            if (await client.create(f"m{turn}"))[0] != 201:
                break
        await client.says_full()
        assert (await client.ask("GET", f"{MAPS}/kept"))[0] == 200
        assert (await client.ask("DELETE", f"{MAPS}/kept"))[0] == 200
        ballast.unlink()
        await client.goes_on()

    run(server, work)


@pytest.mark.slow
@pytest.mark.parametrize("end", [OnSmallDisk.end, OnSmallDisk.crash])
@pytest.mark.parametrize("full", [False, True], ids=["full-before-the-start", "full-before-the-end"])
def test_a_start_on_a_full_disk(server: OnSmallDisk, end: Callable[[OnSmallDisk], None], full: bool) -> None:
    """The start works, also when the server before it has met the full disk,
    and another program takes what it leaves."""
    ballast = server.disk / "ballast"

    async def met(client: Client) -> None:
        fill(ballast)
        while (await client.create("m"))[0] == 201:
            await client.ask("DELETE", f"{MAPS}/m")
        await client.says_full()

    if full:
        run(server, met)
    end(server)
    fill(ballast)
    server.start()
    if full and end is OnSmallDisk.crash:  # the server has left no reserve
        shrink(ballast)

    async def work(client: Client) -> None:
        await client.says_full()
        assert (await client.ask("GET", f"{MAPS}/kept"))[0] == 200
        assert (await client.ask("DELETE", f"{MAPS}/kept"))[0] == 200
        assert (await client.ask("GET", f"{MAPS}/kept"))[0] == 404
        ballast.unlink()
        await client.goes_on()

    run(server, work)


@pytest.mark.slow
def test_a_start_without_any_space(server: OnSmallDisk) -> None:
    """Not even the reserve is there: objects are read, and deleted as soon as there is some space."""
    ballast = server.disk / "ballast"
    server.end()
    (server.disk / "reserve").unlink()
    fill(ballast)
    server.start()

    async def work(client: Client) -> None:
        await client.says_full()
        assert (await client.ask("GET", f"{MAPS}/kept"))[0] == 200
        status, answer = await client.ask("DELETE", f"{MAPS}/kept")
        assert status == 500 and "mvcc: database space exceeded" in str(answer["message"])
        shrink(ballast)
        assert (await client.ask("DELETE", f"{MAPS}/kept"))[0] == 200
        await client.says_full()
        ballast.unlink()
        await client.goes_on()

    run(server, work)
    server.end()
    server.start()

    async def after(client: Client) -> None:
        assert await client.ready()
        assert (await client.ask("GET", f"{MAPS}/new"))[0] == 200
        assert (await client.ask("GET", f"{MAPS}/kept"))[0] == 404

    run(server, after)
