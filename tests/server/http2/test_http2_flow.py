"""Flow control of HTTP/2: a peer that takes nothing holds nobody up and makes nothing grow."""

import asyncio
import struct
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from eventually import aeventually
from server.fake_transport import run
from server.http2.peers import PREFACE, Code, Flag, Kind, Raw, fields, frame, number

from pilothouse.server.http1 import Limits
from pilothouse.server.request import Request, Response, Stream


def window(size: int) -> bytes:
    """A setting: the window of each stream."""
    return struct.pack(">HI", 4, size)


class Streams:
    """A handler that keeps the streams of its answers, by path."""

    def __init__(self) -> None:
        self.open: dict[str, Any] = {}
        self.closed: list[str] = []
        self.drained: list[str] = []

    def __call__(self, request: Request) -> Response:
        path = request.path

        def start(stream: Stream) -> None:
            self.open[path] = stream
            stream.on_close(lambda: self.closed.append(path))
            stream.on_drain(lambda: self.drained.append(path))

        return Response(200, start=start) if "watch" in path else Response(200, b"x" * 1000)


async def turns(count: int = 4) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def data_of(peer: Raw, stream: int) -> int:
    """Bytes of DATA that were sent on a stream."""
    return sum(len(payload) for _, one, payload in peer.of_kind(Kind.DATA) if one == stream)


@run
async def test_what_streams_write_in_one_turn_goes_out_in_one_write() -> None:
    handler = Streams()
    peer = Raw(handler)
    for i in range(5):
        peer.ask("GET", f"/watch/{i}")
    await turns()
    writes = len(peer.transport.writes)
    event = b"e" * 100
    for stream in handler.open.values():
        stream.write(event)
        stream.write(event)
    await turns()
    assert len(peer.transport.writes) == writes + 1
    assert [data_of(peer, 2 * i + 1) for i in range(5)] == [200] * 5
    handler.open["/watch/0"].close()
    handler.open["/watch/0"].write(b"late")
    await turns()
    assert peer.answers_of()[1].ended and handler.closed == ["/watch/0"]
    assert handler.open["/watch/0"].buffered() == 0


@pytest.mark.parametrize("size", [1, 100, 16384, 65535])
@run
async def test_an_answer_uses_its_window_and_no_more(size: int) -> None:
    body = bytes(range(256)) * 1000
    peer = Raw(lambda _: Response(200, body), settings=window(size))
    peer.send(number(Kind.WINDOW_UPDATE, 0, 1 << 24))
    peer.ask()
    await turns()
    assert data_of(peer, 1) == size
    peer.send(number(Kind.WINDOW_UPDATE, 1, 1000))
    await turns()
    assert data_of(peer, 1) == size + 1000
    peer.send(number(Kind.WINDOW_UPDATE, 1, 1 << 20))
    await turns()
    assert peer.answers_of()[1].body == body and peer.answers_of()[1].ended


@run
async def test_a_change_of_settings_moves_all_windows() -> None:
    peer = Raw(lambda _: Response(200, b"x" * 100_000), settings=window(1000))
    peer.ask()
    peer.ask()
    await turns()
    peer.send(frame(Kind.SETTINGS, 0, 0, window(400)), number(Kind.WINDOW_UPDATE, 1, 500))
    await turns()
    assert data_of(peer, 1) == 1000, "its window is below zero, then it is what it was"
    peer.send(number(Kind.WINDOW_UPDATE, 1, 200), frame(Kind.SETTINGS, 0, 0, window(500)))
    await turns()
    assert (data_of(peer, 1), data_of(peer, 3)) == (1200, 1000)
    peer.send(number(Kind.WINDOW_UPDATE, 1, 0x7FFFFF00), frame(Kind.SETTINGS, 0, 0, window(0x7FFFFFFF)))
    assert peer.goaways() == [(3, Code.FLOW_CONTROL_ERROR)]


@run
async def test_the_window_of_the_connection_is_shared_in_turn() -> None:
    peer = Raw(lambda _: Response(200, b"x" * 200_000), settings=window(1 << 20))
    first, second = peer.ask(), peer.ask()
    await turns()
    assert data_of(peer, first) + data_of(peer, second) == 65535
    for _ in range(40):
        peer.send(number(Kind.WINDOW_UPDATE, 0, 10_000))
        await turns()
    assert data_of(peer, first) == data_of(peer, second) == 200_000
    answers = peer.answers_of()
    assert answers[first].ended and answers[second].ended


