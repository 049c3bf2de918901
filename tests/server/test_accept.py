"""Many connections on real sockets: silent ones, unfinished handshakes, floods, exhausted descriptors."""

import asyncio
import concurrent.futures
import contextlib
import errno
import gc
import pathlib
import resource
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop
from eventually import eventually
from server.http2.peers import PREFACE, Kind, frame

from pilothouse.files import write_file
from pilothouse.pki import CertificateAuthority
from pilothouse.server import accept, tls
from pilothouse.server.http1 import Limits
from pilothouse.server.listener import Listener, bind
from pilothouse.server.request import Request, Response

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HELLO = b"\x16\x03\x01\x00\xa5\x01"  # the first bytes of a handshake that goes no further


class Door:
    """A listener on a thread; who sends `User` is authenticated."""

    def __init__(self, directory: pathlib.Path, limits: Limits, sock: socket.socket | None = None) -> None:
        ca = CertificateAuthority.create()
        certificate, key = ca.issue("s", hosts=["localhost"], server=True)
        write_file(directory / "s.crt", certificate)
        write_file(directory / "s.key", key)
        self.context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(ca.der()))
        self.sock = sock or bind("127.0.0.1", 0)
        self.port = self.sock.getsockname()[1]
        self.peers = contextlib.ExitStack()
        self.loop = uvloop.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

        async def start() -> Listener:
            contexts = tls.Contexts(tls.TLSSettings(str(directory / "s.crt"), str(directory / "s.key")))
            made = Listener(self.handle, [self.sock], contexts, limits)
            await made.start()
            return made

        self.listener: Any = self.call(start())
        self.service = self.listener.http1.service
        self.acceptor = self.listener._acceptor

    def call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def handle(self, request: Request) -> Any:
        request.caller = request.headers.get("user", "")
        if "upgrade" in request.headers:
            return Response(101, b"", "", upgrade=lambda duplex: duplex.write(b"hello"))
        return self.wait() if request.path == "/wait" else Response(200, b"hello")

    async def wait(self) -> Response:
        await asyncio.Event().wait()
        return Response(200)

    def raw(self, source: str = "127.0.0.1") -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", self.port), 5, (source, 0))
        return self.peers.enter_context(peer)

    def secure(self, source: str = "127.0.0.1") -> ssl.SSLSocket:
        peer = self.context.wrap_socket(self.raw(source), server_hostname="localhost")
        return self.peers.enter_context(peer)

    def close(self) -> None:
        self.peers.close()
        self.call(self.listener.stop(0.1))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def ask(sock: ssl.SSLSocket, user: str = "", path: str = "/") -> bool:
    who = f"User: {user}\r\n" if user else ""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n{who}\r\n".encode())
    return b"hello" in sock.recv(1000)


def ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except OSError:
        return True


@pytest.fixture
def door(tmp_path: pathlib.Path) -> Iterator[Callable[..., Door]]:
    with contextlib.ExitStack() as stack:

        def make(sock: socket.socket | None = None, **limits: Any) -> Door:
            found = Door(tmp_path, Limits(**limits), sock)
            stack.callback(found.close)
            return found

        yield make


def test_unauthenticated_connections_make_room_and_others_stay(door: Callable[..., Door]) -> None:
    it = door(unauthenticated=10)
    known, probe = it.secure(), it.secure("127.0.0.2")
    assert ask(known, "jane") and ask(probe)
    waiting = it.secure("127.0.0.3")
    waiting.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: it.service.requests == 3, "three requests")
    half = [it.raw("127.0.0.3") for _ in range(30)]
    for sock in half:
        with contextlib.suppress(OSError):
            sock.sendall(HELLO)
    eventually(lambda: it.service.accepted == 3 and it.service.refused_connections == 22, "22 are cut")
    eventually(lambda: it.acceptor.open == 11, "those that were cut have gone")
    assert len(it.acceptor.unauthenticated) == 10
    fresh = it.secure()
    assert ask(fresh, "kim") and ask(known, "jane") and ask(probe)
    waiting.settimeout(0.1)
    with pytest.raises(TimeoutError):
        waiting.recv(1)
    for sock in (known, probe, waiting, fresh, *half):
        sock.close()
    eventually(lambda: it.acceptor.open == 0 and len(it.acceptor.unauthenticated) == 0, "all are gone")


@pytest.mark.parametrize(("protocol", "user"), [("h2", ""), ("http/1.1", ""), ("http/1.1", "jane")])
def test_connections_that_have_ended_leave_nothing(
    door: Callable[..., Door], protocol: str, user: str
) -> None:
    """Each connection has large buffers, and collections of garbage are rare."""

    def count() -> int:
        return sum(type(each).__name__ in ("SSLProtocol", "Connection") for each in gc.get_objects())

    it = door()
    it.context.set_alpn_protocols([protocol])
    gc.collect()
    gc.disable()
    try:
        before = count()
        peers = [it.secure() for _ in range(5)]
        for peer in peers:
            if protocol == "h2":
                peer.sendall(PREFACE + frame(Kind.SETTINGS) + frame(Kind.HEADERS, 0, 1, b"\x82\x87"))
            else:
                assert ask(peer, user)
                peer.sendall(b"GET / HTTP/1.1\r\nX: ")
        eventually(lambda: it.service.open == 5, "all are there")
        assert count() == before + 10
        for peer in peers:
            peer.close()
        eventually(lambda: count() == before, "nothing is left")
    finally:
        gc.enable()


