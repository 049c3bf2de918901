"""The work of a connection in one callback, and the output that it queues, are bounded by units of work;
see `_turns`."""

import asyncio
import struct
import tracemalloc
from typing import Any

import pytest
from complexity import seconds
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from server.fake_transport import run
from server.http2.peers import Code, Flag, Kind, Raw, fields, frame, number
from server.http2.test_http2_attacks import bounded, calmed, never

from pilothouse.server.http1 import Limits
from pilothouse.server.request import Request, Response

TURN, ROUND = 1_000_000, 2_000_000
PIECE = 200_000
"""Units of the largest piece of work here; one header field of 1 MiB, the largest of all, has 8 million."""

STREAM, PER_BYTE, REST = 8_000, 16, 600_000
"""Bytes of memory for each open stream, for each byte that has come besides, and for the connection."""


def windows(*sizes: int) -> bytes:
    return frame(Kind.SETTINGS, 0, 0, b"".join(struct.pack(">HI", 4, size) for size in sizes))


def most(peer: Raw) -> int:
    """The most units that were used in one turn of the loop."""
    return int(peer.http1.service.line.most)


@run
async def test_settings_that_enlarge_the_windows_of_waiting_answers_by_a_byte() -> None:
    """An entry after the other gave each of 342 streams a frame of one byte: 60 KB made gigabytes."""
    peer = Raw(lambda _: Response(200, b"x" * 60_000), settings=struct.pack(">HI", 4, 0))
    for _ in range(342):
        await peer.pour(peer.head())
    with bounded(3):
        for at in range(0, 64 * 150, 64):
            sent = len(peer.transport.sent)
            peer.send(windows(*range(at + 1, at + 65)))
            assert len(peer.transport.sent) - sent < 342 * 75 + 100, "one frame of each stream"
            await peer.pour()
    assert sum(len(payload) for _, _, payload in peer.of_kind(Kind.DATA)) <= 342 * 64 * 150
    assert len(peer.of_kind(Kind.DATA)) <= 342 * 150 and most(peer) <= TURN + PIECE


@run
async def test_windows_that_grow_by_a_byte_end_the_connection() -> None:
    peer = Raw(
        lambda _: Response(200, b"x" * 60_000), settings=struct.pack(">HI", 4, 0), clock=lambda: 1000.0
    )
    for _ in range(342):
        await peer.pour(peer.head())
    for size in range(1, 200):
        await peer.pour(windows(size))
        if peer.transport.closed:
            break
    assert calmed(peer) and size < 45


@run
async def test_settings_are_charged_for_the_streams_whose_windows_they_change() -> None:
    peer = Raw(clock=lambda: 1000.0)
    for _ in range(1000):
        await peer.pour(peer.head(ends=False, of=fields("POST")))
    flood = b"".join(windows(*range(i, i + 64)) for i in range(4000))
    for at in range(0, len(flood), 100_000):
        if not peer.transport.closed:
            await peer.pour(flood[at : at + 100_000])
    assert calmed(peer) and most(peer) <= TURN + PIECE
    assert len(peer.of_kind(Kind.SETTINGS)) < 700, "each costs as much as sixteen that change nothing"


@run
async def test_settings_of_one_frame_are_applied_together() -> None:
    peer = Raw(lambda _: Response(200, b"x" * 60_000), settings=struct.pack(">HI", 4, 0))
    peer.ask()
    peer.send(windows(5, 50, 1000, 100, 7))
    assert [len(payload) for _, _, payload in peer.of_kind(Kind.DATA)] == [7]
    peer.send(windows(0x7FFFFFFF, 10))
    assert [len(payload) for _, _, payload in peer.of_kind(Kind.DATA)] == [7, 3] and not peer.transport.closed


@run
async def test_a_stream_goes_on_once_for_all_updates_of_a_read() -> None:
    peer = Raw(lambda _: Response(200, b"x" * 60_000), settings=struct.pack(">HI", 4, 0))
    peer.ask()
    peer.send(number(Kind.WINDOW_UPDATE, 1, 100) * 50)
    assert [len(payload) for _, _, payload in peer.of_kind(Kind.DATA)] == [5000]


def integer(value: int, prefix: int, bits: int) -> bytes:
    mask = (1 << prefix) - 1
    if value < mask:
        return bytes((bits | value,))
    out, value = bytes((bits | mask,)), value - mask
    while value >= 128:
        out, value = out + bytes((value & 127 | 128,)), value >> 7
    return out + bytes((value,))


def literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + integer(len(name), 7, 0) + name + integer(len(value), 7, 0) + value


HEAD = b"\x82\x87\x84\x01\x01a"  # GET https / of the authority a


async def pour_block(peer: Raw, block: bytes, stream: int = 1) -> None:
    """Send a block in as few frames as it takes, its last one at the end."""
    parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    for i, part in enumerate(parts):
        flags = (Flag.END_STREAM if i == 0 else 0) | (Flag.END_HEADERS if i + 1 == len(parts) else 0)
        await peer.pour(frame(Kind.CONTINUATION if i else Kind.HEADERS, flags, stream, part))


@pytest.mark.parametrize("field", [b"\x7e\x00", b"\x0f\x2f\x00"], ids=["indexed", "not indexed"])
@run
async def test_a_long_name_that_half_a_million_fields_refer_to(field: bytes) -> None:
    """Each looked at every character of the name, also when the list had long been too large."""
    peer = Raw()
    name = b"n" * 4000
    block = HEAD + b"\x40" + integer(4000, 7, 0) + name + b"\x00" + field * (1_030_000 // len(field))
    await pour_block(peer, block)
    assert calmed(peer) and not peer.seen and most(peer) <= TURN + PIECE


@run
async def test_a_list_that_is_too_large_keeps_the_table_in_step() -> None:
    peer = Raw()
    many = b"".join(b"\x40\x04n%03d\x01v" % (i % 1000) for i in range(5000))
    await pour_block(peer, HEAD + many + b"\x00\x01s\x01v" * 100)
    assert peer.status(1) == 431
    await pour_block(peer, HEAD + b"\xbe\xbf", 3)  # the two newest entries
    assert peer.status(3) == 200 and peer.seen[0].all_headers[1:] == [("n999", "v"), ("n998", "v")]


@run
async def test_blocks_of_many_connections_that_end_together() -> None:
    """The blocks are decoded in turns, and what others want is done between these."""
    first = Raw()
    peers: list[Raw] = [first, *(first.another() for _ in range(19))]
    block = HEAD + b"".join(literal(b"n%d" % i, b"v" * 200) for i in range(4000))
    for peer in peers:
        parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
        peer.send(
            frame(Kind.HEADERS, Flag.END_STREAM, 1, parts[0]),
            *(frame(Kind.CONTINUATION, 0, 1, p) for p in parts[1:-1]),
        )
    for peer in peers:
        peer.send(frame(Kind.CONTINUATION, Flag.END_HEADERS, 1, parts[-1]))
    line, other = first.http1.service.line, first.another()
    assert line.used <= ROUND + TURN + 20 * 50_000 and len(line) >= 18
    other.ask()
    assert other.status() == 200, "it is answered at once"
    turns = 0
    while len(line) or not all(peer.answers_of() for peer in peers):
        turns += 1
        await asyncio.sleep(0)
        assert line.used <= ROUND + TURN and turns < 10_000
    await asyncio.sleep(0)  # what the last one has queued goes out
    await asyncio.sleep(0)
    assert all(peer.status() == 200 for peer in peers)
    assert sorted(len(request.all_headers) for request in first.seen) == [1] + [4001] * 20
    assert not any(peer.transport.reading_paused for peer in peers)


def test_cookies_are_joined_in_linear_time() -> None:
    """RFC 9113, 8.2.3: they come one by one. Two bytes can name an entry of the table."""

    @run
    async def crumbs(block: bytes) -> None:
        peer = Raw()
        await pour_block(peer, HEAD + b"\x60" + integer(200, 7, 0) + b"c" * 200 + block)
        assert len(peer.seen[0].headers["cookie"]) == (len(block) + 1) * 202 - 2

    few, many = (seconds(crumbs, lambda size: b"\xbe" * size, size) for size in (1000, 4000))
    assert many < 8 * few + 0.004, "sixteen times as long if each is added to those before it"


@run
async def test_a_peer_that_does_not_read_is_not_read_either() -> None:
    peer = Raw(room=5000)
    flood = frame(Kind.PING, 0, 0, b"12345678") * 7000
    with bounded(3):
        peer.send(flood)
        for _ in range(50):
            await asyncio.sleep(0)
    assert peer.transport.reading_paused and most(peer) <= TURN + PIECE
    while len(peer.of_kind(Kind.PING)) < 7000:
        peer.transport.drain()
        await asyncio.sleep(0)
    peer.transport.drain()
    assert not peer.transport.reading_paused and not peer.transport.closed


def streams() -> st.SearchStrategy[int]:
    return st.integers(0, 40).map(lambda i: 2 * i + 1)


def frames() -> st.SearchStrategy[tuple[bytes, int]]:
    """Frames of any kind, most of them right, and how often each is sent."""
    values = st.one_of(st.integers(0, 100), st.sampled_from([0, 65535, 2**31 - 1, 2**31]))
    entry = st.builds(lambda name, value: struct.pack(">HI", name, value), st.integers(1, 6), values)
    heads = [
        HEAD,
        b"\x83\x87\x84\x01\x01a",
        HEAD + b"\xbe" * 300,
        HEAD + literal(b"x", b"v" * 3000),
        b"\xff\xff",
    ]
    heads.append(HEAD + b"\x40" + integer(3000, 7, 0) + b"n" * 3000 + b"\x00" + b"\x7e\x00" * 500)
    one = st.one_of(
        st.builds(lambda *entries: frame(Kind.SETTINGS, 0, 0, b"".join(*entries)),
                  st.lists(entry, max_size=64)),
        st.builds(lambda stream, size: number(Kind.WINDOW_UPDATE, stream, size),
                  st.one_of(st.just(0), streams()), values),
        st.builds(lambda stream: number(Kind.RST_STREAM, stream, Code.CANCEL), streams()),
        st.builds(lambda stream, size, flags: frame(Kind.DATA, flags, stream, b"d" * size), streams(),
                  st.integers(0, 300), st.sampled_from([0, 0, 0, Flag.END_STREAM])),
        st.builds(lambda kind, stream, payload, flags: frame(kind, flags, stream, payload),
                  st.integers(0, 12),
                  streams(), st.binary(max_size=20), st.integers(0, 40)),
        st.just(frame(Kind.PING, 0, 0, b"12345678")),
        st.just(frame(Kind.PRIORITY, 0, 1, b"\0\0\0\0\1")),
    )  # fmt: skip
    opening = st.builds(lambda block, ends: frame(Kind.HEADERS, Flag.END_HEADERS | ends, 0x7FFF, block),
                        st.sampled_from(heads), st.integers(0, 1))  # fmt: skip
    counts = st.sampled_from([1, 1, 3, 100, 3000])
    return st.one_of(st.tuples(one, counts), st.tuples(opening, st.integers(1, 60)))


def numbered(data: bytes) -> bytes:
    """Give the streams that are opened numbers that grow."""
    out, at, following = [], 0, 1
    while at + 9 <= len(data):
        size = int.from_bytes(data[at : at + 3])
        head, payload = data[at : at + 9], data[at + 9 : at + 9 + size]
        if head[3] == Kind.HEADERS and head[5:] == b"\0\0\x7f\xff":
            head, following = head[:5] + struct.pack(">I", following), following + 2
        out.append(head + payload)
        at += 9 + size
    return b"".join(out) + data[at:]


@settings(max_examples=30 * SCALE, deadline=None)
@given(st.lists(frames(), min_size=1, max_size=12),
       st.lists(st.integers(1000, 128 * 1024), min_size=1, max_size=6),
       st.sampled_from(["at once", "later", "window"]))  # fmt: skip
def test_any_frames_cut_anywhere(parts: list[tuple[bytes, int]], cuts: list[int], how: str) -> None:
    """No callback works for longer than its turn, and memory grows with what is received."""
    body = b"x" * (50_000 if how == "window" else 100)

    def handler(_: Request) -> Any:
        return never(_) if how == "later" else Response(200, body)

    data = numbered(b"".join(part * count for part, count in parts)[:200_000])

    async def one() -> None:
        peer = Raw(
            handler, Limits(streams=100), settings=struct.pack(">HI", 4, 0) if how == "window" else b""
        )
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            at, turn = 0, 0
            while at < len(data) and not peer.transport.closed:
                size = cuts[turn % len(cuts)]
                await peer.pour(data[at : at + size])
                assert peer.protocol.units <= TURN + PIECE
                peer.transport.writes.clear()
                peer.seen.clear()
                at, turn = at + size, turn + 1
            await asyncio.sleep(0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most(peer) <= TURN + PIECE
        assert peak - before <= STREAM * 100 + PER_BYTE * min(at, len(data)) + REST

    asyncio.run(one())
