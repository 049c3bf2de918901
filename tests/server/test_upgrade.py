"""Connections that handlers take over: their bytes, back-pressure and ends."""

import asyncio
import gc
import socket
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from server.duplexes import Log
from server.duplexes import Peer as Wire
from server.fake_transport import FakeTransport, Peer, run
from virtual_time import VirtualLoop

from pilothouse.server.http1 import Limits
from pilothouse.server.request import Request, Response
from pilothouse.server.upgrade import CLOSE_SECONDS, Duplex, relay

UPGRADE = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: speech\r\n\r\n"
GET = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


class Handler:
    """Grants upgrades to a log, at once or when `gate` is opened, and answers all else with 200."""

    def __init__(self, gate: asyncio.Event | None = None, status: int = 101) -> None:
        self.gate = gate
        self.status = status
        self.log = Log()
        self.duplex: Duplex
        self.done: list[tuple[int, BaseException | None]] = []

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        if "upgrade" not in request.headers:
            return Response(200, b"plain")
        return self.answer() if self.gate is None else self.later()

    async def later(self) -> Response:
        assert self.gate is not None
        await self.gate.wait()
        return self.answer()

    def answer(self) -> Response:
        if self.status != 101:
            response = Response(self.status, b"no")
        else:
            response = Response(101, b"", "", [("Upgrade", "speech")], upgrade=self.begin)
        response.on_done = lambda sent, error: self.done.append((sent, error))
        return response

    def begin(self, duplex: Duplex) -> None:
        self.duplex = duplex
        duplex.start(self.log)


@run
async def test_a_handler_takes_a_connection_over() -> None:
    handler = Handler()
    peer = Peer(handler)
    peer.send(UPGRADE)
    head = peer.transport.sent.decode()
    assert head.startswith("HTTP/1.1 101 Switching Protocols\r\nUpgrade: speech\r\n")
    assert "\r\nConnection: Upgrade\r\n" in head and head.endswith("\r\n\r\n")
    assert "content-length" not in head.lower() and "transfer-encoding" not in head.lower()
    peer.send(b"GET / HTTP/1.1\r\n\r\n", b"more")
    assert handler.log.seen == [b"GET / HTTP/1.1\r\n\r\n", b"more"], "nobody parses it"
    assert peer.protocol.is_answering()
    handler.duplex.write(b"back")
    assert peer.transport.writes[-1] == b"back"
    assert handler.done == [] and peer.http1.service.upgraded == 1
    peer.lose()
    assert peer.http1.service.upgraded == 0 and peer.http1.service.bytes_out == peer.transport.held
    assert handler.log.seen[-1] == ("closed", None)
    assert handler.done == [(4, None)]


@run
async def test_an_error_of_the_connection_is_told() -> None:
    handler = Handler()
    peer = Peer(handler)
    peer.send(UPGRADE)
    error = ConnectionResetError("gone")
    peer.protocol.connection_lost(error)
    assert handler.log.seen == [("closed", error)] and handler.done == [(0, error)]


@pytest.mark.parametrize("waits", [False, True])
@run
async def test_bytes_that_come_before_the_answer(waits: bool) -> None:
    handler = Handler(asyncio.Event() if waits else None)
    peer = Peer(handler)
    peer.send(UPGRADE + b"early ", b"and ")
    if waits:
        assert peer.transport.reading_paused, "no more of them is read"
        assert handler.log.seen == []
        handler.gate.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not peer.transport.reading_paused
    peer.send(b"late")
    assert b"".join(handler.log.seen) == b"early and late"


@pytest.mark.parametrize("waits", [False, True])
@run
async def test_a_refused_upgrade_leaves_http(waits: bool) -> None:
    handler = Handler(asyncio.Event() if waits else None, status=403)
    peer = Peer(handler)
    peer.send(UPGRADE + GET[:10], GET[10:])
    if waits:
        assert len(peer.seen) == 1
        handler.gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
    assert [status for status, *_ in peer.answers()] == [403, 200]
    peer.send(GET)
    assert len(peer.seen) == 3


@run
async def test_requests_before_the_upgrade_are_answered_first() -> None:
    handler = Handler()
    peer = Peer(handler)
    peer.send(GET + UPGRADE + b"early")
    for _ in range(5):
        await asyncio.sleep(0)
    (first,) = peer.answers()[:1] if b"101" not in peer.transport.sent else [(200, {}, b"plain")]
    assert first[0] == 200
    assert peer.transport.sent.index(b"plain") < peer.transport.sent.index(b"101")
    assert handler.log.seen == [b"early"]


