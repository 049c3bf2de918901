"""A client process that reads continuously while others attack; its delays measure the effect of an attack.

Arguments are the server's port, directory and process; each line on its input requests a report since the last
one. The time that other processes of the machine take does not count; see Stopwatch.
"""

import contextlib
import json
import os
import pathlib
import select
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Self

PATH = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"
PERIOD = 0.005
"""Seconds between two reads."""

PATIENCE = 120.0
"""Seconds after which an answer does not come any more."""


@dataclass(frozen=True)
class Seen:
    """The experience of a bystander: answers,
    and the longest and the 99th percentile of waiting for the server, in seconds."""

    count: int
    longest: float
    p99: float


class Bystander:
    """The program, from outside."""

    def __init__(self, port: int, directory: pathlib.Path, server: int) -> None:
        self._command = [sys.executable, __file__, str(port), str(directory), str(server)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.seen()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def seen(self) -> Seen:
        """The experience since the last call; it waits for an answer that is on its way."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        return Seen(**json.loads(self._process.stdout.readline()))


def context(directory: pathlib.Path) -> ssl.SSLContext:
    """TLS settings of an administrator of a server in this directory."""
    made = ssl.create_default_context(cafile=str(directory / "ca.crt"))
    made.load_cert_chain(directory / "admin.crt", directory / "admin.key")
    return made


def scheduled(thread: str) -> tuple[float, float]:
    """The seconds for which a thread has had a processor, and for which it was ready and had none.

    thread: its place below /proc.
    """
    file = os.open(f"/proc/{thread}/schedstat", os.O_RDONLY)  # a Path takes four times as long
    try:
        ran, queued, _ = os.read(file, 100).split()
    finally:
        os.close(file)
    return int(ran) / 1e9, int(queued) / 1e9


def threads(process: int) -> dict[str, tuple[float, float]]:
    """The figures of scheduled() for each thread of a process."""
    out = {}
    for thread in os.listdir(f"/proc/{process}/task"):
        with contextlib.suppress(OSError):  # it has ended
            out[thread] = scheduled(f"{process}/task/{thread}")
    return out


class Stopwatch:
    """Measures how long a client waits for a server's process.

    The time does not count in which a thread of the server, or the one that asks, was ready and the machine
    ran other processes. The work of the server's main thread counts always.
    """

    def __init__(self, server: int) -> None:
        self._server = server
        self._threads = threads(server)
        self._queued = scheduled("thread-self")[1]
        self._begun = time.perf_counter()

    def seconds(self) -> float:
        """The seconds since the beginning."""
        passed = time.perf_counter() - self._begun
        queued = scheduled("thread-self")[1] - self._queued
        worked = 0.0
        for thread, (ran, waited) in threads(self._server).items():
            before = self._threads.get(thread, (0.0, 0.0))
            queued += waited - before[1]
            if thread == str(self._server):
                worked = ran - before[0]
        return max(passed - queued, worked)


def main(port: int, directory: pathlib.Path, server: int) -> None:
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    connection = context(directory).wrap_socket(plain, server_hostname="127.0.0.1")
    request = f"GET {PATH} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    waits: list[float] = []
    while True:
        watch = Stopwatch(server)
        connection.sendall(request)
        _read(connection)
        waits.append(watch.seconds())
        if select.select([sys.stdin], [], [], PERIOD)[0]:
            if not sys.stdin.readline():
                return
            waits.sort()
            seen = {"count": len(waits), "longest": waits[-1], "p99": waits[int(len(waits) * 0.99)]}
            print(json.dumps(seen), flush=True)
            waits.clear()


def _read(connection: ssl.SSLSocket) -> None:
    """One answer, whole."""
    data = connection.recv(65536)
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += connection.recv(65536)
    head = data[:end].lower()
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(data) < end + 4 + length:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("the answer is not whole")
        data += more


if __name__ == "__main__":
    main(int(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3]))
