"""Starts etcd members of its own on free loopback ports: for tests, and for `make ha`."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

BINARY = shutil.which("etcd")


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


class Cluster:
    """Some members; `urls` are their client addresses. Members can be killed, paused and started again."""

    def __init__(self, directory: Path, members: int = 1, *flags: str, scheme: str = "http") -> None:
        self.directory = directory
        self.flags = flags
        ports = free_ports(2 * members)
        self._peers = [f"http://127.0.0.1:{port}" for port in ports[:members]]
        self.urls = [f"{scheme}://127.0.0.1:{port}" for port in ports[members:]]
        self.processes: list[subprocess.Popen[bytes] | None] = [None] * members

    def __enter__(self) -> "Cluster":
        for index in range(len(self.urls)):
            self.start(index)
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()

    def start(self, index: int) -> None:
        assert BINARY is not None
        name = f"m{index}"
        with open(self.directory / f"{name}.log", "ab") as log:
            self.processes[index] = subprocess.Popen(
                [
                    BINARY,
                    f"--name={name}",
                    f"--data-dir={self.directory / name}",
                    f"--listen-client-urls={self.urls[index]}",
                    f"--advertise-client-urls={self.urls[index]}",
                    f"--listen-peer-urls={self._peers[index]}",
                    f"--initial-advertise-peer-urls={self._peers[index]}",
                    f"--initial-cluster={','.join(f'm{i}={url}' for i, url in enumerate(self._peers))}",
                    "--unsafe-no-fsync",
                    "--heartbeat-interval=20",
                    "--election-timeout=200",
                    "--log-level=error",
                    *self.flags,
                ],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
                start_new_session=True,
            )

    def wait(self, seconds: float = 20.0) -> None:
        """Until every member takes connections; the store's own start does the rest."""
        end = time.monotonic() + seconds
        for url in self.urls:
            host, _, port = url.rpartition("/")[2].partition(":")
            while True:
                try:
                    if url.startswith("https"):
                        socket.create_connection((host, int(port)), 1).close()
                    else:
                        urllib.request.urlopen(f"{url}/health", timeout=1).close()
                    break
                except OSError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.05)

    def signal(self, index: int, number: int) -> None:
        process = self.processes[index]
        assert process is not None
        process.send_signal(number)

    def kill(self, index: int) -> None:
        process = self.processes[index]
        if process is not None:
            process.kill()
            process.wait()
            self.processes[index] = None

    def stop(self) -> None:
        for index, process in enumerate(self.processes):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                self.kill(index)
