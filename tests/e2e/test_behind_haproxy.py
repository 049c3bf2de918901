"""Requests that are meant to be two for the server and one for HAProxy, or the other way round.

HAProxy speaks HTTP and shares its connections to the server among clients,
which is where smuggled requests do harm.
"""

import pathlib
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.consoles import TOKENS
from eventually import eventually

from pilothouse.commands.api import Api
from pilothouse.testing.ports import free_ports
from pilothouse.testing.server import InProcess

HAPROXY = shutil.which("haproxy")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(HAPROXY is None, reason="needs haproxy; apt-get install haproxy"),
]

CONFIG = """
defaults
    mode http
    log 127.0.0.1:{log} local0
    log-format "PASSED %HP %HU"
    option accept-invalid-http-request
    http-reuse always
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend strangers
    bind 127.0.0.1:{port}
    default_backend server
backend server
    server one 127.0.0.1:{server} ssl verify none
"""

USER = b"Host: a\r\nAuthorization: Bearer for-root\r\n"
INNER = b"GET /inner-N HTTP/1.1\r\n" + USER + b"\r\n"
LENGTH = b"Content-Length: %d\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"


def post(headers: bytes, body: bytes, line: bytes = b"POST /outer-N HTTP/1.1") -> bytes:
    return line + b"\r\n" + USER + headers + b"\r\n" + body


def coding(header: bytes) -> bytes:
    """A body that ends at once for who knows the coding, and has a request in it for who counts bytes."""
    return post(LENGTH % len(END + INNER) + header + b"\r\n", END + INNER)


