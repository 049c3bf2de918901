"""A client that makes one request after the other over TLS, and waits after each until the server is idle."""

import json
import socket
import ssl
from typing import Any, Self

from count_server import Server

JSON = "application/json"


class Client:
    """A connection of one user over HTTP/1.1."""

    def __init__(self, server: Server, user: str = "bench") -> None:
        self._server, self._user = server, user
        context = ssl._create_unverified_context()
        context.set_alpn_protocols(["http/1.1"])
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=120)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(plain)
        self._file = self._socket.makefile("rb")
        self._head = (
            f"Host: 127.0.0.1:{server.port}\r\nUser-Agent: count/1.0\r\n"
            f"Authorization: Bearer {server.tokens[user]}\r\nAccept: application/json\r\n"
        )

    def another(self) -> Self:
        """A further connection of the same user."""
        return type(self)(self._server, self._user)

    def send(self, method: str, path: str, body: bytes = b"", kind: str = JSON) -> bytes:
        """The body of the answer, which must be a success."""
        self.begin(method, path, body, kind)
        return self.finish(f"{method} {path}")

    def finish(self, request: str) -> bytes:
        """Read the answer to a request that was sent."""
        length, chunked = self.head(request)
        out = b"".join(iter(self.chunk, b"")) if chunked else self._file.read(length)
        self._server.wait_idle()
        return out

    def begin(self, method: str, path: str, body: bytes = b"", kind: str = JSON) -> None:
        """Send a request."""
        content = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._socket.sendall(f"{method} {path} HTTP/1.1\r\n{self._head}{content}\r\n".encode() + body)

    def head(self, request: str) -> tuple[int, bool]:
        """Read the head of an answer: the length of its body, and whether it comes in chunks instead."""
        status = self._file.readline()
        length, chunked = 0, False
        while (line := self._file.readline().strip().lower()) != b"":
            name, _, value = line.partition(b":")
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                chunked = b"chunked" in value
        if status[9:10] != b"2":
            raise ValueError(f"{request}: {status!r} {self._file.read(length)!r}")
        return length, chunked

    def chunk(self) -> bytes:
        """The next chunk of a body, empty at its end."""
        out = self._file.read(int(self._file.readline().partition(b";")[0], 16))
        self._file.readline()
        return out

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def encode(obj: Any) -> bytes:
    return json.dumps(obj, separators=(",", ":")).encode()
