"""Long bodies over HTTP/2: as few frames and writes as the peer allows, whatever its windows are."""

import asyncio
import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from server.fake_transport import run
from server.http2.peers import Code, Flag, Kind, Raw, frame, number

from pilothouse.api._json import Encoded
from pilothouse.endpoints.answers._listbody import ListBody
from pilothouse.server.request import Response

WIDE = struct.pack(">HI", 4, 0x7FFFFFFF)


def listed(count: int, *, typed: bool = False, seed: int = 1) -> ListBody:
    """A list of objects of some kilobytes each."""
    chance = random.Random(seed)
    entries = []
    for i in range(count):
        value = b'{"kind":"Pod","metadata":{"name":"%d","note":"%s"}}' % (i, b"n" * chance.randrange(9000))
        entries.append(Encoded(value, value.index(b'"metadata"')))
    return ListBody(b'{"kind":"PodList","items":[', entries, b"]}", typed)


async def turns(count: int = 40) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def data_frames(peer: Raw, stream: int) -> list[tuple[int, bytes]]:
    return [(flags, payload) for flags, one, payload in peer.of_kind(Kind.DATA) if one == stream]


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("count", [15, 200])
@run
async def test_a_list_is_what_its_slices_are(count: int, typed: bool) -> None:
    body = listed(count, typed=typed)
    peer = Raw(lambda _: Response(200, body))
    peer.ask()
    await turns()
    answer = peer.answers_of()[1]
    assert answer.body == b"".join(body) and len(answer.body) == body.size > 65536 and answer.ended
    assert answer.headers["content-length"] == str(body.size)
    sizes = [len(payload) for _, payload in data_frames(peer, 1)]
    assert sum(1 for size in sizes if size < 16384) <= len(peer.transport.writes), "the last of each write"
    assert data_frames(peer, 1)[-1][0] == Flag.END_STREAM and sizes[-1] > 0, "without an empty frame"


@run
async def test_writes_fill_whole_records_of_tls() -> None:
    peer = Raw(lambda _: Response(200, listed(300)))
    await turns()
    before = len(peer.transport.writes)
    peer.ask()
    await turns()
    *first, last = [len(data) for data in peer.transport.writes[before:]]
    assert first == [256 * 1024] * len(first) and len(first) >= 4 and last <= 256 * 1024


