"""Attacks on HTTP/2, each with a limit:
what it may cost in memory and time, and when it ends the connection."""

import asyncio
import struct
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hpack
import pytest
from eventually import aeventually
from server.fake_transport import run
from server.http2.peers import Code, Flag, Kind, Raw, fields, frame, number

from pilothouse.server.http1 import Limits
from pilothouse.server.request import Request, Response


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def bounded(megabytes: float) -> Iterator[None]:
    """Require that the block takes no more memory at any time."""
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < megabytes * 1e6, f"{(peak - before) / 1e6:.1f} MB"


def calmed(peer: Raw) -> bool:
    """Whether the connection was ended for what its peer did to it."""
    return peer.transport.closed and Code.ENHANCE_YOUR_CALM in [code for _, code in peer.goaways()]


async def never(_: Request) -> Response:
    await asyncio.Event().wait()
    return Response(200)


@run
async def test_rapid_reset() -> None:
    """CVE-2023-44487: streams that are opened and reset at once are work without a limit of their number."""
    clock = Clock()
    peer = Raw(never, clock=clock)
    with bounded(8):
        for count in range(1, 3000):
            peer.send(peer.head() + number(Kind.RST_STREAM, 2 * count - 1, Code.CANCEL))
            if peer.transport.closed:
                break
            if count % 50 == 0:
                await asyncio.sleep(0)
    assert calmed(peer) and count == 1001
    assert peer.http2.shared.faults == {"ENHANCE_YOUR_CALM": 1}
    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == 1, "no handler is left at work"


@run
async def test_resets_at_a_human_rate_are_welcome() -> None:
    clock = Clock()
    peer = Raw(never, clock=clock)
    for _ in range(3000):
        clock.now += 0.04
        peer.send(number(Kind.RST_STREAM, peer.ask(), Code.CANCEL))
        await asyncio.sleep(0)
    assert not peer.transport.closed and peer.http2.shared.open_streams == 0


@pytest.mark.parametrize("what", ["malformed", "refused", "window"])
@run
async def test_resets_that_the_server_is_made_to_send(what: str) -> None:
    """CVE-2025-8671: the same with streams that the server resets because of what it gets."""
    clock = Clock()
    peer = Raw(never, Limits(streams=10 if what == "refused" else 1000), clock=clock)
    for _ in range(3000):
        if what == "malformed":
            peer.send(peer.head(of=fields("GET", "nothing")))
        elif what == "refused":
            peer.send(peer.head())
        else:
            peer.send(number(Kind.WINDOW_UPDATE, peer.ask(), 0))
        if peer.transport.closed:
            break
    assert calmed(peer) and peer.http2.shared.streams <= 1001


@pytest.mark.parametrize("size", [0, 1, 100, 16384])
@run
async def test_continuation_flood(size: int) -> None:
    peer = Raw()
    junk = b"\x00" * size
    with bounded(8):
        peer.send(frame(Kind.HEADERS, Flag.END_STREAM, 1, b"\x82"))
        for count in range(2000):  # noqa: B007 -- read behind the loop
            peer.send(frame(Kind.CONTINUATION, 0, 1, junk))
            if peer.transport.closed:
                break
    assert calmed(peer) and count * max(size, 1) <= 1 << 20 and (size > 1000 or count < 30)


@pytest.mark.parametrize(
    "one",
    [
        frame(Kind.PING, 0, 0, b"12345678"),
        frame(Kind.SETTINGS),
        frame(Kind.SETTINGS, 0, 0, struct.pack(">HI", 4, 1000) * 60),
        frame(Kind.PRIORITY, 0, 1, b"\0\0\0\0\1"),
        frame(0x77, 0, 0),
        number(Kind.WINDOW_UPDATE, 0, 1),
    ],
    ids=["ping", "settings", "long settings", "priority", "unknown", "window"],
)
@run
async def test_floods_of_frames_that_change_nothing(one: bytes) -> None:
    clock = Clock()
    peer = Raw(clock=clock, settings=b"")
    with bounded(8):
        for count in range(200):  # noqa: B007 -- read behind the loop
            await peer.pour(one * 100)
            peer.transport.writes = peer.transport.writes[-2:]
            if peer.transport.closed:
                break
    assert peer.transport.closed and 99 <= count <= 101
    slow = Raw(clock=clock, settings=b"")
    for _ in range(300):
        await slow.pour(one * 100)
        clock.now += 1
    assert not slow.transport.closed, "at a rate that harms nobody they are welcome"


@run
async def test_a_ping_flood_by_a_peer_that_does_not_read() -> None:
    peer = Raw(room=5000, clock=Clock())
    with bounded(2):
        for _ in range(200):
            if not peer.transport.reading_paused:
                peer.send(frame(Kind.PING, 0, 0, b"12345678") * 100)
    assert peer.transport.reading_paused and len(peer.transport.sent) < 10_000


@pytest.mark.parametrize("flags", [0, 8])
@run
async def test_empty_data(flags: int) -> None:
    peer = Raw(clock=Clock())
    peer.send(peer.head(ends=False, of=fields("POST")))
    one = frame(Kind.DATA, flags, 1, b"\xc8" + b"\0" * 200 if flags else b"")
    for _ in range(200):
        await peer.pour(one * 100)
        if peer.transport.closed:
            break
    assert calmed(peer) and not peer.seen


@run
async def test_a_header_bomb_of_one_request() -> None:
    """One entry of the table that is named many times: four kilobytes for each byte."""
    peer = Raw()
    block = hpack.Encoder().encode([*fields(), ("x-bomb", "b" * 4000)])
    with bounded(4):
        peer.send(frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, block))
        peer.send(
            frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 3, b"\x82\x84\x87\xbe" + b"\xbe" * 16000)
        )
    assert peer.status(1) == 200 and peer.status(3) == 431 and len(peer.seen) == 1


