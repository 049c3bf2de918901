"""HTTP/2 on real sockets: ALPN, TLS versions, clients of others, and the end of a server."""

import asyncio
import pathlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator

import hpack
import httpx
import pytest
import uvloop
from eventually import eventually
from server.http2.peers import PREFACE, WIDE, Kind, fields, frame, number
from server.test_listener import Running, pem, write_pair

from pilothouse.pki import CertificateAuthority
from pilothouse.server import tls


def make(
    directory: pathlib.Path, loop: asyncio.AbstractEventLoop | None = None, http2: bool = True
) -> Running:
    ca = CertificateAuthority.create()
    (directory / "ca.crt").write_bytes(pem(ca))
    write_pair(directory, "server", ca.issue("s", hosts=["localhost", "127.0.0.1"], server=True))
    files = (str(directory / "ca.crt"),)
    return Running(directory, ca, lambda c, k: tls.TLSSettings(c, k, files, http2=http2), loop)


@pytest.fixture
def running(tmp_path: pathlib.Path) -> Iterator[Running]:
    server = make(tmp_path)
    yield server
    server.close()


def connected(running: Running, *protocols: str, version: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
    context = ssl.create_default_context(cadata=pem(running.ca).decode())
    if protocols:
        context.set_alpn_protocols(protocols)
    if version is not None:
        context.maximum_version = version
    plain = socket.create_connection(("127.0.0.1", running.port), 10)
    return context.wrap_socket(plain, server_hostname="localhost")


class Socket:
    """Frames over TLS."""

    def __init__(self, running: Running, version: ssl.TLSVersion | None = None) -> None:
        self.socket = connected(running, "h2", version=version)
        self.encoder, self.data, self.next = hpack.Encoder(), b"", 1
        self.socket.sendall(
            PREFACE + frame(Kind.SETTINGS, 0, 0, WIDE) + number(Kind.WINDOW_UPDATE, 0, 1 << 30)
        )

    def ask(self, path: str) -> int:
        self.socket.sendall(frame(1, 5, self.next, self.encoder.encode(fields("GET", path))))
        self.next += 2
        return self.next - 2

    def frame(self) -> tuple[int, int, int, bytes] | None:
        """The next frame, None at the end."""
        while len(self.data) < 9 or len(self.data) < 9 + int.from_bytes(self.data[:3]):
            more = self.socket.recv(1 << 20)
            if not more:
                return None
            self.data += more
        size = int.from_bytes(self.data[:3])
        kind, flags, stream = self.data[3], self.data[4], int.from_bytes(self.data[5:9])
        payload, self.data = self.data[9 : 9 + size], self.data[9 + size :]
        return kind, flags, stream, payload

    def body(self, stream: int) -> bytes:
        """The body of an answer to its end."""
        out = b""
        while (one := self.frame()) is not None:
            kind, flags, of, payload = one
            if of == stream:
                out += payload if kind == Kind.DATA else b""
                if kind in (0, 1) and flags & 1:
                    return out
        raise ConnectionError("half an answer")


def test_the_protocol_is_what_both_know(running: Running) -> None:
    for offered, chosen in (
        (("h2", "http/1.1"), "h2"),
        (("http/1.1",), "http/1.1"),
        ((), None),
        (("x",), None),
    ):
        with connected(running, *offered) as client:
            assert client.selected_alpn_protocol() == chosen
            if chosen != "h2":
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_http_2_can_be_left_out(tmp_path: pathlib.Path) -> None:
    server = make(tmp_path, http2=False)
    try:
        with connected(server, "h2", "http/1.1") as client:
            assert client.selected_alpn_protocol() == "http/1.1"
    finally:
        server.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_loops_and_versions(tmp_path: pathlib.Path, loop: type, version: ssl.TLSVersion) -> None:
    server = make(tmp_path, loop())
    try:
        client = Socket(server, version)
        for _ in range(3):
            assert client.body(client.ask("/")) == b"hello"
        assert client.body(client.ask("/long")) == b"x" * 5_000_000
        client.socket.close()
        eventually(lambda: server.listener.http1.service.open == 0, "the connection has ended")
    finally:
        server.close()


def test_a_client_of_python_with_a_certificate(running: Running) -> None:
    pair = running.ca.issue("jane", ["dev"], server=False)
    path = running.directory / "jane.pem"
    path.write_bytes(b"".join(pair))
    context = ssl.create_default_context(cadata=pem(running.ca).decode())
    context.load_cert_chain(path)

    async def main() -> None:
        async with httpx.AsyncClient(http2=True, http1=False, verify=context, timeout=20) as client:
            url = f"https://localhost:{running.port}"
            answers = await asyncio.gather(
                *(client.get(url + "/") for _ in range(100)), client.get(url + "/long")
            )
            assert {answer.http_version for answer in answers} == {"HTTP/2"}
            assert [answer.content for answer in answers] == [*[b"hello"] * 100, b"x" * 5_000_000]
            posted = await client.post(url + "/", content=b"b" * 1_000_000)
            assert posted.status_code == 200

    asyncio.run(main())
    assert running.listener.http1.service.accepted == 1, "all went over one connection"
    assert len(running.requests[-1].body) == 1_000_000
    chain = running.requests[-1].peer_certificates
    assert chain == (ssl.PEM_cert_to_DER_cert(pair[0].decode()), running.ca.der())
    assert all(request.peer_certificates is chain for request in running.requests), "it is read once"


def test_a_peer_that_does_not_read_holds_little(running: Running) -> None:
    running.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    client = Socket(running)
    for path in ("/watch", "/watch"):
        client.ask(path)
    eventually(lambda: len(running.streams) == 2, "the watches have begun")

    async def write() -> int:
        before = running.listener.http1.service.bytes_out
        for _ in range(200):
            for stream in running.streams:
                stream.write(b"x" * 7000)
            await asyncio.sleep(0)
        return int(running.listener.http1.service.bytes_out - before)

    handed = running.call(write())
    assert 0 < handed < 3_000_000
    client.ask("/")
    got = 0
    while got < 2_800_000:
        one = client.frame()
        assert one is not None
        got += len(one[3]) if one[0] == Kind.DATA else 0
    client.socket.close()


def test_the_end_of_the_server_lets_answers_end(running: Running) -> None:
    running.loop.call_soon_threadsafe(running.finish.clear)
    idle, busy = Socket(running), Socket(running)
    assert idle.body(idle.ask("/")) == b"hello"
    slow, watch = busy.ask("/slow"), busy.ask("/watch")
    eventually(lambda: running.streams and len(running.requests) == 3, "the requests have come")

    def drain() -> None:
        running.streams[0].close()

    ended = asyncio.run_coroutine_threadsafe(running.listener.stop(10, drain), running.loop)
    words = []
    while (one := idle.frame()) is not None:
        if one[0] == Kind.GOAWAY:
            words.append(int.from_bytes(one[3][:4]))
    assert words == [0x7FFFFFFF, 1], "word that no more is wanted, then which streams were answered"
    running.loop.call_soon_threadsafe(running.finish.set)
    assert busy.body(slow) == b"slow" and watch == 3
    while (one := busy.frame()) is not None:
        if one[0] == 6 and not one[1]:
            busy.socket.sendall(frame(6, 1, 0, one[3]))
    assert ended.result(10) is True
    idle.socket.close()
    busy.socket.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(running: Running) -> None:
    url = f"https://localhost:{running.port}"
    command = [
        "curl",
        "-sS",
        "--http2",
        "--cacert",
        str(running.directory / "ca.crt"),
        "-w",
        "%{http_version}",
    ]
    done = subprocess.run(
        [*command, f"{url}/", "-d", "a" * 100_000], capture_output=True, timeout=30, check=False
    )
    if b"option --http2: the installed libcurl" in done.stderr:
        pytest.skip("this curl has no HTTP/2")
    assert done.stdout == b"hello2", done.stderr
    assert len(running.requests[0].body) == 100_000


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load (nghttp2-client) is not installed")
@pytest.mark.parametrize("path", ["/", "/slow", "/long"])
def test_h2load(running: Running, path: str) -> None:
    count = 40 if path == "/long" else 2000
    command = ["h2load", f"-n{count}", "-c4", "-m20", f"https://127.0.0.1:{running.port}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert f"{count} succeeded, 0 failed, 0 errored" in done.stdout, done.stdout
