"""Nothing that clients have left stays alive:
connections, streams, watches and seats are counted, and the counts fall back."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator

import pytest
from eventually import eventually
from server.http2.peers import PREFACE, Flag, Kind, frame
from server.http2.test_http2_turns import literal

from pilothouse.testing.server import Subprocess

pytestmark = pytest.mark.slow

ALIVE = (
    "pilothouse_connections_open",
    "pilothouse_connections_unauthenticated",
    "pilothouse_http2_streams_open",
    "apiserver_longrunning_requests",
    "apiserver_current_inflight_requests",
    "apiserver_flowcontrol_current_executing_requests",
    "apiserver_flowcontrol_current_executing_seats",
    "apiserver_flowcontrol_current_inqueue_requests",
)
"""The gauges that count what is alive for a client."""

WHO = "Host: a\r\nAuthorization: Bearer admin\r\n"
MAPS = "/api/v1/namespaces/default/configmaps"
WATCH = f"GET {MAPS}?watch=1 HTTP/1.1\r\n{WHO}\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
ASKED = {
    "a watch": WATCH,
    "a watch over a WebSocket": WATCH.replace("\r\n\r\n", f"\r\n{UPGRADE}{KEY}\r\n"),
    "a head that does not end": f"GET {MAPS} HTTP/1.1\r\n{WHO}X: a",
    "a body that does not end": f"POST {MAPS} HTTP/1.1\r\n{WHO}Content-Length: 90\r\n\r\n{{",
    "a long body that does not end": f"POST {MAPS} HTTP/1.1\r\n{WHO}Content-Length: 900000\r\n\r\n{{",
    "answers that nobody reads": f"GET /openapi/v2 HTTP/1.1\r\n{WHO}\r\n" * 20,
    "a stranger": "GET /version HTTP/1.1\r\nHost: a\r\n\r\n",
}
TIMES = 5


def stream(number: int, path: str) -> bytes:
    """A request on a stream of HTTP/2."""
    text = f"{path}?watch=1".encode()
    who = literal(b"authorization", b"Bearer admin")
    block = b"\x82\x87\x01\x01a\x04" + bytes((len(text),)) + text + who
    return frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, number, block)


@pytest.fixture
def server() -> Iterator[Subprocess]:
    started = Subprocess()
    tokens = started.directory / "tokens.csv"
    tokens.write_text("admin,admin,admin,system:masters\n")
    started.flags += (f"--token-auth-file={tokens}",)
    with started:
        yield started


def connected(server: Subprocess, protocol: str) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(server.ca_file))
    context.set_alpn_protocols([protocol])
    plain = socket.create_connection(("127.0.0.1", server.port), 10)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def alive(server: Subprocess) -> dict[str, float]:
    """The sum of each gauge."""
    found = dict.fromkeys(ALIVE, 0.0)
    asks = http.client.HTTPSConnection("127.0.0.1", server.port, context=server.context(), timeout=10)
    with contextlib.closing(asks):
        asks.request("GET", "/metrics")
        text = asks.getresponse().read().decode()
    for line in text.splitlines():
        name = line.partition(" ")[0].partition("{")[0]
        if name in found:
            found[name] += float(line.rpartition(" ")[2])
    return found


def test_nothing_of_those_who_left_stays_alive(server: Subprocess) -> None:
    eventually(
        lambda: alive(server)["pilothouse_connections_open"] == 1, "the end of what waited for the start"
    )
    before = alive(server)
    with contextlib.ExitStack() as stack:
        for asked in list(ASKED.values()) * TIMES:
            stack.enter_context(connected(server, "http/1.1")).sendall(asked.encode())
        for _ in range(TIMES):
            peer = stack.enter_context(connected(server, "h2"))
            reset = frame(Kind.RST_STREAM, 0, 3, bytes(4))
            peer.sendall(PREFACE + frame(Kind.SETTINGS) + stream(1, MAPS) + stream(3, MAPS) + reset)
        eventually(lambda: alive(server)["apiserver_longrunning_requests"] == 3 * TIMES, "all watches")
        now = alive(server)
        assert now["pilothouse_http2_streams_open"] == TIMES
        assert (
            now["pilothouse_connections_open"]
            == before["pilothouse_connections_open"] + (len(ASKED) + 1) * TIMES
        )
    eventually(lambda: alive(server) == before, "all are gone", 30)