@run
async def test_a_stream_that_is_not_read_stops_no_other() -> None:
    handler = Streams()
    peer = Raw(handler, settings=window(1000))
    peer.send(number(Kind.WINDOW_UPDATE, 0, 1 << 24))
    slow, fast = peer.ask("GET", "/watch/slow"), peer.ask("GET", "/watch/fast")
    peer.send(number(Kind.WINDOW_UPDATE, fast, 1 << 24))
    for _ in range(100):
        for stream in handler.open.values():
            stream.write(b"e" * 5000)
        await turns()
    assert data_of(peer, slow) == 1000 and data_of(peer, fast) == 500_000
    assert handler.open["/watch/slow"].buffered() >= 499_000 and handler.open["/watch/fast"].buffered() == 0
    assert peer.ask("GET", "/") == 5 and peer.status(5) == 200
    peer.send(number(Kind.WINDOW_UPDATE, slow, 1 << 24))
    await turns()
    assert data_of(peer, slow) == 500_000 and "/watch/slow" in handler.drained


@run
async def test_a_socket_that_takes_nothing_stops_the_streams_and_the_reading() -> None:
    handler = Streams()
    peer = Raw(handler, room=2000)
    peer.ask("GET", "/watch")
    await turns()
    for _ in range(20):
        handler.open["/watch"].write(b"e" * 1000)
        await turns()
    assert len(peer.transport.sent) < 5000 and handler.open["/watch"].buffered() > 15_000
    assert peer.transport.reading_paused
    peer.transport.room = 1 << 30
    peer.transport.drain()
    await turns()
    assert data_of(peer, 1) == 20_000 and not peer.transport.reading_paused and handler.drained


@run
async def test_answers_to_many_streams_of_a_peer_that_takes_nothing_are_not_made() -> None:
    peer = Raw(lambda _: Response(200, b"x" * 60_000), settings=window(0))
    tracemalloc.start()
    try:
        for _ in range(900):
            peer.ask()
        await turns()
        held = len(peer.seen)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 80, "no more than four megabytes of answers wait"
    assert size < 12_000_000 and not peer.transport.reading_paused, "its windows can still grow"
    for stream in range(1, 1800, 2):
        peer.send(number(Kind.WINDOW_UPDATE, stream, 1 << 20))
        peer.send(number(Kind.WINDOW_UPDATE, 0, 60_000))
        await turns(2)
    await aeventually(lambda: len(peer.seen) == 900, "the others get their answers", 5)


@run
async def test_crowded_watches_have_no_queue_of_their_own() -> None:
    handler = Streams()
    peer = Raw(handler, settings=window(0))
    for i in range(20):
        peer.ask("GET", f"/watch/{i}")
    for _ in range(30):
        for stream in handler.open.values():
            if stream.buffered() < 1 << 20:
                stream.write(b"e" * 10_000)
        await turns()
    assert all(stream.buffered() > 1 << 20 for stream in handler.open.values())
    peer.send(frame(Kind.SETTINGS, 0, 0, window(1 << 20)), number(Kind.WINDOW_UPDATE, 0, 1 << 25))
    await turns(20)
    assert all(stream.buffered() == 0 for stream in handler.open.values())
    assert len(set(handler.drained)) == 20, "each is told that it may go on"


class Lazy:
    """A long body that counts the parts that were made of it."""

    def __init__(self, parts: int) -> None:
        self.parts, self.made = parts, 0
        self.size = parts * 100_000

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.parts):
            self.made += 1
            yield b"p" * 100_000


@run
async def test_a_long_body_is_made_as_its_windows_grow() -> None:
    body = Lazy(100)
    peer = Raw(lambda _: Response(200, body), settings=window(50_000))
    peer.send(number(Kind.WINDOW_UPDATE, 0, 1 << 25))
    peer.ask()
    await turns()
    assert body.made <= 4
    for _ in range(200):
        peer.send(number(Kind.WINDOW_UPDATE, 1, 60_000))
        await turns(2)
    assert body.made == 100 and len(peer.answers_of()[1].body) == 10_000_000


