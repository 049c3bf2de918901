"""Clients that make one request after the other over TLS, and wait after each until the server is idle."""

import json
import socket
import ssl
from typing import Any, Self

from count_server import Server
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded
from h2.settings import SettingCodes

JSON = "application/json"
WINDOW = (1 << 31) - 1


class Client:
    """A connection of one user over HTTP/1.1."""

    protocol = "http/1.1"

    def __init__(self, server: Server, user: str = "bench") -> None:
        self._server, self._user = server, user
        context = ssl._create_unverified_context()
        context.set_alpn_protocols([self.protocol])
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

    def over_http2(self) -> "Http2Client":
        """A connection of the same user over HTTP/2."""
        return Http2Client(self._server, self._user)

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


class Http2Client(Client):
    """A connection over HTTP/2, whose windows are as large as they can be. One stream is open at a time."""

    protocol = "h2"

    def __init__(self, server: Server, user: str = "bench") -> None:
        super().__init__(server, user)
        self._engine = H2Connection()
        self._engine.local_settings = type(self._engine.local_settings)(
            client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: WINDOW}
        )
        self._engine.initiate_connection()
        self._engine.increment_flow_control_window(WINDOW - 65535)
        self._flush()
        self._headers = [
            (":scheme", "https"),
            (":authority", f"127.0.0.1:{server.port}"),
            ("user-agent", "count/1.0"),
            ("authorization", f"Bearer {server.tokens[user]}"),
            ("accept", JSON),
        ]
        self._status = ""
        self._data = b""
        self._ended = False

    def _flush(self) -> None:
        self._socket.sendall(self._engine.data_to_send())

    def _receive(self) -> None:
        """Read what comes next."""
        for event in self._engine.receive_data(self._socket.recv(1 << 18)):
            if isinstance(event, ResponseReceived):
                self._status = dict(event.headers)[b":status"].decode()
            elif isinstance(event, DataReceived):
                self._data += event.data
            elif isinstance(event, StreamEnded):
                self._ended = True
        self._flush()

    def begin(self, method: str, path: str, body: bytes = b"", kind: str = JSON) -> None:
        stream = self._engine.get_next_available_stream_id()
        headers = [(":method", method), (":path", path), *self._headers]
        if body:
            headers += [("content-type", kind), ("content-length", str(len(body)))]
        self._status, self._data, self._ended = "", b"", False
        self._engine.send_headers(stream, headers, end_stream=not body)
        if body:
            self._engine.send_data(stream, body, end_stream=True)
        self._flush()

    def head(self, request: str) -> tuple[int, bool]:
        while not self._status:
            self._receive()
        if not self._status.startswith("2"):
            raise ValueError(f"{request}: {self._status}")
        return 0, True

    def chunk(self) -> bytes:
        """The next line of a watch."""
        while b"\n" not in self._data:
            self._receive()
        line, _, self._data = self._data.partition(b"\n")
        return line

    def finish(self, request: str) -> bytes:
        self.head(request)
        while not self._ended:
            self._receive()
        self._server.wait_idle()
        return self._data


def encode(obj: Any) -> bytes:
    return json.dumps(obj, separators=(",", ":")).encode()
