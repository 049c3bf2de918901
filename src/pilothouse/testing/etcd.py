"""Starts etcd clusters on free loopback ports, for tests and for `make ha`."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Self

from pilothouse.testing.ports import check, free_ports, wait_or_move

BINARY = shutil.which("etcd")


class EtcdCluster:
    """A cluster of etcd members that can be killed, paused and restarted;
    `urls` are their client addresses, `peers` those for each other."""

    def __init__(self, directory: Path, members: int = 1, *flags: str, scheme: str = "http") -> None:
        self.directory = directory
        self.flags = flags
        self._scheme = scheme
        self.processes: list[subprocess.Popen[bytes] | None] = [None] * members
        self._choose_ports()

    def _choose_ports(self) -> None:
        members = len(self.processes)
        ports = free_ports(2 * members)
        self.peers = [f"http://127.0.0.1:{port}" for port in ports[:members]]
        self.urls = [f"{self._scheme}://127.0.0.1:{port}" for port in ports[members:]]

    def __enter__(self) -> Self:
        self.start_all()
        return self

    def start_all(self) -> None:
        """Start all members and wait until they accept connections; tries other ports if one is taken."""
        try:
            self._start_members()
            wait_or_move(self.wait, self._move)
        except BaseException:
            self.stop()
            raise

    def _start_members(self) -> None:
        for index in range(len(self.urls)):
            self.start(index)

    def _move(self) -> None:
        """Start all members on other ports, without the data that names the old ones."""
        self.stop()
        for index in range(len(self.urls)):
            shutil.rmtree(self.directory / f"m{index}", ignore_errors=True)
            self._log_path(index).unlink()
        self._choose_ports()
        self._start_members()

    def _log_path(self, index: int) -> Path:
        return self.directory / f"m{index}.log"

    def __exit__(self, *args: object) -> None:
        self.stop()

    def start(self, index: int) -> None:
        assert BINARY is not None
        name = f"m{index}"
        with open(self._log_path(index), "ab") as log:
            self.processes[index] = subprocess.Popen(
                [
                    BINARY,
                    f"--name={name}",
                    f"--data-dir={self.directory / name}",
                    f"--listen-client-urls={self.urls[index]}",
                    f"--advertise-client-urls={self.urls[index]}",
                    f"--listen-peer-urls={self.peers[index]}",
                    f"--initial-advertise-peer-urls={self.peers[index]}",
                    f"--initial-cluster={','.join(f'm{i}={url}' for i, url in enumerate(self.peers))}",
                    "--unsafe-no-fsync",
                    "--heartbeat-interval=50",
                    "--election-timeout=500",
                    "--log-level=error",
                    *self.flags,
                ],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
                start_new_session=True,
            )

    def wait(self, seconds: float = 20.0) -> None:
        """Wait until every member accepts connections; raises EndedError if one has ended."""
        end = time.monotonic() + seconds
        for index, url in enumerate(self.urls):
            host, _, port = url.rpartition("/")[2].partition(":")
            while True:
                check(self.processes[index], self._log_path(index))
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
        """Send a signal to a member. After SIGSTOP all its threads have stopped when this returns."""
        process = self.processes[index]
        assert process is not None
        process.send_signal(number)
        while number == signal.SIGSTOP and not _stopped(process.pid):
            time.sleep(0.001)

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


def _stopped(pid: int) -> bool:
    """Whether all threads of a process have stopped; the signal reaches those that run a little later."""
    try:
        texts = [stat.read_text() for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:  # a thread has ended meanwhile
        return False
    return all(text.rpartition(")")[2].split()[0] in "TtXZ" for text in texts)
