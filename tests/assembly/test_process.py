"""A signal stops the server's process at any time, also during its start."""

import asyncio
import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest
from logged import pairs

import pilothouse
from pilothouse import cli
from pilothouse.assembly.process import serve
from pilothouse.assembly.server import Server
from pilothouse.configuration import options
from pilothouse.configuration.config import Config
from pilothouse.storage.interface import Unavailable
from pilothouse.storage.memory import MemoryStorage

SOURCE = str(pathlib.Path(pilothouse.__file__).parents[1])


class Storage(MemoryStorage):
    """Waits for ever to be opened, or fails, and notes its close."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails
        self.closed = False
        self.starting = asyncio.Event()

    async def start(self) -> None:
        self.starting.set()
        if self.fails:
            raise Unavailable("the disk is gone")
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed = True
        await super().close()


def config(directory: pathlib.Path, *more: str) -> Config:
    return options.parse([f"--data-dir={directory}", "--bind-address=127.0.0.1", *more])


def test_a_signal_ends_a_start(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        storage, ended, told = Storage(), asyncio.Event(), list[str]()
        server = Server(config(tmp_path), storage=storage)
        serving = asyncio.create_task(serve(server, ended, lambda: told.append("closing")))
        await storage.starting.wait()
        ended.set()
        assert await serving == 0
        assert storage.closed and told == ["closing"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_start_that_fails_has_status_1(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        server = Server(config(tmp_path), storage=Storage(fails=True))
        assert await serve(server, asyncio.Event()) == 1

    asyncio.run(main())
    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (line.getMessage(), str(pairs(line)["err"])) == ("The server cannot start", "the disk is gone")


def test_a_server_serves_until_it_is_ended(tmp_path: pathlib.Path) -> None:
    class Told(Server):
        """Ends itself as soon as it serves."""

        ended = asyncio.Event()

        async def start(self) -> None:
            await super().start()
            self.ended.set()

    async def main() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        server = Told(config(tmp_path, "--storage-backend=memory"), sockets=[sock])
        assert await serve(server, server.ended) == 0
        assert server.host.health.shutting_down and sock.fileno() == -1

    asyncio.run(main())


def test_a_taken_port_is_named(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main(port: int) -> None:
        wanted = config(tmp_path, "--storage-backend=memory", f"--secure-port={port}")
        assert await serve(Server(wanted), asyncio.Event()) == 1

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        asyncio.run(main(port))
    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert pairs(line)["err"] == f"listen tcp 127.0.0.1:{port}: bind: address already in use"


def test_what_a_server_says_of_itself(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def main(*flags: str) -> None:
        ended = asyncio.Event()
        server = Server(
            config(tmp_path, "--storage-backend=memory", *flags),
            sockets=[socket.create_server(("127.0.0.1", 0))],
        )
        serving = asyncio.create_task(serve(server, ended))
        while not any(record.getMessage() == "Serving" for record in caplog.records):
            await asyncio.sleep(0)
        said["port"] = server.listener.port
        ended.set()
        assert await serving == 0

    said = dict[str, int]()
    with caplog.at_level("INFO"):
        asyncio.run(main())
        lines = {record.getMessage(): pairs(record) for record in caplog.records}
        assert list(lines)[:2] == ["Serving", "A kubeconfig was written"], "first the address and a command"
        written = str(tmp_path / "admin.kubeconfig")
        assert lines["A kubeconfig was written"] == {
            "path": written,
            "command": f"kubectl --kubeconfig {written} get namespaces",
        }
        assert lines["Serving"] == {
            "url": f"https://127.0.0.1:{said['port']}",
            "address": "127.0.0.1",
            "port": said["port"],
            "dataDirectory": str(tmp_path),
            "storage": "memory",
            "authorization": "Node,RBAC",
            "audit": "off",
            "encryption": "off",
        }
        assert "seconds" in lines["The server ended"]
        capfd.readouterr()
        assert cli.main(["kubeconfig", f"--data-dir={tmp_path}"]) == 0
        assert f"https://127.0.0.1:{said['port']}\n" in capfd.readouterr().out, (
            "the port on which it has served"
        )
        caplog.clear()
        asyncio.run(main(f"--cert-dir={tmp_path}/own"))
    lines = {record.getMessage(): pairs(record) for record in caplog.records}
    assert "A kubeconfig was written" not in lines
    assert next(lines[text] for text in lines if text.startswith("No kubeconfig")) == {"flag": "cert-dir"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_process_that_waits_for_etcd(tmp_path: pathlib.Path, number: signal.Signals) -> None:
    """etcd takes the connection and never answers; the process is gone with status 0 within two seconds."""
    pytest.importorskip("grpc")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pilothouse", "serve", f"--data-dir={tmp_path}"),
                "--bind-address=127.0.0.1",
                f"--etcd-servers=http://127.0.0.1:{silent.getsockname()[1]}",
            ],
            env={**os.environ, "PYTHONPATH": SOURCE},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            connection, _ = silent.accept()
            with connection:
                process.send_signal(number)
                output, _ = process.communicate(timeout=2)
            assert (process.returncode, b"Traceback" in output) == (0, False), output
            assert f'"The server ends" signal="{number.name}"'.encode() in output
        finally:
            process.kill()
            process.communicate()