@run
async def test_the_client_leaves_before_the_answer() -> None:
    handler = Handler(asyncio.Event())
    peer = Peer(handler)
    peer.send(UPGRADE + b"early")
    peer.lose()
    handler.gate.set()
    await asyncio.sleep(0)
    assert handler.log.seen == []


@pytest.mark.parametrize("status", [101, 403])
@run
async def test_bytes_before_the_answer_count_for_the_budget_of_unfinished_requests(status: int) -> None:
    handler = Handler(asyncio.Event(), status)
    peer = Peer(handler, Limits(unfinished_budget=100_000))
    unfinished = peer.http1.service.unfinished
    peer.send(UPGRADE + b"x" * 50_000)
    assert unfinished.held == 50_000
    peer.send(b"x" * 60_000, b"x" * 10_000)
    assert unfinished.held < 100_000 and unfinished.refused == 1
    handler.gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert handler.log.seen == [], "some of it is lost, so that nobody gets the rest"
    if status == 101:
        assert peer.transport.closed and [type(error) for _, error in handler.done] == [
            ConnectionAbortedError
        ]
    else:
        assert [found for found, *_ in peer.answers()] == [403, 408]
    peer.lose()
    assert unfinished.held == 0


@run
async def test_unknown_methods_after_a_refused_upgrade() -> None:
    handler = Handler(asyncio.Event(), 403)
    peer = Peer(handler)
    peer.send(UPGRADE + b"FROB", b"NICATE /x HTTP/1.1\r\nHost: a\r\n\r\n")
    handler.gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert [request.method for request in peer.seen] == ["GET", "FROBNICATE"]


@run
async def test_an_upgrade_that_fails_ends_the_connection() -> None:
    def fail(duplex: Duplex) -> None:
        raise RuntimeError("a bug")

    done: list[Any] = []
    response = Response(101, b"", "", upgrade=fail)
    response.on_done = lambda sent, error: done.append(error)
    peer = Peer(lambda _: response)
    peer.send(UPGRADE)
    assert peer.transport.closed
    assert [type(error) for error in done] == [RuntimeError]


@run
async def test_a_slow_peer_blocks_its_duplex() -> None:
    handler = Handler()
    peer = Peer(handler, room=1000)
    peer.send(UPGRADE)
    handler.duplex.write(b"x" * 2000)
    assert handler.duplex.blocked and handler.log.seen == [True]
    peer.transport.drain()
    assert not handler.duplex.blocked and handler.log.seen == [True, False]


@run
async def test_no_timeout_ends_an_upgraded_connection() -> None:
    handler = Handler()
    peer = Peer(handler)
    peer.send(UPGRADE)
    peer.http1.service.sweep(1e9)
    assert not peer.transport.closed


@run
async def test_a_drain_tells_the_receiver_and_ends_a_connection_without_one() -> None:
    handler = Handler()
    peer = Peer(handler)
    peer.send(UPGRADE)
    bare = Peer(lambda _: Response(101, b"", "", upgrade=lambda duplex: None))
    bare.send(UPGRADE)
    for one in (peer, bare):
        one.http1.service.drain()
    assert handler.log.seen == ["leave"]
    assert bare.transport.closed
    late = Handler()
    peer.http1.service.draining = True
    other = Peer(late)
    other.http1.service.draining = True
    other.send(UPGRADE)
    assert late.log.seen == ["leave"], "also who comes during it"


# --- the duplex


@run
async def test_nothing_is_delivered_while_reading_is_paused() -> None:
    wire, log = Wire(), Log()
    wire.send(b"1", b"2")
    assert wire.paused
    wire.duplex.start(log, reading=False)
    wire.send(b"3")
    assert log.seen == []
    wire.duplex.resume_reading()
    assert log.seen == [b"1", b"2", b"3"] and not wire.paused
    wire.duplex.pause_reading()
    wire.duplex.pause_reading()
    wire.send(b"4")  # what TLS had read already
    assert log.seen[3:] == [] and wire.paused
    wire.duplex.resume_reading()
    wire.duplex.resume_reading()
    assert log.seen[3:] == [b"4"] and not wire.paused


@run
async def test_a_receiver_may_pause_within_the_delivery() -> None:
    wire = Wire()

    class Pausing(Log):
        def received(self, data: bytes) -> None:
            super().received(data)
            wire.duplex.pause_reading()

    log = Pausing()
    wire.send(b"1", b"2", b"3")
    wire.duplex.start(log)
    assert log.seen == [b"1"] and wire.paused
    wire.duplex.resume_reading()
    assert log.seen == [b"1", b"2"] and wire.paused
    wire.duplex.resume_reading()
    wire.duplex.resume_reading()
    assert log.seen == [b"1", b"2", b"3"] and not wire.paused


