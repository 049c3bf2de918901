"""How much may come ahead on connections of strangers and of users,
and what becomes of TLS's large buffers."""

import contextlib
import pathlib
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator

import pytest
from eventually import eventually
from server.http2.peers import PREFACE, Flag, Kind, frame
from server.http2.test_http2_turns import HEAD, literal
from server.test_accept import Door, ask

from pilothouse.server import accept, http1, receive_buffer
from pilothouse.server.http1 import Limits

SO_BUF_LOCK = 72
RECEIVE_LOCK = 2
"""The value of SO_BUF_LOCK for a socket whose receive buffer the system does not size."""

LARGE = 200_000
MANY = 128
"""Connections that may have large buffers of TLS."""


@pytest.fixture
def pair() -> Iterator[socket.socket]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as served,
    ):
        yield served


def size(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def locked(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, SO_BUF_LOCK) & RECEIVE_LOCK)


def test_the_system_sizes_the_buffer_again(pair: socket.socket) -> None:
    receive_buffer.narrow(pair)
    assert size(pair) == 2 * receive_buffer.NARROW and locked(pair)
    receive_buffer.narrow(pair, crowded=True)
    assert size(pair) == 2 * receive_buffer.NARROWEST and locked(pair)
    receive_buffer.widen(pair)
    assert size(pair) == 2 * receive_buffer.DEFAULT and not locked(pair)


def test_an_older_system_gives_a_large_buffer(pair: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive_buffer, "_BUFFER_LOCK", 10_000)
    receive_buffer.narrow(pair)
    receive_buffer.widen(pair)
    assert size(pair) > 2 * receive_buffer.DEFAULT


def test_a_connection_that_has_ended_is_no_error(pair: socket.socket) -> None:
    pair.close()
    receive_buffer.narrow(pair)
    receive_buffer.widen(pair)


@pytest.fixture
def door(tmp_path: pathlib.Path) -> Iterator[Callable[..., Door]]:
    with contextlib.ExitStack() as stack:

        def make(protocol: str = "http/1.1", **limits: int) -> Door:
            found = Door(tmp_path, Limits(**limits))
            found.context.set_alpn_protocols([protocol])
            stack.callback(found.close)
            return found

        yield make


def hold(it: Door) -> None:
    """Keep the server from reading until much has come, so that one read brings it."""
    it.loop.call_soon_threadsafe(time.sleep, 0.03)


def answer(it: Door, sock: ssl.SSLSocket, length: int, user: str = "") -> bytes:
    """The answer to a request with a long header."""
    hold(it)
    who = f"User: {user}\r\n" if user else ""
    sock.sendall(f"GET / HTTP/1.1\r\nHost: a\r\n{who}X: {'x' * length}\r\n\r\n".encode())
    data = b""
    while not data.endswith(b"hello"):
        data += sock.recv(1000)
    return data


