"""A server process under attack, and the effects on other clients and on its memory."""

import contextlib
import pathlib
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Self

from fuzz.attacks import Attack
from fuzz.over_http2 import exchange
from fuzz.watching import Bystander

from pilothouse.testing.server import Subprocess

CLOCK = 100
"""Ticks of the kernel in a second, in /proc."""

PATIENCE = 60.0
"""Seconds that an attack's answer is waited for, on a machine that is busy;
a server that is still busy then is started anew."""

KEPT = 16_000_000
"""Bytes that may be left behind, of one request or of ten thousand small ones."""

TOO_LARGE = b"etcdserver: request is too large"

SETTLED = 2.5
"""Seconds after which what is free has gone back to the system (heap.Trim looks every second)."""

TOKENS = 'admin,admin,1,"system:masters"\njane,jane,2\nmary,mary,3\n'


@dataclass(frozen=True)
class Damage:
    """The effects of an attack: the last answer's status (0 for none), processor seconds, the longest that a
    bystander waited, bytes taken at once and bytes kept."""

    name: str
    status: int
    processor: float
    longest: float
    p99: float
    peak: int
    kept: int

    def __str__(self) -> str:
        return (
            f"{self.name:45} {self.status or '---'} {self.processor:7.2f} s, bystander"
            f" {self.longest * 1000:6.0f} ms (p99 {self.p99 * 1000:5.1f}), peak {self.peak / 1e6:6.0f} MB,"
            f" kept {self.kept / 1e6:6.1f} MB"
        )


class Siege:
    """A server and a bystander, for one attack after the other, over HTTP/1.1 or HTTP/2."""

    def __init__(self, protocol: str = "http/1.1") -> None:
        self.protocol = protocol

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        self.server = Subprocess(["--v=1"])
        tokens = self.server.directory / "tokens.csv"
        tokens.write_text(TOKENS)
        self.server.flags += (f"--token-auth-file={tokens}",)
        self._serve()

    def _serve(self) -> None:
        """Start the server; nobody reads from it yet."""
        self._stack.enter_context(self.server)
        self._bystander: Bystander | None = None

    @property
    def bystander(self) -> Bystander:
        """The client that reads from the server; it does so from the first time that somebody asks for it."""
        if self._bystander is None:
            made = Bystander(self.server.port, self.server.directory, self.pid)
            self._bystander = self._stack.enter_context(made)
        return self._bystander

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self.server.process is not None
        return self.server.process.pid

    def _again(self) -> None:
        """A server that hangs is killed; another takes its place."""
        assert self.server.process is not None
        self.server.process.kill()
        self._stack.close()
        self._start()

    def connect(self) -> ssl.SSLSocket:
        """A connection of somebody who shows no certificate."""
        anyone = ssl.create_default_context(cafile=str(self.server.ca_file))
        anyone.set_alpn_protocols([self.protocol])
        plain = socket.create_connection(("127.0.0.1", self.server.port), PATIENCE)
        plain.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # else a long request waits for a delayed ACK
        return anyone.wrap_socket(plain, server_hostname="127.0.0.1")

    def suffer(self, attack: Attack) -> Damage:
        """Carry an attack out and see what it did."""
        for request in attack.before:
            self.send(request)
        request = attack.make()
        self.bystander.seen()
        time.sleep(0.2)
        resident, used = self._memory("VmRSS"), self._processor()
        self._forget_peak()
        self.bystander.seen()
        status = 0
        for _ in range(attack.times):
            status = self.send(request)
        if not status and self._busy():
            self._again()
            return Damage(attack.name, 0, PATIENCE, PATIENCE, PATIENCE, 0, 0)
        time.sleep(0.1)
        seen = self.bystander.seen()
        spent = self._processor() - used
        peak = self._memory("VmHWM") - resident
        kept = self._settled(resident + KEPT) - resident
        return Damage(attack.name, status, spent, seen.longest, seen.p99, peak, kept)

    def send(self, request: bytes) -> int:
        """Send a request on a connection of its own; the status of the answer, 0 when there is none."""
        try:
            with self.connect() as connection:
                connection.settimeout(PATIENCE)
                if self.protocol == "h2":
                    status, answer = exchange(connection, request)
                    return 413 if TOO_LARGE in answer else status
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    connection.sendall(request)
                return _status(connection)
        except OSError:
            return 0

    def flood(self, requests: list[bytes]) -> None:
        """Send many requests one after the other on one connection, and take their answers."""
        connection, sent = self.connect(), 0
        for request in requests:
            try:
                connection.sendall(request)
                _status(connection)
                sent += 1
            except OSError:
                connection.close()
                connection = self.connect()
        connection.close()

    def log(self) -> str:
        return self.server.log.read_text(errors="replace")

    def _busy(self) -> bool:
        """Whether the processor is all the server's."""
        used = self._processor()
        time.sleep(0.5)
        return self._processor() - used > 0.2

    def memory(self, after: float = SETTLED) -> int:
        """Resident bytes after some seconds, in which what is free goes back."""
        time.sleep(after)
        return self._memory("VmRSS")

    def _settled(self, most: int) -> int:
        """Resident bytes as soon as they are `most` at the most, or when what is free has gone back."""
        until = time.monotonic() + SETTLED
        while (left := self._memory("VmRSS")) > most and time.monotonic() < until:
            time.sleep(0.05)
        return left

    def _proc(self, file: str) -> pathlib.Path:
        return pathlib.Path(f"/proc/{self.pid}/{file}")

    def _memory(self, name: str) -> int:
        return int(self._proc("status").read_text().split(f"{name}:")[1].split()[0]) * 1024

    def _forget_peak(self) -> None:
        with contextlib.suppress(OSError):
            self._proc("clear_refs").write_text("5")

    def _processor(self) -> float:
        fields = self._proc("stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK


def _status(connection: ssl.SSLSocket) -> int:
    """Read one answer whole; its status,
    413 as well where upstream's store says 500 to what is too large for it."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("no answer")
        data += more
    head = data[:end].lower()
    if b"content-length: " in head:
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        got = len(data) - end - 4
        while got < length:
            more = connection.recv(1 << 20)
            if not more:
                raise ConnectionError("half an answer")
            got += len(more)
    return 413 if TOO_LARGE in data else int(data[9:12])


def worst(damages: list[Damage]) -> str:
    """A table, the longest waits first."""
    return "\n".join(str(damage) for damage in sorted(damages, key=lambda d: -d.longest))