@run
async def test_windows_that_overflow_or_do_not_grow() -> None:
    never = asyncio.get_running_loop().create_future()
    for size, code in ((0, Code.PROTOCOL_ERROR), (0x7FFFFFFF, Code.FLOW_CONTROL_ERROR)):
        peer = Raw(lambda _: never, settings=window(1000))
        peer.ask()
        peer.send(number(Kind.WINDOW_UPDATE, 1, size))
        assert peer.resets() == {1: code} and not peer.transport.closed
        peer.send(number(Kind.WINDOW_UPDATE, 0, size))
        assert peer.goaways() == [(1, code)]


@run
async def test_the_windows_of_bodies() -> None:
    peer = Raw(limits=Limits(body_bytes=1 << 20))
    peer.send(peer.head(ends=False, of=fields("POST", "/")))
    sent, room, whole = 0, 256 * 1024, 256 * 1024 * 1000
    while sent + 16384 <= 900_000:
        peer.send(frame(Kind.DATA, 0, 1, b"b" * 16384))
        sent += 16384
        grown = sum(
            int.from_bytes(payload) for _, stream, payload in peer.of_kind(Kind.WINDOW_UPDATE) if stream == 1
        )
        assert 0 < room + grown - sent <= room
    peer.send(frame(Kind.DATA, Flag.END_STREAM, 1))
    assert len(peer.seen[0].body) == sent
    updates = [
        int.from_bytes(payload) for _, stream, payload in peer.of_kind(Kind.WINDOW_UPDATE) if not stream
    ]
    assert 65535 + updates[0] == whole and sum(updates[1:]) >= sent - 256 * 1024


@run
async def test_more_than_a_window_is_an_error() -> None:
    hold = asyncio.get_running_loop().create_future()
    peer = Raw(admit=lambda _: hold)
    peer.send(peer.head(ends=False, of=fields("POST", "/")))
    for _ in range(16):
        peer.send(frame(Kind.DATA, 0, 1, b"b" * 16384))
    assert not peer.resets() and not [s for _, s, _ in peer.of_kind(Kind.WINDOW_UPDATE) if s], (
        "nobody judged it yet"
    )
    peer.send(frame(Kind.DATA, 0, 1, b"b"))
    assert peer.resets() == {1: Code.FLOW_CONTROL_ERROR} and peer.ask() == 3 and peer.status(3) == 200
    few = Raw(limits=Limits(streams=1), admit=lambda _: hold)
    few.send(few.head(ends=False, of=fields("POST", "/")))
    few.send(*(frame(Kind.DATA, 0, 1, b"b" * size) for size in (*[16384] * 15, 16000, 16384)))
    assert few.goaways() == [(1, Code.FLOW_CONTROL_ERROR)]


@run
async def test_long_bodies_are_judged_and_wait_for_their_budget() -> None:
    judged: list[Request] = []

    def judge(request: Request) -> Any:
        judged.append(request)
        request.caller = "jane"
        return Response(403, b"no") if request.path == "/no" else None

    limits = Limits(body_budget=400_000)
    peer = Raw(limits=limits, admit=judge)
    long = ("content-length", "300000")
    peer.send(peer.head(ends=False, of=fields("POST", "/no", long)))
    assert peer.status(1) == 403 and peer.resets() == {1: 0} and not peer.seen
    for _ in range(2):
        peer.send(peer.head(ends=False, of=fields("POST", "/yes", long)))
    peer.send(*(frame(Kind.DATA, 0, stream, b"b" * 16384) for _ in range(16) for stream in (3, 5)))
    assert [request.path for request in judged] == ["/no", "/yes", "/yes"]
    grown = [stream for _, stream, _ in peer.of_kind(Kind.WINDOW_UPDATE)]
    assert 3 in grown and 5 not in grown, "the second one waits for the first"
    rest = 300_000 - 16 * 16384
    for stream in (3, 5):
        for at in range(0, rest, 16384):
            size = min(16384, rest - at)
            peer.send(frame(Kind.DATA, Flag.END_STREAM if at + size == rest else 0, stream, b"c" * size))
    assert [len(request.body) for request in peer.seen] == [300_000, 300_000]
    assert peer.http1.service.bodies.reserved == 0 and peer.http1.service.unfinished.held == 0


