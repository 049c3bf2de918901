"""Messages to systemd."""

import asyncio
import os
import pathlib
import socket
from collections.abc import Iterator

import pytest

from pilothouse.assembly.process import serve
from pilothouse.assembly.server import Server
from pilothouse.configuration import options
from pilothouse.process.notify import Notifier
from pilothouse.workers import supervisor


@pytest.fixture
def manager(tmp_path: pathlib.Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(60)
        yield sock


def environment(manager: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.getsockname(), **more}


def test_what_is_asked_of_this_process(manager: socket.socket) -> None:
    usec = {"WATCHDOG_USEC": "3000000"}
    assert Notifier(environment(manager, **usec)).watchdog == 1.5
    assert Notifier(environment(manager, **usec, WATCHDOG_PID=str(os.getpid()))).watchdog == 1.5
    assert Notifier(environment(manager, **usec, WATCHDOG_PID="1")).watchdog == 0
    assert Notifier(environment(manager, WATCHDOG_USEC="x")).watchdog == 0
    assert Notifier({}).watchdog == 0


def test_nobody_listens(tmp_path: pathlib.Path) -> None:
    Notifier({}).say("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")}).say("READY=1")


def test_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0pilothouse-{os.getpid()}")
        sock.settimeout(60)
        Notifier({"NOTIFY_SOCKET": f"@pilothouse-{os.getpid()}"}).say("READY=1", "STATUS=x")
        assert sock.recv(100) == b"READY=1\nSTATUS=x"


def test_a_server_is_ready_alive_and_stopping(manager: socket.socket, tmp_path: pathlib.Path) -> None:
    async def main() -> list[str]:
        ended, said = asyncio.Event(), list[str]()
        config = options.parse(
            [f"--data-dir={tmp_path}/data", "--bind-address=127.0.0.1", "--storage-backend=memory"]
        )
        server = Server(config, sockets=[socket.create_server(("127.0.0.1", 0))])
        notifier = Notifier(environment(manager, WATCHDOG_USEC="2000"))
        serving = asyncio.create_task(serve(server, ended, notifier=notifier))
        while said.count("WATCHDOG=1") < 3:
            said.append((await asyncio.to_thread(manager.recv, 1000)).decode())
        ended.set()
        assert await serving == 0
        while said[-1] != "STOPPING=1":
            said.append(manager.recv(1000).decode())
        return said

    said = [line for line in asyncio.run(main()) if line != "WATCHDOG=1"]
    assert said[0].startswith("READY=1\nSTATUS=Serving on port ") and said[1:] == ["STOPPING=1"]


def test_a_supervisor_is_alive(manager: socket.socket) -> None:
    """The supervisor is the process that systemd knows; its workers say that they are ready."""
    notifier = Notifier(environment(manager, WATCHDOG_USEC="2000"))
    several = supervisor.Supervisor([], 0, notifier)

    async def main() -> None:
        running = asyncio.create_task(asyncio.to_thread(several.run))
        for _ in range(2):
            assert await asyncio.to_thread(manager.recv, 1000) == b"WATCHDOG=1"
        several.stop()
        assert await running == 0

    asyncio.run(main())
