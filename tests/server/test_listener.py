"""One listener on real sockets: TLS, client certificates, SNI, reload, keep-alive, streams and shutdown."""

import asyncio
import contextlib
import http.client
import pathlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop
from eventually import eventually

from pilothouse.files import write_file
from pilothouse.pki import CertificateAuthority
from pilothouse.server import tls
from pilothouse.server.http1 import Limits
from pilothouse.server.listener import Listener, bind
from pilothouse.server.request import Request, Response, Stream

LIMITS = Limits(body_budget=8 * 1024 * 1024)


class Running:
    """A listener on a thread with its own loop."""

    def __init__(
        self,
        directory: pathlib.Path,
        ca: CertificateAuthority,
        settings: Callable[..., tls.TLSSettings],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.ca, self.directory = ca, directory
        self.requests: list[Request] = []
        self.streams: list[Stream] = []
        self.contexts = tls.Contexts(settings(str(directory / "server.crt"), str(directory / "server.key")))
        self.sock = bind("127.0.0.1", 0)
        self.port = self.sock.getsockname()[1]
        self.loop = loop or uvloop.new_event_loop()
        self.listener: Any = None
        self.finish = asyncio.Event()  # until then /slow is not answered
        self.finish.set()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.call(self._start())

    async def _start(self) -> None:
        self.listener = Listener(self.handle, [self.sock], self.contexts, LIMITS)
        await self.listener.start()

    def call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def handle(self, request: Request) -> Any:
        self.requests.append(request)
        if request.path == "/watch":
            return Response(200, start=self.streams.append)
        if request.path == "/slow":
            return self.slow()
        return Response(200, [b"x" * 100_000] * 50 if request.path == "/long" else b"hello")

    async def slow(self) -> Response:
        await asyncio.sleep(0)
        await self.finish.wait()
        return Response(200, b"slow")

    def connect(
        self, cert: tuple[bytes, bytes] | None = None, version: ssl.TLSVersion | None = None
    ) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cadata=pem(self.ca).decode())
        if version is not None:
            context.maximum_version = version
        if cert is not None:
            path = self.directory / f"client{len(list(self.directory.iterdir()))}.pem"
            path.write_bytes(b"".join(cert))
            context.load_cert_chain(path)
        return http.client.HTTPSConnection("localhost", self.port, context=context, timeout=5)

    def close(self) -> None:
        self.call(self.listener.stop(0.1))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def pem(ca: CertificateAuthority) -> bytes:
    return ssl.DER_cert_to_PEM_cert(ca.der()).encode()


def write_pair(directory: pathlib.Path, name: str, pair: tuple[bytes, bytes]) -> None:
    write_file(directory / f"{name}.crt", pair[0])
    write_file(directory / f"{name}.key", pair[1])


@pytest.fixture
def running(tmp_path: pathlib.Path) -> Iterator[Running]:
    ca = CertificateAuthority.create()
    (tmp_path / "ca.crt").write_bytes(pem(ca))
    write_pair(tmp_path, "server", ca.issue("s", hosts=["localhost"], server=True))
    write_pair(tmp_path, "other", ca.issue("other", hosts=["other.example", "*.wild.example"], server=True))
    sni = ((str(tmp_path / "other.crt"), str(tmp_path / "other.key"), ()),)
    server = Running(tmp_path, ca, lambda c, k: tls.TLSSettings(c, k, (str(tmp_path / "ca.crt"),), sni))
    yield server
    server.close()


def get(connection: http.client.HTTPSConnection, path: str = "/") -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def test_requests_with_and_without_client_certificate(running: Running) -> None:
    plain = running.connect()
    assert get(plain) == b"hello" and get(plain, "/long") == b"x" * 5_000_000
    assert running.requests[0].peer_certificates == () and running.requests[0].peer[0] == "127.0.0.1"
    assert plain.sock.version() == "TLSv1.3" and plain.sock.selected_alpn_protocol() is None
    pair = running.ca.issue("jane", ["dev"], server=False)
    mine = running.connect(pair)
    assert get(mine) == b"hello"
    chain = running.requests[-1].peer_certificates
    assert chain == (ssl.PEM_cert_to_DER_cert(pair[0].decode()), running.ca.der())
    pair = CertificateAuthority.create("evil").issue("eve", ["system:masters"], server=False)
    stranger = running.connect(pair)
    assert get(stranger) == b"hello"  # the authenticator refuses it
    assert running.requests[-1].peer_certificates == (ssl.PEM_cert_to_DER_cert(pair[0].decode()),)
    for connection in (plain, mine, stranger):
        connection.close()


