"""Starts that fail or are cancelled, and closes that fail, release everything that was opened."""

import asyncio
import contextlib
import os
import pathlib
import socket
import tempfile
import threading
from typing import Any

import pytest
from eventually import aeventually
from logged import pairs

from pilothouse.assembly.server import Server
from pilothouse.configuration import options
from pilothouse.configuration.config import Config
from pilothouse.lifecycle import Opened
from pilothouse.storage.interface import Unavailable
from pilothouse.storage.memory import MemoryStorage
from pilothouse.testing.ports import free_ports

STAGES = ("open_host", "open_cluster", "bind", "fill", "start_controllers", "listen", "announce")


class StoppedError(Exception):
    """The error by which a test makes a start fail."""


class Broken(Server):
    """A server whose start fails behind one stage."""

    broken = ""

    def _pass(self, stage: str) -> None:
        if stage == self.broken:
            raise StoppedError(stage)

    async def open_host(self, *args: Any) -> Any:
        made = await super().open_host(*args)
        self._pass("open_host")
        return made

    async def open_cluster(self, *args: Any) -> Any:
        made = await super().open_cluster(*args)
        self._pass("open_cluster")
        return made

    def bind(self, *args: Any) -> Any:
        made = super().bind(*args)
        self._pass("bind")
        return made

    async def fill(self, *args: Any) -> None:
        await super().fill(*args)
        self._pass("fill")

    def start_controllers(self, *args: Any) -> None:
        super().start_controllers(*args)
        self._pass("start_controllers")

    async def listen(self, *args: Any) -> None:
        await super().listen(*args)
        self._pass("listen")

    def announce(self, *args: Any) -> None:
        super().announce(*args)
        self._pass("announce")


class Storage(MemoryStorage):
    """A store that can be told to fail or to wait, and that notes its close."""

    def __init__(self, fails: str = "") -> None:
        super().__init__()
        self.fails = fails
        self.closed = False
        self.starting = asyncio.Event()

    async def start(self) -> None:
        self.starting.set()
        if self.fails == "start":
            raise Unavailable("the disk is gone")
        if self.fails == "never":
            await asyncio.Event().wait()
        await super().start()

    async def current_revision(self) -> int:
        if self.fails == "read":
            raise Unavailable("the disk is gone")
        return await super().current_revision()

    async def close(self) -> None:
        self.closed = True
        await super().close()
        if self.fails == "close":
            raise OSError("the disk is full")


@pytest.fixture(autouse=True)
def temporary(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory for temporary files that no other process uses."""
    own = tmp_path / "tmp"
    own.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own))


def config(directory: pathlib.Path, port: int, *more: str) -> Config:
    flags = [f"--data-dir={directory}", "--bind-address=127.0.0.1", f"--secure-port={port}", *more]
    return options.parse(flags)


def held() -> dict[str, Any]:
    """The resources that a process holds: tasks, threads, open files and sockets, temporary files."""
    return {
        "tasks": {task.get_name() for task in asyncio.all_tasks()},
        "threads": {t.name for t in threading.enumerate() if not t.name.startswith("asyncio_")},
        "files": len(os.listdir("/proc/self/fd")),
        "temporary": sorted(os.listdir(tempfile.gettempdir())),
    }


def beyond(before: dict[str, Any]) -> dict[str, Any]:
    """The resources that are held now and were not before; what earlier tests have left may end meanwhile."""
    now = held()
    more: dict[str, Any] = {
        name: set(now[name]) - set(before[name]) for name in ("tasks", "threads", "temporary")
    }
    more["files"] = max(0, now["files"] - before["files"])
    return {name: kept for name, kept in more.items() if kept}


async def kept_since(before: dict[str, Any]) -> dict[str, Any]:
    """The resources that are still held in the end: threads need a moment to notice that they are over."""
    with contextlib.suppress(AssertionError):  # the caller's says what is still held
        await aeventually(lambda: not beyond(before), "all to be given back", 2)
    return beyond(before)


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_start_that_fails_gives_everything_back(tmp_path: pathlib.Path, stage: str, backend: str) -> None:
    """Behind every stage; another server can use the directory and the port at once."""

    async def main() -> None:
        settings = config(tmp_path / "data", free_ports(1)[0], f"--storage-backend={backend}")
        before = held()
        server = Broken(settings)
        server.broken = stage
        with pytest.raises(StoppedError, match=stage):
            await server.start()
        assert await kept_since(before) == {}
        await server.stop()  # has nothing left to do
        again = Server(settings)
        await again.start()
        await again.stop(drain=0.1)
        assert await kept_since(before) == {}

    asyncio.run(main())


@pytest.mark.parametrize("fails", ["start", "read"])
def test_a_storage_that_cannot_be_opened_is_closed(tmp_path: pathlib.Path, fails: str) -> None:
    async def main() -> None:
        before = held()
        sock = socket.create_server(("127.0.0.1", 0))
        storage = Storage(fails)
        with pytest.raises(Unavailable, match="the disk is gone"):
            await Server(config(tmp_path, 6443), sockets=[sock], storage=storage).start()
        assert storage.closed and sock.fileno() == -1
        assert await kept_since(before) == {}

    asyncio.run(main())


def test_a_start_that_is_cancelled_gives_everything_back(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        before = held()
        storage = Storage("never")
        starting = asyncio.create_task(Server(config(tmp_path, 6443), storage=storage).start())
        await storage.starting.wait()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert storage.closed
        assert await kept_since(before) == {}

    asyncio.run(main())


def test_a_close_that_fails_is_told_and_skips_nothing(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Server):
        def start_controllers(self, *args: Any) -> None:
            super().start_controllers(*args)
            opened: Opened = args[-1]
            opened.on_close("a controller", self._fail)

        async def _fail(self) -> None:
            raise OSError("no")

    async def main() -> None:
        before = held()
        storage = Storage("close")
        server = Failing(config(tmp_path, free_ports(1)[0]), storage=storage)
        await server.start()
        await server.stop(drain=0.1)
        assert storage.closed
        assert await kept_since(before) == {}

    asyncio.run(main())
    failures = [pairs(record)["part"] for record in caplog.records if record.exc_info]
    assert failures == ["a controller", "the storage"]