@pytest.mark.parametrize(("allowed", "used"), [(16384, 16384), (60_000, 60_000), ((1 << 24) - 1, 256 * 1024)])
@pytest.mark.parametrize("kind", ["list", "bytes", "pieces"])
@run
async def test_frames_are_as_large_as_the_peer_allows(kind: str, allowed: int, used: int) -> None:
    class Pieces:
        size = 700_000

        def __iter__(self) -> Iterator[bytes]:
            for at in range(0, 700_000, 100_000):
                yield b"%06d" % at * (100_000 // 6) + b"...."

    made: dict[str, Any] = {"list": listed(200), "bytes": bytes(range(256)) * 3000, "pieces": Pieces()}
    body = made[kind]
    peer = Raw(lambda _: Response(200, body), settings=WIDE + struct.pack(">HI", 5, allowed))
    peer.longest = allowed
    peer.send(number(Kind.WINDOW_UPDATE, 0, 1 << 24))
    peer.ask()
    await turns()
    assert peer.answers_of()[1].body == (body if isinstance(body, bytes) else b"".join(body))
    most = max(len(payload) for _, payload in data_frames(peer, 1))
    assert used - 9 * 20 <= most <= used if kind != "pieces" else 16384 <= most <= used


@pytest.mark.parametrize("seed", range(4))
@run
async def test_a_list_uses_its_windows_and_no_more(seed: int) -> None:
    chance = random.Random(seed)
    body = listed(60, seed=seed)
    peer = Raw(lambda _: Response(200, body), settings=struct.pack(">HI", 4, 0))
    peer.send(number(Kind.WINDOW_UPDATE, 0, 1 << 24))
    peer.ask()
    await turns()
    given, sent = 0, 0
    while sent < body.size:
        more = chance.choice((1, 100, 16384, 16385, 40_000, 300_000))
        peer.send(number(Kind.WINDOW_UPDATE, 1, more))
        await turns(4)
        given += more
        sent = sum(len(payload) for _, payload in data_frames(peer, 1))
        assert sent == min(given, body.size)
    answer = peer.answers_of()[1]
    assert answer.body == b"".join(body) and answer.ended


@run
async def test_lists_of_several_streams_share_the_connection() -> None:
    bodies = {f"/{i}": listed(400, seed=i) for i in range(3)}
    peer = Raw(lambda request: Response(200, bodies[request.path]), room=300_000)
    for path in bodies:
        peer.ask("GET", path)
    for _ in range(60):
        await turns(4)
        peer.transport.drain()
    answers = peer.answers_of()
    assert [answers[2 * i + 1].body == b"".join(bodies[f"/{i}"]) for i in range(3)] == [True] * 3
    order = [one for _, one, _ in peer.of_kind(Kind.DATA)]
    assert order.index(5) < len(order) - order[::-1].index(1), "the third begins before the first has ended"


@run
async def test_small_frames_of_many_streams_follow_a_large_one() -> None:
    bodies = {f"/{i}": listed(40, seed=i) for i in range(20)}
    peer = Raw(lambda request: Response(200, bodies[request.path]), settings=struct.pack(">HI", 4, 0))
    peer.send(number(Kind.WINDOW_UPDATE, 0, 1 << 24))
    streams = {peer.ask("GET", path): body for path, body in bodies.items()}
    await turns()
    for first in (80_000, 64, 1 << 20):
        rest = 64 if first == 80_000 else first
        peer.send(b"".join(number(Kind.WINDOW_UPDATE, one, first if one == 1 else rest) for one in streams))
        await turns(4)
    answers = peer.answers_of()
    assert [answers[one].body == b"".join(body) for one, body in streams.items()] == [True] * 20
    assert [one for _, one, data in peer.of_kind(Kind.DATA) if len(data) == 64][:19] == list(streams)[1:]


@run
async def test_a_list_that_its_peer_leaves_is_not_read_further() -> None:
    ended: list[tuple[int, object]] = []
    response = Response(200, listed(300))
    response.on_done = lambda size, error: ended.append((size, type(error)))
    peer = Raw(lambda _: response, room=300_000)
    peer.ask()
    await turns()
    sent = sum(len(payload) for _, payload in data_frames(peer, 1))
    peer.send(frame(Kind.RST_STREAM, 0, 1, struct.pack(">I", 8)))
    peer.transport.drain()
    await turns()
    assert ended == [(sent, ConnectionResetError)] and 0 < sent < 600_000
    assert sum(len(payload) for _, payload in data_frames(peer, 1)) == sent


@pytest.mark.parametrize("first", [0, 1])
@run
async def test_a_list_of_which_the_peer_takes_a_byte_at_a_time_ends_with_the_connection(first: int) -> None:
    """The allowance of glitches is used up while the list is read."""
    ended: list[tuple[int, object]] = []
    response = Response(200, listed(60))
    response.on_done = lambda size, error: ended.append((size, type(error)))
    peer = Raw(lambda _: response, settings=struct.pack(">HI", 4, first), clock=lambda: 1.0)
    peer.send(number(Kind.WINDOW_UPDATE, 0, 1 << 24))
    await peer.pour(
        *[frame(Kind.PING, 0, 0, b"12345678") * 1000] * 9, *[frame(Kind.PING, 0, 0, bytes(8))] * 999
    )
    assert not peer.transport.closed
    peer.send(frame(Kind.PING, 0, 0, bytes(8)) if first else b"")
    peer.ask()
    await turns()
    peer.send(b"" if first else number(Kind.WINDOW_UPDATE, 1, 1))
    assert peer.transport.closed and [code for _, code in peer.goaways()] == [Code.ENHANCE_YOUR_CALM]
    assert ended == [(1, ConnectionAbortedError)]
