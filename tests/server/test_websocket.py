"""The server's end of WebSockets, against frames made by hand."""

import asyncio
import tracemalloc

import pytest
from server.duplexes import Log, Peer, frame, frames
from server.fake_transport import run

from pilothouse.server.request import Request, Response
from pilothouse.server.websocket import (
    MessageStream,
    Tunnel,
    WebSocket,
    answer,
    choose,
    is_upgrade,
    is_websocket,
    protocols,
)

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def request(*headers: tuple[str, str], method: str = "GET") -> Request:
    given = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        *headers,
    ]
    return Request(method, "/x", dict(given), given)


def opened(room: int = 1 << 40) -> tuple[Peer, WebSocket, Log]:
    peer, log = Peer(room), Log()
    socket = WebSocket(peer.duplex)
    socket.start(log)
    return peer, socket, log


# --- the handshake


def test_the_example_of_the_rfc() -> None:
    granted = answer(request(("sec-websocket-protocol", "chat")), "chat", lambda _: None)
    assert granted.status == 101 and granted.upgrade is not None
    assert granted.headers == [
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("Sec-WebSocket-Protocol", "chat"),
    ]
    assert answer(request(), "", lambda _: None).headers[1:] == granted.headers[1:2]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (request(("sec-websocket-version", "8")), 400),
        (request(("sec-websocket-key", "short")), 400),
        (request(("sec-websocket-key", "dGhl")), 400),
        (request(("sec-websocket-key", "!!!!")), 400),
        (request(method="POST"), 400),
    ],
)
def test_malformed_requests(wrong: Request, status: int) -> None:
    refused = answer(wrong, "", lambda _: None)
    assert (refused.status, refused.upgrade) == (status, None)


def test_a_version_that_is_not_known_is_told_which_is() -> None:
    refused = answer(request(("sec-websocket-version", "8")), "", lambda _: None)
    assert refused.headers == [("Sec-WebSocket-Version", "13")]
    assert answer(request(), None, lambda _: None).status == 403, "no subprotocol suits"


def test_what_a_request_asks_for() -> None:
    assert is_websocket(request()) and is_upgrade(request())
    assert is_websocket(request(("upgrade", "WebSocket"), ("connection", "x, upGRADE")))
    assert is_upgrade(request(("upgrade", "SPDY/3.1"))) and not is_websocket(request(("upgrade", "SPDY/3.1")))
    for http in ("h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.0"):
        assert not is_upgrade(request(("upgrade", http))), "nobody gets HTTP behind this server's back"
    for half in (("upgrade", "websocket"), ("connection", "upgrade")):
        bare = Request("GET", "/", dict([half]), [half])
        assert not is_upgrade(bare) and not is_websocket(bare)


def test_subprotocols() -> None:
    token = "base64url.bearer.authorization.k8s.io.dG9rZW4"
    offered = request(("sec-websocket-protocol", f"a, {token}"), ("sec-websocket-protocol", "b,,"))
    assert protocols(offered) == ["a", "b"], "a token is none"
    assert choose(offered, ("b", "a")) == "a"
    assert choose(offered, ("",)) is None
    assert choose(request(), ("", "x")) == ""
    assert choose(request(), ("x",)) is None


# --- messages


@run
async def test_messages_in_both_directions() -> None:
    peer, socket, log = opened()
    for data in (frame(BINARY, b"one"), frame(BINARY, b"")):
        peer.send(*[data[i : i + 1] for i in range(len(data))])
    assert b"".join(part for part, _ in log.seen) == b"one"
    assert [done for _, done in log.seen if done] == [True, True]
    socket.send(b"two")
    socket.send_text(b"three")
    socket.send(b"x" * 200)
    socket.send(b"y" * 70_000)
    assert frames(peer.take()) == [
        (BINARY, b"two"),
        (TEXT, b"three"),
        (BINARY, b"x" * 200),
        (BINARY, b"y" * 70_000),
    ]


@run
async def test_fragments_are_passed_on_as_they_come() -> None:
    peer, _, log = opened()
    peer.send(frame(BINARY, b"a", fin=False), frame(PING, b"p"), frame(CONT, b"b", fin=False))
    assert log.seen == [(b"a", False), (b"b", False)]
    assert frames(peer.take()) == [(PONG, b"p")]
    peer.send(frame(CONT, b"c"))
    assert log.seen[2:] == [(b"c", True)]


@run
async def test_text_is_as_good_as_bytes() -> None:
    peer, _, log = opened()
    data = frame(TEXT, "\0größer".encode())
    for i in range(len(data)):
        peer.send(data[i : i + 1])
    assert b"".join(part for part, _ in log.seen) == "\0größer".encode() and log.seen[-1][1]


