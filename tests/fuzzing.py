"""Sends malformed requests, and checks the properties that every answer must have."""

import contextlib
import json
import os
import pathlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httptools

from pilothouse.testing.server import APIServer, Subprocess

MAPS = "/api/v1/namespaces/default/configmaps"
JSON = {"Content-Type": "application/json"}
WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    2**70,
    "",
    "\x00",
    "x" * 300,
    [],
    [None],
    {},
    {"a": None},
    [[]],
    [{}],
)
"""The values that replace a member."""

WHOLE = bool(os.environ.get("PILOTHOUSE_FUZZ_WHOLE"))
"""Whether every member gets every one of them in every way: `make fuzz` sets it."""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Reading:
    """Takes the answer to one request from the bytes of a connection."""

    def __init__(self, method: str) -> None:
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.complete = False
        self.stays = False
        """Whether the connection takes another request."""
        self._method = method
        self._parser = httptools.HttpResponseParser(self)

    def take(self, connection: ssl.SSLSocket) -> Answer:
        """Read one answer whole, those before it left out that only say to go on.

        Raises ConnectionResetError when nothing comes, and EOFError when the end does not.
        """
        begun = False
        while not self.complete:
            data = connection.recv(1 << 16)
            if not data:
                raise EOFError("half an answer") if begun else ConnectionResetError("no answer")
            begun = True
            with contextlib.suppress(httptools.HttpParserUpgrade):
                self._parser.feed_data(data)
        return Answer(self._parser.get_status_code(), self.headers, b"".join(self.parts))

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1")] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.stays = self._parser.should_keep_alive()
        self.complete = self._method == "HEAD"

    def on_body(self, part: bytes) -> None:
        self.parts.append(part)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() == 100:
            self.headers.clear()
        else:
            self.complete = True


@dataclass
class Target:
    """A running server with one connection that is kept while the server keeps it."""

    server: APIServer
    connection: ssl.SSLSocket | None = None

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """The TLS settings of all connections."""
        return self.server.context()

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request and read its answer; once more when the server had closed the connection."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.server.port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        request = "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
        for attempt in range(2):
            reading = Reading(method)
            try:
                if self.connection is None:
                    self.connection = self._connect()
                self.connection.sendall(request)
                answer = reading.take(self.connection)
            except (ConnectionResetError, BrokenPipeError):
                self.close()
                if attempt:
                    raise
            except Exception:
                self.close()
                raise
            else:
                if not reading.stays:
                    self.close()
                return answer
        raise AssertionError

    def _connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.server.port), 20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(plain, server_hostname="127.0.0.1")

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def raw(self, data: bytes, wait: float = 5) -> bytes:
        """Send bytes on a connection of their own; what comes back until it closes."""
        out = b""
        with (
            socket.create_connection(("127.0.0.1", self.server.port), 20) as plain,
            self.tls.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
            contextlib.suppress(OSError),
        ):
            tls.settimeout(wait)
            tls.sendall(data)
            while part := tls.recv(65536):
                out += part
        return out

    def log(self) -> str:
        return pathlib.Path(self.server.directory / "server.log").read_text(errors="replace")

    def memory(self) -> int:
        """Resident bytes of the server's process."""
        assert isinstance(self.server, Subprocess) and self.server.process is not None
        status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024


def refused(answer: Answer, *, allowed: tuple[int, ...] = ()) -> None:
    """Require of an answer to garbage that it is a 4xx with a Status that says why, or one of `allowed`.

    A few mistakes of clients are plain Go errors upstream, which become a 500 without a reason, and one makes
    it panic; those answers are kept. What goes wrong here
    has the reason InternalError and a traceback in the log.
    """
    if answer.status in allowed:
        return
    status: dict[str, object] = {}
    if answer.headers.get("Content-Type") == "application/json":
        status = json.loads(answer.body)
        assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", answer.status)
        assert status["message"]
    as_upstream = (
        answer.status == 500 and status and ("reason" not in status or "panic" in str(status["message"]))
    )
    assert as_upstream or 400 <= answer.status < 500, (answer.status, answer.body[:2000])


def bystander(server: APIServer, stop: threading.Event, slowest: list[float]) -> None:
    """Another client that reads all the time and notes how long it waits."""
    other = Target(server)
    while not stop.is_set():
        begun = time.monotonic()
        assert other.send("GET", MAPS).status == 200
        slowest[0] = max(slowest[0], time.monotonic() - begun)
        stop.wait(0.05)
    other.close()


def variants(value: object, wrong: object) -> list[Any]:
    """Copies of a value with one member, at any depth, replaced."""
    out: list[Any] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            out.append(value | {key: wrong})
            out += [value | {key: changed} for changed in variants(inner, wrong)]
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            out.append([*value[:at], wrong, *value[at + 1 :]])
            out += [[*value[:at], changed, *value[at + 1 :]] for changed in variants(inner, wrong)]
    return out


def share(value: object, ways: int, turn: int) -> Iterator[Any]:
    """One in so many of a value's variants with each of WRONG, all if WHOLE.

    The turn says which: each of so many ways that have turns of their own takes others. Every member gets
    some of the values in each way, and every value is given to some of the members.
    """
    for at, wrong in enumerate(WRONG):
        for member, changed in enumerate(variants(value, wrong)):
            if WHOLE or (at + member + turn) % ways == 0:
                yield changed