@run
async def test_time_outs_of_streams() -> None:
    now = [1000.0]
    limits = Limits(body_timeout=60, idle_timeout=90, header_timeout=32)
    handler = Streams()
    ends: list[Any] = []

    def answer(request: Request) -> Response:
        response = handler(request) if "watch" in request.path else Response(200, b"x" * 10_000)
        response.on_done = lambda sent, error: ends.append((request.path, sent, error))
        return response

    peer = Raw(answer, limits, clock=lambda: now[0], settings=window(100))
    peer.ask("GET", "/stuck")
    peer.ask("GET", "/watch")
    peer.send(peer.head(ends=False, of=fields("POST", "/half")))
    await turns()
    handler.open["/watch"].write(b"e" * 1000)
    await turns()

    def sweep(seconds: float) -> None:
        now[0] += seconds
        peer.send(frame(Kind.PING, 1, 0, b"12345678"))  # it is not silent
        peer.http1.service.sweep()

    sweep(59)
    await turns()
    assert not peer.resets()
    sweep(2)
    await turns()
    assert peer.resets() == {1: Code.CANCEL, 5: 0} and peer.status(5) == 408
    assert ends[0][:2] == ("/stuck", 100) and isinstance(ends[0][2], TimeoutError)
    assert not handler.closed, "a watch that is not read stays"
    peer.send(number(Kind.RST_STREAM, 3, Code.CANCEL))
    sweep(89)
    assert not peer.transport.closed
    sweep(2)
    await turns()
    assert peer.transport.closed and [code for _, code in peer.goaways()] == [0, 0]


@run
async def test_a_silent_peer_is_asked_and_then_cut() -> None:
    now = [1000.0]
    handler = Streams()
    peer = Raw(handler, clock=lambda: now[0])
    peer.ask("GET", "/watch")
    await turns()

    def pings() -> int:
        return len([flags for flags, _, _ in peer.of_kind(Kind.PING) if not flags])

    for seconds, expected in ((29, 0), (2, 1), (5, 1)):
        now[0] += seconds
        peer.http1.service.sweep()
        await turns()
        assert pings() == expected
    peer.send(frame(Kind.PING, 1, 0, b"alive?\0\0"))
    now[0] += 29
    peer.http1.service.sweep()
    assert not peer.transport.closed
    now[0] += 2
    peer.http1.service.sweep()
    await turns()
    assert pings() == 2
    now[0] += 15
    peer.http1.service.sweep()
    assert peer.transport.closed and handler.closed == ["/watch"]


@pytest.mark.parametrize(
    "sent", [b"", PREFACE[:10], PREFACE, PREFACE + frame(Kind.SETTINGS) + frame(1, 0, 1, b"\x82")]
)
@run
async def test_a_connection_that_does_not_begin(sent: bytes) -> None:
    now = [1000.0]
    peer = Raw(clock=lambda: now[0], settings=None)
    if sent:
        peer.send(sent)
    now[0] += 31
    peer.http1.service.sweep()
    assert not peer.transport.closed
    now[0] += 2
    peer.http1.service.sweep()
    assert peer.transport.closed and peer.of_kind(Kind.GOAWAY)


@run
async def test_a_peer_that_reads_nothing_at_all_is_cut() -> None:
    now = [1000.0]
    peer = Raw(lambda _: Response(200, b"x" * 100_000), room=1000, clock=lambda: now[0])
    peer.ask()
    await turns()
    now[0] += 61
    peer.http1.service.sweep()
    assert peer.transport.aborted


@run
async def test_a_stream_that_was_ended_has_the_time_of_an_answer() -> None:
    """However long its client has taken nothing before: it may still read why."""
    now = [1000.0]
    streams = Streams()
    peer = Raw(streams, settings=window(1000), clock=lambda: now[0])
    peer.ask("GET", "/watch")
    streams.open["/watch"].write(b"x" * 5000)
    await turns()
    now[0] += 600
    streams.open["/watch"].close()
    for seconds in (59, 2):
        assert not peer.resets()
        now[0] += seconds
        peer.send(frame(Kind.PING, 1, 0, b"12345678"))  # it is not silent
        peer.http1.service.sweep()
    await turns()
    assert peer.resets() == {1: Code.CANCEL}
