"""Very many small frames, chunks and answers delay no other client:
of clients, kubelets, pods and aggregated servers."""

import contextlib
import pathlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from clients.cluster_streams import PODS, create_node, create_pod
from clients.drivers import Raw
from eventually import eventually
from fuzz.hostile_streams import ANSWERS, STREAMS, hostile
from fuzz.siege import Siege
from server.duplexes import frame
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LONGEST, P99 = 0.25, 0.05
"""Seconds that a bystander's read may wait, beside what it waits without an attack, at the longest:
a machine of tests is shared."""

PEAK = 64_000_000
"""Bytes that a flood may take."""

TRIES = 3
"""Times that an attack is tried before it is said to harm:
the machine of a test has other things to do as well."""

SECONDS = 0.4
"""The seconds for which a client sends."""

CLOSE, BINARY, PING = 8, 2, 9
FLOODS = {
    "empty messages": frame(BINARY),
    "pings": frame(PING),
    "messages of one byte": frame(BINARY, b"\x00"),
    "keys": frame(BINARY, b"\x00k"),
    "fragments": frame(0, b"k", fin=False),
}
"""The frames that a client sends over and over, after the beginning of a message for `fragments`."""

MAPS = "/api/v1/namespaces/default/configmaps"
UPGRADE = (
    "GET {} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer admin\r\n{}\r\n"
)


class Site:
    """A server under siege, and a hostile kubelet and aggregated server."""

    def __init__(self, siege: Siege, port: int) -> None:
        self.siege = siege
        raw = Raw(siege.server)
        create_node(raw, "n", port, [])
        create_pod(raw, "p", "n")
        namespace = "/api/v1/namespaces/default"
        service = {"metadata": {"name": "h"}, "spec": {"type": "ExternalName", "externalName": "localhost"}}
        raw.ok("POST", f"{namespace}/services", service)
        spec = {
            "group": "hostile.example.com",
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": "default", "name": "h", "port": port},
        }
        services = "/apis/apiregistration.k8s.io/v1/apiservices"
        raw.ok("POST", services, {"metadata": {"name": "v1.hostile.example.com"}, "spec": spec})
        one = f"{services}/v1.hostile.example.com"
        eventually(lambda: "'True'" in str(raw.ok("GET", one)), "the APIService to be available", 20)
        raw.connection.close()

    def exec(self, sort: str) -> None:
        """Run a command whose kubelet sends this, and read what comes."""
        url = self.siege.server.url.replace("https", "wss")
        target = f"{url}{PODS}/p/exec?command={sort}&stdin=1&stdout=1&stderr=1"
        tls = self.siege.server.context()
        with (
            contextlib.suppress(ConnectionClosed),
            connect(
                target,
                ssl=tls,
                subprotocols=[Subprotocol("v5.channel.k8s.io")],
                max_size=None,
                compression=None,
            ) as client,
        ):
            while True:
                client.recv(timeout=60)

    def get(self, sort: str) -> None:
        """Ask the aggregated server, and read what comes."""
        with self.siege.connect() as connection:
            connection.settimeout(60)
            request = (
                f"GET /apis/hostile.example.com/v1/{sort} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer"
                " admin\r\n\r\n"
            )
            connection.sendall(request.encode())
            with contextlib.suppress(OSError):
                while data := connection.recv(1 << 20):
                    if data.endswith(b"0\r\n\r\n") or b" 503 " in data[:20]:
                        break

    def send(self, target: str, protocol: str, flood: str) -> None:
        """Send frames on a WebSocket until the server has had enough of them."""
        line = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
        piece = FLOODS[flood]
        begin = frame(BINARY, b"\x00", fin=False) if flood == "fragments" else b""
        with self.siege.connect() as connection:
            connection.settimeout(60)
            connection.sendall(UPGRADE.format(target, line).encode())
            assert b" 101 " in connection.recv(1 << 16)
            part = piece * (1 << 16)
            with contextlib.suppress(OSError):
                connection.sendall(begin)
                until = time.monotonic() + SECONDS
                while time.monotonic() < until:
                    connection.sendall(part)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with hostile(tmp_path_factory.mktemp("hostile")) as port, Siege() as siege:
        yield Site(siege, port)


def nobody_waits(site: Site, name: str, attack: Callable[[], None]) -> None:
    """Carry an attack out until nobody has waited for it."""
    siege = site.siege
    seen = peak = None
    for _ in range(TRIES):
        siege.bystander.seen()
        before = siege.memory(after=0.3)
        siege._forget_peak()
        quiet = siege.bystander.seen()
        started = time.monotonic()
        attack()
        took = time.monotonic() - started
        seen = siege.bystander.seen()
        peak = siege._memory("VmHWM") - before
        print(
            f"{name:40} {took:5.1f} s, bystander longest {seen.longest * 1000:5.0f} ms, p99"
            f" {seen.p99 * 1000:5.1f} ms, peak {peak / 1e6:5.1f} MB"
        )
        if seen.longest <= LONGEST + quiet.longest and seen.p99 <= P99 + quiet.longest and peak <= PEAK:
            return
    raise AssertionError(f"{name}: {seen}, peak {peak}")


@pytest.mark.parametrize("sort", [sort for sort, sent in STREAMS.items() if sent])
def test_frames_of_a_kubelet(site: Site, sort: str) -> None:
    nobody_waits(site, f"a kubelet's {sort}", lambda: site.exec(sort))


@pytest.mark.parametrize("sort", ANSWERS)
def test_answers_of_an_aggregated_server(site: Site, sort: str) -> None:
    nobody_waits(site, f"an aggregated server's {sort}", lambda: site.get(sort))


@pytest.mark.parametrize("flood", FLOODS)
def test_frames_of_clients(site: Site, flood: str) -> None:
    nobody_waits(site, f"{flood} on a watch", lambda: site.send(f"{MAPS}?watch=1", "", flood))
    target = f"{PODS}/p/exec?command=sink&stdin=1&stdout=1&stderr=1"
    nobody_waits(site, f"{flood} for exec", lambda: site.send(target, "v5.channel.k8s.io", flood))


def test_no_traceback(site: Site) -> None:
    """The log has no traceback after all of the above."""
    log = pathlib.Path(site.siege.server.log).read_text(errors="replace")
    assert "Traceback" not in log, log[-6000:]