@run
async def test_the_peer_says_goodbye() -> None:
    peer, socket, log = opened()
    peer.send(frame(CLOSE, b"\x03\xe8bye") + frame(BINARY, b"late"))
    ((opcode, payload),) = frames(peer.take())
    assert (opcode, payload[:2]) == (CLOSE, b"\x03\xe8")
    assert peer.closed and log.seen == []
    socket.send(b"x")
    socket.close()
    assert peer.take() == b""
    peer.lose()
    assert log.seen == [("closed", None)]


@run
async def test_the_server_says_goodbye() -> None:
    peer, socket, _ = opened()
    socket.close()
    socket.close()
    assert frames(peer.take()) == [(CLOSE, b"\x03\xe8")]
    assert peer.closed


@pytest.mark.parametrize(
    "bad",
    [
        frame(BINARY, b"x", masked=False),
        frame(3, b"x"),
        frame(CONT, b"x"),
        frame(BINARY, b"x", fin=False) + frame(BINARY, b"y"),
        frame(PING, b"x" * 126),
        frame(PING, b"x", fin=False),
        b"\xc2\x81\x00\x00\x00\x00x",
        frame(BINARY, b"", length=1 << 63),
        frame(TEXT, b"\xff"),
        frame(CLOSE, b"\x03"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
@run
async def test_what_breaks_the_protocol_ends_the_connection(bad: bytes) -> None:
    peer, _, _ = opened()
    peer.send(bad)
    sent = frames(peer.take())
    assert [opcode for opcode, _ in sent] == [CLOSE]
    assert sent[0][1][:2] in (b"\x03\xea", b"\x03\xef"), "1002 or 1007"
    assert peer.closed


@run
async def test_long_and_endless_messages_need_no_memory() -> None:
    peer, _, log = opened()
    log.message = lambda data, finished: None  # type: ignore[method-assign]
    part = b"z" * 65536
    peer.send(frame(BINARY, b"", length=1 << 40, masked=True)[:14])
    tracemalloc.start()
    try:
        for _ in range(64):
            peer.send(part)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20, "a frame of a terabyte"
    finally:
        tracemalloc.stop()
    peer, _, log = opened()
    log.message = lambda data, finished: None  # type: ignore[method-assign]
    piece = frame(CONT, b"z" * 1000, fin=False)
    peer.send(frame(BINARY, b"", fin=False))
    tracemalloc.start()
    try:
        for _ in range(2000):
            peer.send(piece)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20, "fragments without an end"
    finally:
        tracemalloc.stop()
    assert not peer.closed


@run
async def test_a_peer_that_pings_and_does_not_read_gets_one_answer_later() -> None:
    peer, socket, log = opened(room=1000)
    socket.send(b"x" * 1000)
    assert peer.duplex.blocked
    peer.take()
    for i in range(200):
        peer.send(frame(PING, b"%d" % i))
    assert peer.take() == b""
    peer.transport.drain()
    assert frames(peer.take()) == [(PONG, b"199")], "the last one is enough (5.5.3)"
    peer.send(b"".join(frame(PING, b"%d" % i) for i in range(9)))
    assert frames(peer.take()) == [(PONG, b"8")]
    assert log.seen == [True, False]


@run
async def test_reading_pauses_for_the_receiver_of_the_messages() -> None:
    peer, socket, log = opened()
    socket.pause_reading()
    assert peer.paused
    peer.send(frame(BINARY, b"x"))
    socket.resume_reading()
    assert not peer.paused
    await asyncio.sleep(0)
    assert log.seen == [(b"x", True)]


@run
async def test_the_server_stops() -> None:
    peer, _, log = opened()
    peer.duplex.on_leave()
    assert log.seen == ["leave"]


@run
async def test_frames_without_end_that_carry_nothing_end_the_connection() -> None:
    """Frames of six bytes, 256 KB of them in one read; those with a byte are what somebody types."""
    peer, _, _ = opened()
    peer.send(frame(BINARY, b"") * 43_690)
    while len(peer.line):
        peer.line.run()
    assert frames(peer.take()) == [(CLOSE, b"\x03\xf0")] and peer.closed, "1008"
    peer, _, log = opened()
    peer.send(frame(BINARY, b"x") * 37_449)
    assert len(log.seen) < 500, "the rest in later turns"
    while len(peer.line):
        peer.line.run()
    assert len(log.seen) == 37_449 and not peer.closed


@run
async def test_the_messages_before_an_end_are_delivered() -> None:
    peer, _, log = opened()
    peer.send(frame(BINARY, b"x") * 1000 + frame(CLOSE, b"\x03\xe8"))
    assert not peer.closed
    peer.lose()
    while len(peer.line):
        peer.line.run()
    assert log.seen == [(b"x", True)] * 1000 + [("closed", None)]


@run
async def test_messages_that_nobody_takes_are_dropped_with_their_connection() -> None:
    peer, socket, log = opened()
    peer.send(frame(BINARY, b"x") * 1000)
    socket.pause_reading()
    given = len(log.seen)
    peer.lose()
    assert log.seen[given:] == [("closed", None)]


# --- tunnels


@run
async def test_a_tunnel_carries_bytes_in_messages() -> None:
    outer, inner = Peer(room=100), Peer(room=100)
    Tunnel(WebSocket(outer.duplex), inner.duplex).start()
    outer.send(frame(BINARY, b"to ", fin=False), frame(CONT, b"the pod"))
    assert inner.take() == b"to the pod"
    inner.send(b"back")
    assert frames(outer.take()) == [(BINARY, b"back")]
    outer.send(frame(BINARY, b"x" * 200))
    assert outer.paused, "the inner side is slow"
    inner.transport.drain()
    assert not outer.paused
    inner.send(b"y" * 200)
    assert inner.paused, "the outer side is slow"
    outer.transport.drain()
    assert not inner.paused


@run
async def test_small_packets_in_a_tunnel_go_on_together() -> None:
    outer, inner = Peer(), Peer()
    Tunnel(WebSocket(outer.duplex), inner.duplex).start()
    outer.send(frame(BINARY, b"p") * 20_000)
    while len(outer.line):
        outer.line.run()
    assert len(inner.transport.writes) < 100 and inner.take() == b"p" * 20_000 and not outer.closed


@run
async def test_the_ends_of_a_tunnel() -> None:
    outer, inner = Peer(), Peer()
    Tunnel(WebSocket(outer.duplex), inner.duplex).start()
    inner.lose()
    assert frames(outer.take()) == [(CLOSE, b"\x03\xe8")] and outer.closed
    outer, inner = Peer(), Peer()
    Tunnel(WebSocket(outer.duplex), inner.duplex).start()
    inner.lose(OSError())
    assert frames(outer.take()) == [(CLOSE, b"\x03\xf3")]
    outer, inner = Peer(), Peer()
    Tunnel(WebSocket(outer.duplex), inner.duplex).start()
    outer.send(frame(CLOSE, b"\x03\xe8"))
    outer.lose()
    assert inner.closed
    outer, inner = Peer(), Peer()
    Tunnel(WebSocket(outer.duplex), inner.duplex).start()
    outer.duplex.on_leave()
    assert frames(outer.take()) == [(CLOSE, b"\x03\xe9")]


# --- streams of messages


@run
async def test_messages_that_nobody_hears_have_a_budget() -> None:
    peer = Peer()
    stream = MessageStream(peer.duplex, WebSocket.send)
    stream.start()
    peer.send(frame(BINARY, b"nobody hears it") * 10_000)
    while len(peer.line):
        peer.line.run()
    assert not peer.closed
    peer.send(frame(BINARY, b"x") * 1000)
    while len(peer.line):
        peer.line.run()
    assert frames(peer.take()) == [(CLOSE, b"\x03\xf0")]


@run
async def test_a_stream_of_messages() -> None:
    peer = Peer(room=10)
    stream = MessageStream(peer.duplex, WebSocket.send)
    ends: list[str] = []
    stream.on_close(lambda: ends.append("closed"))
    stream.on_drain(lambda: ends.append("drained"))
    stream.start()
    stream.write(b"one")
    stream.write(b"two" * 10)
    assert frames(peer.take()) == [(BINARY, b"one"), (BINARY, b"two" * 10)]
    assert stream.buffered() == peer.transport.held > 10
    peer.transport.drain()
    assert ends == ["drained"]
    peer.send(frame(BINARY, b"nobody hears it"))
    stream.close()
    stream.write(b"three")
    assert frames(peer.take()) == [(CLOSE, b"\x03\xe8")]
    assert ends == ["drained", "closed"]
    stream.on_close(lambda: ends.append("late"))
    peer.lose()
    assert ends == ["drained", "closed", "late"]


@run
async def test_a_stream_of_messages_ends_with_its_peer_or_the_server() -> None:
    for end, sent in ((Peer.lose, []), (lambda peer: peer.duplex.on_leave(), [(CLOSE, b"\x03\xe9")])):
        peer = Peer()
        stream = MessageStream(peer.duplex, WebSocket.send)
        ends: list[str] = []
        stream.on_close(lambda: ends.append("closed"))  # noqa: B023 -- called within the turn
        stream.start()
        end(peer)
        assert ends == ["closed"] and frames(peer.take()) == sent
    peer = Peer()
    stream = MessageStream(peer.duplex, WebSocket.send)
    stream.abort()
    assert peer.transport.aborted and isinstance(answer(request(), "", lambda _: None), Response)