ATTACKS = {
    "CL.TE": coding(b"Transfer-Encoding: chunked"),
    "TE.CL": post(LENGTH % 4 + CHUNKED, b"%x\r\n%s\r\n" % (len(INNER), INNER) + END),
    "TE.TE": coding(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x"),
    "a space before the colon": coding(b"Transfer-Encoding : chunked"),
    "a vertical tab": coding(b"Transfer-Encoding:\x0bchunked"),
    "identity at the end": coding(b"Transfer-Encoding: chunked, identity"),
    "a folded coding": coding(b"Transfer-Encoding:\r\n chunked"),
    "a folded line that looks like a coding": coding(b"X: y\r\n Transfer-Encoding: chunked"),
    "a bare line feed": coding(b"X: y\nTransfer-Encoding: chunked"),
    "a bare carriage return": coding(b"X: y\rTransfer-Encoding: chunked"),
    "a NUL": coding(b"X: y\0z\r\nTransfer-Encoding: chunked"),
    "an underscore": coding(b"Transfer_Encoding: chunked"),
    "two lengths": post(b"Content-Length: 0\r\n" + LENGTH % len(INNER), INNER),
    "a list of lengths": post(b"Content-Length: 0, %d\r\n" % len(INNER), INNER),
    "a signed length": post(b"Content-Length: +%d\r\n" % len(INNER), INNER),
    "a length of 65 bits": post(b"Content-Length: 18446744073709551616\r\n", INNER),
    "a quoted line end in a chunk's extension": post(CHUNKED, b'3;a="\r\nabc\r\n' + END + INNER),
    "a chunk's size of 65 bits": post(CHUNKED, b"10000000000000003\r\nabc\r\n" + END + INNER),
    "a chunk that ends elsewhere": post(CHUNKED, b"3\r\nabc" + END + INNER),
    "a length in a trailer": post(CHUNKED, b"0\r\n" + LENGTH % len(INNER) + b"\r\n" + INNER),
    "HTTP/1.0 with a coding": post(CHUNKED + b"Connection: keep-alive\r\n", END + INNER,
                                   b"POST /outer-N HTTP/1.0"),
    "h2c": post(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", INNER,
                b"GET /outer-N HTTP/1.1"),
    "a WebSocket that is refused": post(
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\nSec-WebSocket-Key: "
        b"eA==\r\n",
        INNER,
        b"GET /api/v1/pods/outer-N?watch=1 HTTP/1.1",
    ),
    "a wish that is not met": post(b"Expect: 100-continue, x\r\n" + LENGTH % len(INNER), INNER),
    "a request with a body that has none": post(LENGTH % len(INNER), INNER, b"HEAD /outer-N HTTP/1.1"),
    "a tunnel": post(b"", INNER, b"CONNECT outer-N:443 HTTP/1.1"),
    "PROXY": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + INNER,
}  # fmt: skip


PATIENCE, MOMENT = 30.0, 0.15
"""Seconds for an answer that comes, and for what may follow the last one."""


class Front:
    """HAProxy and a server behind it, each with the requests that it has seen."""

    def __init__(self, server: InProcess, port: int, log: socket.socket) -> None:
        self.server = server
        self.port = port
        self._api = Api(server.kubeconfig)
        self._log = log
        self._lines = ""

    def send(self, raw: bytes, *, straight: bool = False, answers: int = 1) -> bytes:
        """So many answers, and all that follows within a moment."""
        address = "127.0.0.1", self.server.port if straight else self.port
        with socket.create_connection(address) as plain:
            trust = ssl.create_default_context(cafile=str(self.server.ca_file))
            sock = trust.wrap_socket(plain, server_hostname="127.0.0.1") if straight else plain
            with sock:
                sock.settimeout(PATIENCE)
                out = b""
                try:
                    sock.sendall(raw)
                    while data := sock.recv(1 << 16):
                        out += data
                        sock.settimeout(MOMENT if out.count(b"HTTP/1.1 ") >= answers else PATIENCE)
                except OSError:
                    pass
                return out

    def served(self) -> list[str]:
        """The paths of the attacks that the server has answered."""
        known: Any = self._api.call("GET", "/debug/requests?limit=10000")
        return re.findall(r"(?:outer|inner)-\w+", str([one["path"] for one in known["requests"]]))

    def passed(self) -> list[str]:
        """The paths of the attacks that HAProxy has passed on."""
        try:
            while True:
                self._lines += self._log.recv(1 << 16).decode()
        except BlockingIOError:
            return re.findall(r"PASSED .*?((?:outer|inner)-\w+)", self._lines)


@pytest.fixture
def front(tmp_path: pathlib.Path) -> Iterator[Front]:
    tokens = tmp_path / "tokens.csv"
    tokens.write_text(TOKENS)
    assert HAPROXY is not None
    with (
        InProcess([f"--token-auth-file={tokens}"]) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log,
    ):
        log.bind(("127.0.0.1", 0))
        log.setblocking(False)
        [port] = free_ports(1)
        config = tmp_path / "haproxy.cfg"
        config.write_text(CONFIG.format(log=log.getsockname()[1], port=port, server=server.port))
        with subprocess.Popen([HAPROXY, "-db", "-f", str(config)], stdout=subprocess.DEVNULL) as haproxy:
            try:
                front = Front(server, port, log)
                yield front
            finally:
                haproxy.kill()


def version(front: Front) -> bool:
    asked = b"GET /version HTTP/1.1\r\nConnection: close\r\n" + USER + b"\r\n"
    try:
        return b'"gitVersion"' in front.send(asked)
    except OSError:
        return False


def test_both_see_the_same_requests(front: Front) -> None:
    eventually(lambda: version(front), "HAProxy")
    for at, (name, raw) in enumerate(ATTACKS.items()):
        front.send(raw.replace(b"-N", b"-%d" % at))
        assert version(front), name
    eventually(lambda: set(front.served()) <= set(front.passed()), "the log of HAProxy")
    served, passed = front.served(), front.passed()
    assert all(served.count(path) <= passed.count(path) for path in served), (served, passed)
    assert len(served) > 10, "they have reached the server"


TWO = ("a WebSocket that is refused", "h2c")
"""Attacks that every reader of RFC 9112 takes for two requests."""


def test_the_server_alone_takes_no_body_for_a_request(front: Front) -> None:
    for at, (name, raw) in enumerate(ATTACKS.items()):
        front.send(raw.replace(b"-N", b"-%d" % at), straight=True, answers=2 if name in TWO else 1)
    names = list(ATTACKS)
    inner = [names[int(path.rpartition("-")[2])] for path in front.served() if path.startswith("inner")]
    assert sorted(inner) == sorted(TWO)