@pytest.mark.parametrize("make_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_tls_1_2(tmp_path: pathlib.Path, make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    ca = CertificateAuthority.create()
    (tmp_path / "ca.crt").write_bytes(pem(ca))
    write_pair(tmp_path, "server", ca.issue("s", hosts=["localhost"], server=True))
    server = Running(
        tmp_path, ca, lambda c, k: tls.TLSSettings(c, k, (str(tmp_path / "ca.crt"),)), make_loop()
    )
    try:
        for pair in (None, ca.issue("jane", ["dev"], server=False)):
            connection = server.connect(pair, ssl.TLSVersion.TLSv1_2)
            assert get(connection) == b"hello" and connection.sock.version() == "TLSv1.2"
            assert get(connection, "/long") == b"x" * 5_000_000 and get(connection, "/slow") == b"slow"
            connection.request("POST", "/", b"y" * 1_000_000)
            assert connection.getresponse().read() == b"hello"
            assert len(server.requests[-1].peer_certificates) == (0 if pair is None else 2)
            connection.close()
    finally:
        server.close()


def served_name(running: Running, name: str) -> str:
    context = ssl.create_default_context(cadata=pem(running.ca).decode())
    context.check_hostname = False
    raw = socket.create_connection(("127.0.0.1", running.port))
    with context.wrap_socket(raw, server_hostname=name) as sock:
        certificate: Any = sock.getpeercert()
    subject = dict(part[0] for part in certificate["subject"])
    return str(subject["commonName"])


def test_sni_and_reload(running: Running) -> None:
    names = ("localhost", "other.example", "a.wild.example", "unknown.example")
    assert [served_name(running, name) for name in names] == ["s", "other", "other", "s"]
    contexts, directory = running.contexts, running.directory
    open_one = running.connect()
    cert, key, ca = (str(directory / name) for name in ("server.crt", "server.key", "ca.crt"))
    new_cert, new_key = running.ca.issue("new", hosts=["localhost"], server=True)
    pair = f"{cert} cannot be used with the key {key}: "
    broken = (
        ({cert: b"broken"}, pair),
        ({cert: new_cert}, pair),
        ({ca: b"broken"}, f"the CA {ca} cannot be "),
    )
    for files, why in broken:
        with pytest.raises(ssl.SSLError, match=f"^{why}"):
            contexts.loaded(files)
    assert served_name(running, "localhost") == "s"
    new_ca = CertificateAuthority.create("second")
    other_ca, other_pair = contexts.loaded({ca: pem(new_ca)}), contexts.loaded({cert: new_cert, key: new_key})
    contexts.use(other_ca)
    assert served_name(running, "localhost") == "s"
    contexts.use(other_pair)  # it was made before the other one came into force
    assert served_name(running, "localhost") == "new"
    assert get(open_one) == b"hello", "open connections stay"
    open_one.close()
    late = running.connect(new_ca.issue("kim", server=False))
    assert get(late) == b"hello" and len(running.requests[-1].peer_certificates) == 2
    former = running.connect(running.ca.issue("jane", server=False))
    assert get(former) == b"hello" and len(running.requests[-1].peer_certificates) == 1
    late.close()
    former.close()


def test_stop_drains(running: Running) -> None:
    slow, watch, idle = running.connect(), running.connect(), running.connect()
    assert get(idle) == b"hello"
    watch.request("GET", "/watch")
    answer = watch.getresponse()
    running.finish.clear()
    slow.request("GET", "/slow")
    eventually(lambda: len(running.requests) == 3, "three requests")

    def end_streams() -> None:
        running.finish.set()
        for stream in running.streams:
            stream.write(b"bye\n")
            stream.close()

    assert running.call(running.listener.stop(5, end_streams)) is True
    response = slow.getresponse()
    assert (response.read(), response.getheader("Connection")) == (b"slow", "close")
    assert answer.read() == b"bye\n"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", running.port), timeout=1)
    for connection in (slow, watch, idle):
        connection.close()


def test_a_peer_that_does_not_read_leaves_little_with_its_transport(running: Running) -> None:
    running.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # what is accepted inherits it
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    raw.connect(("127.0.0.1", running.port))
    context = ssl.create_default_context(cadata=pem(running.ca).decode())
    with context.wrap_socket(raw, server_hostname="localhost") as peer:
        peer.sendall(b"GET /watch HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: running.streams, "the watch has begun")

        async def write() -> int:
            before = running.listener.http1.service.bytes_out
            for _ in range(200):
                running.streams[0].write(b"x" * 7000)
                await asyncio.sleep(0)
            return int(running.listener.http1.service.bytes_out - before)

        handed = running.call(write())
        assert 0 < handed < 250_000, "what the sockets take, 64 KB below TLS, and a part"
        assert running.call(asyncio.to_thread(running.streams[0].buffered)) > 1_400_000 - handed
        got = b""
        while got.count(b"x") < 1_400_000:
            got += peer.recv(65536)


def test_bind_takes_both_families_and_refuses_a_taken_port() -> None:
    sock = bind("0.0.0.0", 0)
    with sock:
        sock.listen()
        port = sock.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(OSError):
            bind("127.0.0.1", port).listen()


def test_ciphers_are_known_to_openssl() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name in filter(None, tls.CIPHERS.values()):
        context.set_ciphers(name)


@pytest.mark.slow
def test_half_sent_bodies_hold_up_neither_small_requests_nor_a_whole_body(running: Running) -> None:
    """Four connections stall within bodies of 3 MB, where two have room:
    the others' memory is what one read brings."""
    size = 3_000_000
    stalled = [running.connect() for _ in range(4)]

    def stall(connection: http.client.HTTPSConnection) -> None:
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        connection.sock.settimeout(60)
        with contextlib.suppress(
            OSError
        ):  # who is held back does not get rid of its bytes; the refused are cut
            connection.send(b"x" * (size - 10))

    threads = [threading.Thread(target=stall, args=(connection,)) for connection in stalled]
    for thread in threads:
        thread.start()
    bodies = running.listener.http1.service.bodies
    eventually(lambda: bodies.reserved >= 2 * size, "two bodies have all the room")
    small = running.connect()
    big = running.connect()
    answered: list[int] = []

    def send() -> None:
        big.timeout = 60
        big.request("POST", "/", b"y" * size)
        answered.append(big.getresponse().status)

    sender = threading.Thread(target=send)
    sender.start()
    while sender.is_alive():
        begun = time.monotonic()
        assert get(small) == b"hello" and time.monotonic() - begun < 2
        assert bodies.reserved <= LIMITS.body_budget
        sender.join(0.02)
    sender.join()
    assert answered == [200]
    assert [len(r.body) for r in running.requests if r.body] == [size]
    for connection in (*stalled, small, big):
        connection.close()
    for thread in threads:
        thread.join(60)