@run
async def test_a_receiver_of_a_lost_connection_is_told_so() -> None:
    wire, log = Wire(), Log()
    error = ConnectionResetError()
    wire.lose(error)
    wire.duplex.start(log)
    assert log.seen == [("closed", error)]
    wire.duplex.write(b"x")
    wire.duplex.pause_reading()
    assert wire.take() == b"" and wire.duplex.buffered() == 0


async def test_a_peer_that_does_not_read_is_cut_at_the_close(virtual: VirtualLoop) -> None:
    wire, log = Wire(room=1), Log()
    wire.duplex.start(log)
    wire.duplex.write(b"xx")
    wire.duplex.close()
    wire.duplex.close()
    wire.duplex.write(b"after")
    assert wire.take() == b"xx" and not wire.transport.aborted
    await virtual.advance(CLOSE_SECONDS + 1)
    assert wire.transport.aborted


# --- relays


@run
async def test_a_relay_copies_both_ways_no_faster_than_the_slower_side() -> None:
    one, other = Wire(room=10), Wire(room=10)
    one.send(b"kept")
    relay(one.duplex, other.duplex)
    other.send(b"hello")
    assert other.take() == b"kept" and one.take() == b"hello"
    one.send(b"x" * 20)
    assert one.paused, "the other one does not take it"
    assert not other.paused, "the way back goes on"
    other.transport.drain()
    assert not one.paused
    other.send(b"y" * 20)
    assert other.paused
    one.transport.drain()
    assert not other.paused


@pytest.mark.parametrize("end", [lambda wire: wire.lose(), lambda wire: wire.lose(OSError())])
@run
async def test_a_relay_ends_with_either_side(end: Callable[[Wire], None]) -> None:
    for first in (0, 1):
        pair = (Wire(), Wire())
        relay(pair[0].duplex, pair[1].duplex)
        pair[first].send(b"last words")
        end(pair[first])
        assert pair[1 - first].take() == b"last words"
        assert pair[1 - first].closed


@run
async def test_a_relay_ends_with_the_server() -> None:
    one, other = Wire(), Wire()
    relay(one.duplex, other.duplex)
    one.duplex.on_leave()
    assert one.closed
    one.lose()
    assert other.closed


def test_a_transport_that_has_gone_is_asked_for_nothing() -> None:
    class Gone(FakeTransport):
        def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
            if self.closed:
                raise RuntimeError("the handler is closed")

    transport = Gone()
    duplex = Duplex(transport)
    transport.closed = True
    duplex.on_lost(None)
    duplex.limit(0)
    duplex.write(b"x")
    assert duplex.buffered() == 0 and transport.writes == []


class Cyclic(Log):
    """A receiver that knows its duplex, as that of a WebSocket does."""

    duplex: Duplex


def test_the_transport_of_a_lost_connection_is_freed_at_once() -> None:
    """A receiver and its duplex refer to each other;
    TLS has large buffers, and full collections of garbage are rare."""
    transport, receiver = FakeTransport(), Cyclic()
    duplex = receiver.duplex = Duplex(transport)
    duplex.start(receiver)
    duplex.gather()
    duplex.write(b"never sent")
    left = weakref.ref(transport)
    gc.disable()
    try:
        del transport
        duplex.on_lost(None)
        assert left() is None
        duplex.flush()
        duplex.abort()
        duplex.close()
    finally:
        gc.enable()


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_peer_that_leaves_while_nothing_is_read_is_noticed(
    runner: asyncio.Runner, virtual: VirtualLoop, leaves: bool
) -> None:
    class Owner(asyncio.Protocol):
        duplex: Duplex

        def connection_made(self, transport: Any) -> None:
            self.duplex = Duplex(transport)
            self.duplex.start(log, reading=False)
            owners.append(self)
            made.set()

        def connection_lost(self, exc: BaseException | None) -> None:
            self.duplex.on_lost(exc)

    log, made = Log(), asyncio.Event()
    owners: list[Owner] = []
    server = await virtual.create_server(Owner, "127.0.0.1", 0)
    with virtual.hold(), socket.create_connection(server.sockets[0].getsockname()) as peer:
        peer.sendall(b"x" * 1000)
        await made.wait()
        if not leaves:
            kept = peer.dup()
    await asyncio.sleep(2.5 * CLOSE_SECONDS)
    assert bool(log.seen) == leaves, "it is told of the end alone"
    if not leaves:
        kept.close()
    owners[0].duplex.abort()
    await asyncio.sleep(0)
    server.close()