@run
async def test_a_header_bomb_of_many_requests() -> None:
    peer = Raw(never)
    block = hpack.Encoder().encode([*fields(), ("x-bomb", "b" * 4000)])
    with bounded(12):
        peer.send(frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, block))
        for stream in range(3, 2000, 2):
            peer.send(
                frame(
                    Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream, b"\x82\x84\x87" + b"\xbe" * 200
                ),
            )
            await asyncio.sleep(0)
    assert peer.http2.shared.open_streams == 1000


@run
async def test_a_table_that_is_filled_again_and_again() -> None:
    peer = Raw()
    with bounded(6):
        for i in range(300):
            block = b"\x82\x84\x87" + b"".join(
                b"\x40\x05x-%03d\x7f\xa1\x1e" % (j % 1000) + b"v" * 4000 for j in range(i, i + 3)
            )
            await peer.pour(frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 2 * i + 1, block))
            peer.seen.clear()
            peer.transport.writes = peer.transport.writes[-2:]
    assert peer.http1.service.requests == 300


BROKEN: dict[str, bytes] = {
    "index 0": b"\x80",
    "index of nothing": b"\xff\x80\x01",
    "huge index": b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    "endless index": b"\xff" + b"\x80" * 100,
    "cut off": b"\x40\x0ax",
    "huge length": b"\x40\x7f\xff\xff\xff\xff\x07",
    "value is missing": b"\x40\x01x",
    "table too large": b"\x3f\xe2\x1f\x82",
    "table changes late": b"\x82\x20",
    "huffman end": b"\x40\x84\xff\xff\xff\xff\x01x",
    "huffman padding of zeros": b"\x40\x81\x18\x01x",
    "huffman padding too long": b"\x40\x82\x1f\xff\x01x",
}


@pytest.mark.parametrize("name", BROKEN)
@run
async def test_blocks_that_cannot_be_read(name: str) -> None:
    peer = Raw()
    peer.send(frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, BROKEN[name]))
    assert [code for _, code in peer.goaways()] == [9] and peer.transport.closed
    with pytest.raises(hpack.HPACKError):
        hpack.Decoder(max_header_list_size=1 << 20).decode(BROKEN[name])


@run
async def test_tiny_windows() -> None:
    """A byte for each update: as much work for the peer, and an end to it."""
    clock = Clock()
    peer = Raw(lambda _: Response(200, b"x" * 60_000), clock=clock, settings=struct.pack(">HI", 4, 1))
    for _ in range(50):
        peer.ask()
    with bounded(4):
        for _ in range(400):
            await peer.pour(b"".join(number(Kind.WINDOW_UPDATE, 2 * i + 1, 1) for i in range(50)))
            peer.transport.writes = peer.transport.writes[-2:]
            if peer.transport.closed:
                break
    assert peer.transport.closed


@run
async def test_streams_that_are_opened_and_never_finished() -> None:
    now = Clock()
    limits = Limits(unfinished_budget=2_000_000, body_timeout=60)
    peer = Raw(limits=limits, clock=now)
    with bounded(6):
        for _ in range(1000):
            stream = peer.next
            peer.send(peer.head(ends=False, of=fields("POST")), frame(Kind.DATA, 0, stream, b"x" * 16000))
            now.now += 0.01
            peer.transport.writes = peer.transport.writes[-2:]
    service = peer.http1.service
    assert service.unfinished.held <= 2_000_000 and service.unfinished.refused > 500
    assert peer.http2.shared.open_streams < 200
    now.now += 61
    peer.send(frame(Kind.PING, 1, 0, b"12345678"))
    service.sweep()
    assert peer.http2.shared.open_streams == 0 and service.unfinished.held == 0


@run
async def test_header_blocks_that_are_never_finished() -> None:
    clock = Clock()
    first = Raw(limits=Limits(unfinished_budget=500_000), clock=clock)
    peers = [first, *(first.another() for _ in range(40))]
    for one in peers:
        clock.now += 0.1
        one.send(
            frame(Kind.HEADERS, 0, 1, b"\0" * 16000), frame(Kind.CONTINUATION, 0, 1, b"\0" * 16000), b"\0\x40"
        )
    assert first.http1.service.unfinished.held <= 500_000
    assert sum(one.transport.closed for one in peers) > 20 and not peers[-1].transport.closed


@run
async def test_a_reset_within_an_answer() -> None:
    ends: list[Any] = []

    def handler(_: Request) -> Response:
        response = Response(200, b"x" * 1_000_000)
        response.on_done = lambda sent, error: ends.append((sent, type(error)))
        return response

    peer = Raw(handler, settings=struct.pack(">HI", 4, 10_000))
    for _ in range(300):
        peer.send(number(Kind.RST_STREAM, peer.ask(), Code.CANCEL))
        peer.send(number(Kind.WINDOW_UPDATE, 0, 10_000))
        await asyncio.sleep(0)
    assert ends == [(10_000, ConnectionResetError)] * 300
    assert peer.http2.shared.open_streams == 0 and not peer.transport.closed
    shared: Any = peer.http1.service
    assert shared.requests == 300


@run
async def test_many_connections_take_turns_with_one_that_floods() -> None:
    def slow(_: Request) -> Response:
        end = time.thread_time() + 0.0005
        while time.thread_time() < end:
            pass
        return Response(200)

    flooding = Raw(slow)
    other = flooding.another()
    flooding.send(b"".join(flooding.head() for _ in range(500)))
    begun = flooding.http1.service.requests
    other.ask()
    assert begun < 50 and other.status() == 200, "it is answered at once"
    await aeventually(lambda: flooding.http1.service.requests == 501, "then all others", 10)
