"""Unfinished heads and short bodies, and pipelined requests, do not affect other connections."""

import asyncio
import functools
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

from complexity import assert_linear
from server.fake_transport import FakeTransport, Peer

from pilothouse.server.http1 import Limits
from pilothouse.server.request import Request, Response

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BEGIN = b"GET / HTTP/1.1\r\nHost: a\r\nX: "


def run(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))  # type: ignore[arg-type]

    return wrapper


def part(size: int) -> bytes:
    return b"x" * size


@run
async def test_unfinished_heads_stay_within_the_budget() -> None:
    first, refused = Peer(limits=Limits()), 0
    peers = [first.another().send(BEGIN) for _ in range(400)]
    small = first.another().send(BEGIN)
    unfinished = first.http1.service.unfinished
    tracemalloc.start()
    try:
        for _ in range(10):
            for peer in peers:
                if not peer.transport.sent:
                    peer.send(part(90_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000 and unfinished.held <= Limits().unfinished_budget
    for peer in peers:
        if peer.transport.sent:
            ((status, headers, _),) = peer.answers()
            assert (status, headers["connection"]) == (431, "close")
            refused += 1
    assert refused == unfinished.refused > 300
    small.send(b"\r\n\r\n")
    assert small.answers()[0][0] == 200
    for peer in [first, small, *peers]:
        peer.lose()
    assert unfinished.held == 0


@run
async def test_slow_short_bodies_are_counted_with_their_heads() -> None:
    first = Peer(limits=Limits(unfinished_budget=1_000_000))
    peers = [first.another() for _ in range(30)]
    for peer in peers:
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\nX: " + part(20_000) + b"\r\n\r\n")
        peer.send(part(40_000))
    assert first.http1.service.unfinished.held <= 1_000_000
    statuses = [peer.answers()[0][0] for peer in peers if peer.transport.sent]
    assert set(statuses) == {408} and 12 < len(statuses) < 20
    for peer in peers:
        if not peer.transport.sent:
            peer.send(part(10_000))
            assert peer.answers()[0][0] == 200
    assert first.http1.service.unfinished.held == 0


@run
async def test_what_has_just_begun_is_spared() -> None:
    now = 1000.0
    first = Peer(limits=Limits(unfinished_budget=1_000_000), clock=lambda: now)
    old = [first.another().send(BEGIN + part(40_000)) for _ in range(10)]
    now += 1.1
    fresh = [first.another().send(BEGIN + part(60_000)) for _ in range(13)]
    assert any(peer.transport.sent for peer in old) and not any(peer.transport.sent for peer in fresh)


def test_a_head_that_drips_is_parsed_in_linear_time() -> None:
    @run
    async def drip(parts: list[bytes]) -> None:
        peer = Peer(limits=Limits(header_bytes=1 << 27, unfinished_budget=1 << 28)).send(
            BEGIN, *parts, b"\r\n\r\n"
        )
        assert peer.answers()[0][0] == 200

    assert_linear(drip, lambda size: [part(5)] * (size // 5), 200_000)


@run
async def test_a_head_in_any_parts_is_read_right() -> None:
    value = b"v" * 30_000
    data = b"GET /%b HTTP/1.1\r\nHost: a\r\nX: %b\r\nY: z\r\n\r\n" % (b"p" * 20_000, value)
    for size in (1, 7, 999, 16_384):
        peer = Peer()
        for at in range(0, len(data), size):
            peer.send(data[at : at + size])
        peer.send(GET)
        assert peer.seen[0].target == "/" + "p" * 20_000
        assert peer.seen[0].all_headers == [("host", "a"), ("x", value.decode()), ("y", "z")]
        assert len(peer.answers()) == 2 and peer.http1.service.unfinished.held == 0


@run
async def test_the_limit_of_a_head_is_that_of_its_bytes() -> None:
    for size, status in ((600_000, 200), (1_040_000, 200), (1_050_000, 431)):
        for step in (1_000, 150_000):
            peer = Peer().send(BEGIN)
            for _ in range(size // step):
                if not peer.transport.sent:
                    peer.send(part(step))
            peer.send(b"\r\n\r\n")
            assert peer.answers()[0][0] == status, (size, step)
    target = Peer().send(b"GET /" + part(1 << 20) + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert target.answers()[0][0] == 431


@run
async def test_text_that_takes_more_than_its_bytes_counts_with_that() -> None:
    peer = Peer().send(BEGIN + "\U0001f600".encode() * 50_000 + b"\r\nY: ")
    assert peer.http1.service.unfinished.held >= 800_000


class Secure(FakeTransport):
    """Says that it is over TLS."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return () if name == "ssl_object" else super().get_extra_info(name, default)

    def set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.read_ahead = high


@run
async def test_what_tls_keeps_counts_while_a_head_is_unfinished() -> None:
    peer = Peer()
    unfinished = peer.http1.service.unfinished
    transport = Secure()
    peer.connect(transport=transport)
    assert transport.read_ahead == 16_384
    peer.send(BEGIN + part(10_000))
    assert 40_000 < unfinished.held < 41_000
    peer.send(part(5_000), part(30_000), part(20_000))
    assert 65_000 + 90_000 < unfinished.held < 66_000 + 90_000, "thrice the largest read"
    peer.send(b"\r\n\r\n")
    assert unfinished.held == 0
    peer.send(GET)
    assert unfinished.held == 0


@run
async def test_headers_are_limited_in_number() -> None:
    many = Peer().send(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:b\r\n" * 4000 + b"\r\n")
    assert many.answers()[0][0] == 200
    more = Peer().send(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:b\r\n" * 5000 + b"\r\n")
    assert more.answers()[0][0] == 431


@run
async def test_trailers_do_not_grow_without_end() -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    for endless in (b"0\r\nX: ", b"5;"):
        peer, sent = Peer().send(chunked + endless), 0
        while not peer.transport.sent and sent < 1_000_000:
            peer.send(part(1000))
            sent += 1000
        assert peer.answers()[0][0] == 431 and sent < 20_000
    slow = Peer()
    for byte in chunked + b"3\r\nabc\r\n" * 3000 + b"0\r\nX: y\r\n\r\n":
        slow.send(bytes([byte]))
    assert slow.answers()[0][0] == 200 and len(slow.seen[0].body) == 9001


@run
async def test_pipelined_requests_take_turns() -> None:
    def busy(_: Request) -> Response:
        until = time.thread_time() + 0.0005
        while time.thread_time() < until:
            pass
        return Response(200)

    first = Peer(busy)
    peers = [first.another().send(GET * 50) for _ in range(20)]
    assert len(first.seen) < 30, "one each, and a few more"
    other, turns = first.another(), 0
    while len(first.seen) < 1000:
        before = len(first.seen)
        await asyncio.sleep(0)
        assert len(first.seen) - before <= 5
        if turns == 50:
            other.send(GET)
            assert other.answers()[0][0] == 200
            before += 1
        turns += 1
        least, most = min(len(p.transport.writes) for p in peers), max(len(p.transport.writes) for p in peers)
        assert most - least < 12
    await asyncio.sleep(0)
    for peer in peers:
        assert len(peer.answers()) == 50 and not peer.transport.reading_paused
        assert peer.http1.service.unfinished.held == 0


@run
async def test_who_pipelines_and_does_not_read_makes_room() -> None:
    first = Peer(limits=Limits(unfinished_budget=1_000_000))
    peers = [first.another() for _ in range(60)]
    for peer in peers:
        peer.transport.room = 50
        peer.send(GET + (b"GET /" + part(500) + b" HTTP/1.1\r\nHost: a\r\n\r\n") * 100)
    assert first.http1.service.unfinished.held <= 1_000_000
    assert 30 < sum(peer.transport.aborted for peer in peers) < 50
    for peer in peers:
        peer.lose()
    assert first.http1.service.unfinished.held == 0
    await asyncio.sleep(0.01)
    assert first.send(GET).answers()[0][0] == 200


@run
async def test_draining_lets_pipelined_requests_end() -> None:
    def busy(_: Request) -> Response:
        until = time.thread_time() + 0.0005
        while time.thread_time() < until:
            pass
        return Response(200)

    peer = Peer(busy).send(GET * 20)
    assert len(peer.seen) < 20
    await peer.http1.drain(0.2)
    assert peer.transport.closed and peer.answers()[-1][1]["connection"] == "close"