def test_the_silent_have_half_of_all_and_the_oldest_makes_room(door: Callable[..., Door]) -> None:
    it = door(connections=20)
    probe = it.raw("127.0.0.2")
    silent = [it.raw("127.0.0.3") for _ in range(30)]
    eventually(lambda: it.service.refused_connections == 21, "21 are cut")
    assert len(it.acceptor.early) == 10 and all(ended(sock) for sock in silent[:21])
    with it.secure() as fresh, it.context.wrap_socket(probe, server_hostname="localhost") as honest:
        assert ask(fresh) and ask(honest)
    for sock in silent:
        sock.close()
    eventually(lambda: it.acceptor.open == 0 and len(it.acceptor.early) == 0, "all are gone")


def test_when_all_are_known_one_more_is_refused(door: Callable[..., Door]) -> None:
    it, known = door(connections=4), list[ssl.SSLSocket]()
    for _ in range(4):
        known.append(it.secure())
        assert ask(known[-1], "jane")
    with it.raw() as more:
        assert ended(more)
    known.pop().close()
    eventually(lambda: it.acceptor.open == 3, "one is gone")
    known.append(it.secure())
    assert ask(known[-1], "jane") and all(ask(sock, "jane") for sock in known)
    for sock in known:
        sock.close()


def test_a_connection_that_was_taken_over_counts_twice(door: Callable[..., Door]) -> None:
    """The connection leads to another server, by a connection of this process."""
    it, known = door(connections=4), list[ssl.SSLSocket]()
    for _ in range(2):
        known.append(it.secure())
        known[-1].sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\nUser: jane\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
        )
        data = b""
        while b"hello" not in data:
            data += known[-1].recv(1000)
        assert data.startswith(b"HTTP/1.1 101 ")
    assert it.acceptor.open == 4
    with it.raw() as more:
        assert ended(more)
    for sock in known:
        sock.close()
    eventually(lambda: it.acceptor.open == 0, "all are gone")


def test_who_says_nothing_is_closed_after_a_while(door: Callable[..., Door]) -> None:
    it = door(handshake_timeout=0.3)
    silent, half, gone, junk = it.raw(), it.raw(), it.raw(), it.raw()
    half.sendall(HELLO)
    junk.sendall(b"GET / HTTP/1.1\r\n\r\n")
    gone.close()
    assert ended(silent) and ended(half)
    junk.settimeout(5)
    while not ended(junk):
        pass
    eventually(lambda: it.acceptor.open == 0 and len(it.acceptor.unauthenticated) == 0, "all are gone")
    eventually(lambda: len(it.acceptor.early) == 0, "nobody waits for a handshake")
    assert it.service.accepted == 0
    for sock in (silent, half, junk):
        sock.close()


def test_too_many_handshakes_under_way_end_the_oldest(door: Callable[..., Door]) -> None:
    it = door(unauthenticated=5)
    half = [it.raw() for _ in range(20)]
    for sock in half:
        sock.sendall(HELLO)
    eventually(lambda: it.service.refused_connections == 15, "15 are cut")
    fresh = it.secure()
    assert ask(fresh)
    for sock in (fresh, *half):
        sock.close()
    eventually(lambda: it.acceptor.open == 0, "all are gone")


def test_handshakes_wait_while_many_are_under_way(door: Callable[..., Door]) -> None:
    """Clients that come all at once, each from its own address, are served one after the other:
    none is cut."""
    it = door(unauthenticated=5)

    def one(number: int) -> bool:
        with it.secure(f"127.0.1.{number}") as sock:
            return ask(sock, "jane")

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        assert all(pool.map(one, range(1, 101)))
    assert it.service.refused_connections == 0


def test_who_comes_last_does_not_wait_for_all_others(door: Callable[..., Door]) -> None:
    """One of two handshakes that begin in a turn of the loop is of the origin that has waited longest, and
    one of the origin that came last; an origin with many has one turn among the others."""
    it = door(unauthenticated=5)
    begun = list[str]()
    acceptor = it.acceptor

    async def turns() -> None:
        acceptor._make_room = lambda: True
        acceptor._begin = lambda sock, origin: begun.append(origin)
        for number in [1, 2, 2, 2, 3, 4, 5, 5]:
            origin = f"127.0.0.{number}"
            entry = acceptor.early.add(origin, it.sock.fileno)
            queue = acceptor._queues.get(origin)
            if queue is None:
                queue = acceptor._queues[origin] = deque()
                acceptor._new[origin] = None
            queue.append((it.sock, entry))
        while acceptor._queues:
            acceptor._start_handshakes()

    it.call(turns())
    assert [int(origin[-1]) for origin in begun] == [1, 5, 2, 4, 3, 5, 2, 2]


