"""Budgets count what the process takes:
each is filled over many TLS connections, and the resident memory is read.

TLS keeps two buffers for each connection, of the size of its largest read;
a budget of what has come is not enough.
"""

import contextlib
import json
import pathlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from clients.cluster_streams import PODS, create_node, create_pod
from clients.drivers import Raw
from eventually import eventually
from fuzz.hostile_streams import hostile
from fuzz.siege import KEPT, Siege
from fuzz.siege_runs import PEAK
from fuzz.test_bystander_turns import close
from server.http2.peers import PREFACE, Flag, Kind, frame
from server.http2.test_http2_turns import HEAD, literal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

QUIET = 1000
"""Milliseconds without progress after which the server has taken all that it takes."""

SECONDS = 120.0
"""Seconds after which no more than KEPT is left: free memory goes back more seldom on a busy machine."""

PART = 1 << 16

Connections = list[ssl.SSLSocket]


class Budgets(Siege):
    """A server whose memory is read while many connections are open."""

    def open(self, count: int, protocol: str) -> Connections:
        anyone = ssl.create_default_context(cafile=str(self.server.ca_file))
        anyone.set_alpn_protocols([protocol])

        def connect(_: int) -> ssl.SSLSocket:
            plain = socket.create_connection(("127.0.0.1", self.server.port), 30)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return anyone.wrap_socket(plain, server_hostname="127.0.0.1")

        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(connect, range(count)))

    def fill(self, count: int, data: bytes, protocol: str = "http/1.1") -> Connections:
        """Send on each of many connections as much as the server takes, a part at a time; nothing is read."""
        opened = self.open(count, protocol)
        left = {connection.fileno(): (connection, memoryview(data)) for connection in opened}
        poll = select.poll()
        for connection in opened:
            connection.setblocking(False)
            poll.register(connection, select.POLLOUT)
        while left and (ready := poll.poll(QUIET)):
            for number, _ in ready:
                connection, rest = left[number]
                try:
                    rest = rest[connection.send(rest[:PART]) :]
                except ssl.SSLWantWriteError:
                    continue
                except OSError:  # the server has ended the connection
                    rest = rest[:0]
                left[number] = connection, rest
                if not rest:
                    poll.unregister(number)
                    del left[number]
        return opened

    def taken(self, attack: Callable[["Budgets"], Connections]) -> tuple[int, int]:
        """Bytes that an attack takes at once, and that are left once its connections have closed."""
        before = self._memory("VmRSS")
        self._forget_peak()
        opened = attack(self)
        peak = 0
        while peak < (peak := self._memory("VmHWM")):  # what was sent is still being read
            time.sleep(QUIET / 1000)
        close(opened)
        kept: list[int] = []

        def is_back() -> bool:
            kept.append(self._memory("VmRSS") - before)
            return kept[-1] <= KEPT

        with contextlib.suppress(AssertionError):
            eventually(is_back, "memory that goes back", SECONDS)
        return max(peak, self._memory("VmHWM")) - before, min(kept)


MAPS = "/api/v1/namespaces/default/configmaps"
WEBSOCKET = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def get(path: str, token: str = "", more: str = "", method: str = "GET") -> bytes:
    who = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{who}{more}\r\n".encode()


def post(length: int, sent: int, token: str = "") -> bytes:
    """A part of a request to create something."""
    return get(MAPS, token, f"Content-Length: {length}\r\n", "POST") + b"x" * sent


def unfinished(size: int, token: str = "") -> bytes:
    """A head that does not end, behind a request of the user."""
    return (get("/version", token) if token else b"") + get("/version")[:-2] + b"X: " + b"x" * size


def who(token: str) -> bytes:
    return literal(b"authorization", b"Bearer " + token.encode()) if token else b""