def test_users_may_send_more_ahead(door: Callable[..., Door], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []

    def noted(name: str, change: Callable[..., None]) -> Callable[..., None]:
        def note(sock: socket.socket, **crowded: bool) -> None:
            change(sock, **crowded)
            seen.append((name, size(sock)))

        return note

    for change in (receive_buffer.narrow, receive_buffer.widen):
        monkeypatch.setattr(receive_buffer, change.__name__, noted(change.__name__, change))
    it = door()
    peer = it.secure()
    assert ask(peer) and ask(peer)
    assert seen == [("narrow", 2 * receive_buffer.NARROW)]
    assert ask(peer, "jane") and ask(peer, "jane")
    assert seen[1:] == [("widen", 2 * receive_buffer.DEFAULT)]
    peer.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2900000\r\n\r\n" + b"x" * 2_900_000)
    assert b"hello" in peer.recv(1000)
    peer.close()


def test_strangers_in_a_crowd_may_send_less_ahead(
    door: Callable[..., Door], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(accept, "CROWD", 3)
    monkeypatch.setattr(receive_buffer, "narrow", lambda sock, *, crowded: seen.append(crowded))
    it = door()
    peers = [it.secure() for _ in range(4)]
    assert seen == [False, False, False, True]
    assert ask(peers[0], "jane") and ask(peers[1], "jane")
    it.secure()
    assert seen[4:] == [False]


def test_a_stranger_with_a_large_head_is_let_go(door: Callable[..., Door]) -> None:
    it = door()
    peer = it.secure()
    assert b"close" not in answer(it, peer, 10_000)
    assert b"Connection: close" in answer(it, peer, LARGE)
    eventually(lambda: it.acceptor.open == 0 and it.service.wide == 0, "nobody waits for the peer's farewell")
    assert peer.recv(1) == b""
    peer.close()


def test_a_user_with_a_large_head_stays(door: Callable[..., Door]) -> None:
    it = door()
    peer = it.secure()
    assert b"close" not in answer(it, peer, LARGE, "jane") and it.service.wide == 1
    assert ask(peer, "jane") and it.service.wide == 1
    peer.close()
    eventually(lambda: it.service.wide == 0, "its buffers are gone")


@pytest.mark.parametrize("user", ["", "jane"])
def test_a_large_head_over_http2(door: Callable[..., Door], user: str) -> None:
    it = door("h2")
    peer = it.secure()
    block = HEAD + literal(b"user", user.encode()) + literal(b"x", b"x" * LARGE)
    parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    frames = [frame(Kind.HEADERS, Flag.END_STREAM, 1, parts[0])]
    frames += [
        frame(Kind.CONTINUATION, Flag.END_HEADERS if part is parts[-1] else 0, 1, part) for part in parts[1:]
    ]
    hold(it)
    peer.sendall(PREFACE + frame(Kind.SETTINGS) + b"".join(frames))
    eventually(lambda: it.service.requests == 1, "it is answered")
    if user:
        assert it.acceptor.open == 1 and it.service.wide == 1
    else:
        data = b""
        while read := peer.recv(1000):
            data += read
        last = frame(Kind.GOAWAY, 0, 0, struct.pack(">II", 1, 0))
        assert data.endswith(last), "clients take an answer no more after a GOAWAY"
        eventually(lambda: it.acceptor.open == 0, "it is gone")
    peer.close()


@pytest.mark.slow
def test_few_connections_have_large_buffers(
    door: Callable[..., Door], monkeypatch: pytest.MonkeyPatch
) -> None:
    narrowed: list[int] = []
    it = door()
    peers = [it.secure() for _ in range(MANY + 2)]
    monkeypatch.setattr(receive_buffer, "narrow", lambda sock: narrowed.append(sock.fileno()))
    for peer in peers[:MANY]:
        assert b"close" not in answer(it, peer, LARGE, "jane")
    assert it.service.wide == MANY and not narrowed
    for peer in peers[MANY:]:
        assert b"Connection: close" in answer(it, peer, LARGE, "jane")
        peer.close()
    assert narrowed
    eventually(lambda: it.service.wide == MANY, "two are gone")
    assert b"close" not in answer(it, peers[0], LARGE, "jane")
    for peer in peers:
        peer.close()
    eventually(lambda: it.service.wide == 0, "all are gone")


def test_the_system_gets_large_buffers_back_soon(
    door: Callable[..., Door], monkeypatch: pytest.MonkeyPatch
) -> None:
    trims: list[None] = []
    monkeypatch.setattr(http1, "TRIM_AFTER", 2)
    monkeypatch.setattr(http1, "give_back", lambda: trims.append(None))
    it = door()

    def ask_thrice(length: int, trimmed: int) -> None:
        peers = [it.secure() for _ in range(3)]
        for peer in peers:
            answer(it, peer, length)
            peer.close()
        eventually(lambda: it.acceptor.open == 0, "all are gone")
        eventually(lambda: len(trims) == trimmed, "memory is returned")

    ask_thrice(100, 0)
    ask_thrice(LARGE, 1)


def test_who_is_shed_reads_the_reason_and_does_not_stay(door: Callable[..., Door]) -> None:
    """TLS would wait for the peer's farewell, and keep its buffers meanwhile."""
    it = door(unfinished_budget=1_000_000)
    peers = [it.secure() for _ in range(8)]
    hold(it)
    for peer in peers:
        with contextlib.suppress(OSError):
            peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * LARGE)
    unfinished = it.service.unfinished
    eventually(lambda: unfinished.refused > 1 and it.acceptor.open + unfinished.refused == 8, "they are gone")
    reasons = []
    for peer in peers:
        peer.settimeout(0.1)
        with contextlib.suppress(OSError):
            reasons.append(peer.recv(1000)[:12])
    assert reasons == [b"HTTP/1.1 431"] * unfinished.refused
    for peer in peers:
        peer.close()