def test_this_machine_does_not_wait_for_all_others(door: Callable[..., Door]) -> None:
    it = door()
    begun = list[str]()
    acceptor = it.acceptor

    async def turns() -> None:
        acceptor._make_room = lambda: True
        acceptor._begin = lambda sock, origin: begun.append(origin)
        for origin in ["127.0.0.2", "127.0.0.1", *(f"127.0.1.{number}" for number in range(20))]:
            acceptor._queues[origin] = deque([(it.sock, acceptor.early.add(origin, it.sock.fileno))])
            acceptor._new[origin] = None
        while acceptor._queues:
            acceptor._start_handshakes()

    with it.secure() as known, it.secure("127.0.0.2") as other:
        assert ask(known) and ask(other)
    it.call(turns())
    assert begun[:2] == ["127.0.0.2", "127.0.0.1"] and len(begun) == 22


def test_without_descriptors_unauthenticated_connections_make_room(door: Callable[..., Door]) -> None:
    it = door()
    crowd = [it.raw() for _ in range(50)]
    eventually(lambda: len(it.acceptor.early) == 50, "50 wait for a handshake")
    accepting, failures = it.sock, iter([errno.EMFILE] * 3)

    class Exhausted:
        def accept(self) -> Any:
            for number in failures:
                raise OSError(number, "none left")
            return accepting.accept()

        def fileno(self) -> int:
            return accepting.fileno()

    async def run_out() -> None:
        it.loop.remove_reader(accepting.fileno())
        it.acceptor._accept(Exhausted())

    it.call(run_out())
    with it.secure() as fresh:
        assert ask(fresh)
    assert len(it.acceptor.early) == 47 and it.service.refused_connections == 3
    for sock in crowd:
        sock.close()


def test_who_has_connected_before_the_end_gets_an_answer(door: Callable[..., Door]) -> None:
    it = door()
    accepted = it.raw()
    eventually(lambda: len(it.acceptor.early) == 1, "it is accepted")
    waiting = [it.raw() for _ in range(accept.ACCEPTS + 1)]  # some of them wait in the backlog

    def first_request(sock: socket.socket) -> bool:
        with it.context.wrap_socket(sock, server_hostname="localhost") as secure:
            secure.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nUser: jane\r\n\r\n")
            answer = secure.recv(1000).lower()
            return answer.startswith(b"http/1.1 200") and b"connection: close" in answer

    end = asyncio.run_coroutine_threadsafe(it.listener.stop(5), it.loop)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        assert all(pool.map(first_request, [accepted, *waiting]))
    assert end.result(10) is True
    with pytest.raises(ConnectionRefusedError):
        it.raw()


def test_nobody_is_accepted_and_then_reset_at_the_end(door: Callable[..., Door]) -> None:
    """Between the last accept and the close the system would complete handshakes that nobody takes over."""
    it = door(last_handshakes=0.5)
    ended = asyncio.run_coroutine_threadsafe(it.listener.stop(5), it.loop)
    it.call(asyncio.sleep(0))
    with pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", it.port), 0.2)
    assert ended.result(10) is True


def test_a_socket_of_somebody_else_goes_on_listening(door: Callable[..., Door]) -> None:
    """Systemd passes a socket on which it listens, and the next process takes over what comes meanwhile."""
    shared = socket.create_server(("127.0.0.1", 0))
    it = door(sock=shared.dup())
    with it.secure() as sock:
        assert ask(sock)
    it.call(it.listener.stop(1))
    with socket.create_connection(shared.getsockname(), timeout=5), shared.accept()[0]:
        shared.close()


def test_the_end_accepts_no_more_than_a_full_backlog(door: Callable[..., Door]) -> None:
    """A client that keeps connecting does not hold up the end of the server."""
    it, accepted = door(connections=20), 0

    class Endless:
        def accept(self) -> Any:
            nonlocal accepted
            accepted += 1
            if accepted > 2 * accept.BACKLOG:
                raise BlockingIOError
            ours, theirs = socket.socketpair()
            theirs.close()
            return ours, ("127.0.0.3", 1)

        def fileno(self) -> int:
            return it.sock.fileno()

        def close(self) -> None:
            it.sock.close()

    async def stop() -> None:
        it.acceptor._sockets = [Endless()]
        it.acceptor.stop()

    it.call(stop())
    assert accept.BACKLOG < accepted <= accept.BACKLOG + accept.ACCEPTS


def test_the_end_closes_what_has_no_protocol_yet(door: Callable[..., Door]) -> None:
    it = door()
    silent, half = it.raw(), it.raw()
    half.sendall(HELLO)
    eventually(
        lambda: len(it.acceptor._handshakes) == 1 and len(it.acceptor.early) == 1,
        "one handshake is under way",
    )
    it.call(it.listener.stop(0.1))
    assert ended(silent) and ended(half)
    silent.close()
    half.close()


def test_the_limit_of_open_files_is_raised() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] // 2, before[1]))
        assert accept.raise_descriptor_limit() == (before[1] // 2, before[1])
        assert accept.most_connections() == before[1] - accept.RESERVE
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