def block(size: int, token: str = "") -> bytes:
    """A header block of HTTP/2 whose end does not come, behind a request."""
    fields = b"".join(literal(b"n%d" % i, b"v" * 1000) for i in range(size // 1010))
    first = frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, HEAD + who(token))
    parts = [fields[at : at + 16384] for at in range(0, size, 16384)]
    begun = frame(Kind.HEADERS, 0, 3, HEAD) + b"".join(frame(Kind.CONTINUATION, 0, 3, part) for part in parts)
    return PREFACE + frame(Kind.SETTINGS) + first + begun


def bodies(count: int, size: int, token: str = "") -> bytes:
    """Requests on streams of HTTP/2 whose bodies do not end."""
    head = HEAD.replace(b"\x82", b"\x83", 1) + who(token)
    parts = [b"x" * min(16384, size - at) for at in range(0, size, 16384)]
    streams = (
        frame(Kind.HEADERS, Flag.END_HEADERS, 2 * i + 1, head)
        + b"".join(frame(Kind.DATA, 0, 2 * i + 1, part) for part in parts)
        for i in range(count)
    )
    return PREFACE + frame(Kind.SETTINGS) + b"".join(streams)


def message(count: int) -> bytes:
    """A message of a WebSocket that does not end."""
    return struct.pack(">BBQ4s", 0x82, 0xFF, 1 << 30, b"mask") + bytes(count)


def keys(count: int) -> bytes:
    """A command whose kubelet takes nothing, and very many small messages for it."""
    asked = get(
        f"{PODS}/p/exec?command=deaf&stdin=1&stdout=1",
        "admin",
        WEBSOCKET + "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n",
    )
    return asked + struct.pack(">BB4s2s", 0x82, 0x82, b"\0\0\0\0", b"\0k") * count


def watches(it: Budgets) -> Connections:
    """Watches that nobody reads, and large events for them."""
    opened = it.fill(300, get(f"{MAPS}?watch=1", "admin"))
    for i in range(4):
        made = json.dumps({"metadata": {"name": f"m{i}"}, "data": {"a": "x" * 800_000}}).encode()
        assert it.send(get(MAPS, "admin", f"Content-Length: {len(made)}\r\n", "POST") + made) == 201
    for i in range(4):
        assert it.send(get(f"{MAPS}/m{i}", "admin", method="DELETE")) == 200
    return opened


ATTACKS: dict[str, Callable[[Budgets], Connections]] = {
    "long heads": lambda it: it.fill(400, unfinished(900_000)),
    "heads": lambda it: it.fill(1000, unfinished(100_000)),
    "heads of a user": lambda it: it.fill(500, unfinished(200_000, "jane")),
    "whole heads": lambda it: it.fill(1000, unfinished(900_000) + b"\r\n\r\n"),
    "short bodies": lambda it: it.fill(500, post(60_000, 59_000, "jane")),
    "long bodies": lambda it: it.fill(100, post(3_000_000, 2_900_000, "admin")),
    "uploads": lambda it: it.fill(300, get("/version", "admin") + post(2_000_000, 2_000_000, "admin")),
    "header blocks": lambda it: it.fill(400, block(900_000), "h2"),
    "header blocks of a user": lambda it: it.fill(500, block(200_000, "jane"), "h2"),
    "bodies on streams": lambda it: it.fill(200, bodies(25, 60_000, "admin"), "h2"),
    "a long message": lambda it: it.fill(
        100, get(f"{MAPS}?watch=1", "admin", WEBSOCKET) + message(1_000_000)
    ),
    "small messages": lambda it: it.fill(50, keys(100_000)),
    "watches": watches,
    "answers": lambda it: it.fill(200, get("/openapi/v2", "admin") * 100),
}
"""The connections that fill each budget; a user shows a token, and nobody reads."""


@pytest.fixture(scope="module")
def budgets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Budgets]:
    directory: pathlib.Path = tmp_path_factory.mktemp("kubelet")
    with hostile(directory) as port, Budgets() as it:
        raw = Raw(it.server)
        create_node(raw, "n", port, [])
        create_pod(raw, "p", "n")
        raw.connection.close()
        close(it.fill(2, keys(10)))  # what is imported and made at the first request is not an attack's
        assert it.send(get("/openapi/v2", "admin")) == 200
        it.memory()
        yield it


@pytest.mark.parametrize("name", ATTACKS)
def test_a_full_budget_is_what_the_process_takes(budgets: Budgets, name: str) -> None:
    taken, kept = budgets.taken(ATTACKS[name])
    print(f"{name}: {taken / 1e6:.0f} MB at once, {kept / 1e6:.0f} MB kept")
    assert taken <= PEAK
    assert kept <= KEPT
