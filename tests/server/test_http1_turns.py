"""The work of an HTTP/1.1 connection in one callback is bounded by units of work; see `_turns`."""

import asyncio
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from server.fake_transport import Peer, run

from pilothouse.server.http1 import Limits
from pilothouse.server.request import Request, Response

TURN, ROUND, SLICE = 1_000_000, 2_000_000, 700_000
"""Units of a turn, and the most that the parser does with 8 KiB before it is asked again."""

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def most(peer: Peer) -> int:
    """The most units that were used in one turn of the loop."""
    return int(peer.http1.service.line.most)


async def pour(peer: Peer, data: bytes) -> None:
    """Send as a socket does: nothing more while the server does not read."""
    peer.send(data)
    for _ in range(10_000):
        if not peer.transport.reading_paused or peer.transport.closed:
            break
        await asyncio.sleep(0)


@run
async def test_forty_thousand_chunks_of_a_byte() -> None:
    peer = Peer()
    peer.send(CHUNKED + b"1\r\nx\r\n" * 40_000 + b"0\r\n\r\n" + GET)
    assert not peer.seen and peer.transport.reading_paused and peer.http1.service.unfinished.held > 100_000
    other = peer.another().send(GET)
    assert other.answers()[0][0] == 200, "it is answered at once"
    await pour(peer, b"")
    assert [len(request.body) for request in peer.seen] == [0, 40_000, 0] and len(peer.answers()) == 2
    assert most(peer) <= TURN + SLICE and peer.http1.service.unfinished.held == 0


@run
async def test_many_connections_with_chunks_of_a_byte_together() -> None:
    first = Peer()
    peers = [first.another() for _ in range(100)]
    for peer in peers:
        peer.send(CHUNKED + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n")
    line = first.http1.service.line
    assert line.used <= ROUND + TURN + 100 * 50_000 and len(line) > 95
    turns = 0
    while len(line) or len(first.seen) < len(peers):
        await asyncio.sleep(0)
        assert line.used <= ROUND + SLICE and turns < 10_000
        turns += 1
    assert len(first.seen) == 100 and turns > 20


@run
async def test_a_head_of_many_headers_is_read_in_turns() -> None:
    head = POST + b"a:b\r\n" * 4000 + b"Content-Length: 2\r\n\r\nhi"
    peer = Peer()
    await pour(peer, head)
    assert len(peer.seen[0].all_headers) == 4002 and peer.seen[0].body == b"hi"
    await pour(peer, POST + b"a:b\r\n" * 50_000)
    assert peer.answers()[1][0] == 431 and most(peer) <= TURN + SLICE


@run
async def test_a_long_body_with_a_length_is_parsed_in_one_piece() -> None:
    peer = Peer().send(POST + b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000)
    assert len(peer.seen[0].body) == 300_000 and not peer.transport.reading_paused


@run
async def test_what_waits_for_the_judgement_of_a_head_is_not_parsed() -> None:
    verdict: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def admit(_: Request) -> None:
        await verdict

    peer = Peer(admit=admit)
    peer.send(CHUNKED + b"10000\r\n" + b"x" * 65536 + b"\r\n" + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")
    for _ in range(100):
        await asyncio.sleep(0)
    assert peer.transport.reading_paused
    verdict.set_result(None)
    await pour(peer, b"")
    assert len(peer.seen[0].body) == 85_536 and not peer.transport.reading_paused


@run
async def test_requests_that_follow_an_answer_that_takes_time() -> None:
    gate: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    async def later() -> Response:
        return await gate

    first = True

    def handler(_: Request) -> Any:
        nonlocal first
        now, first = first, False
        return later() if now else Response(200, b"{}")

    peer = Peer(handler)
    peer.send(GET + CHUNKED + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n" + GET * 50)
    for _ in range(50):
        await asyncio.sleep(0)
    assert peer.transport.reading_paused and not peer.transport.sent
    gate.set_result(Response(200, b"{}"))
    await asyncio.sleep(0)
    await pour(peer, b"")
    assert len(peer.seen) == 52 and len(peer.answers()) == 52 and len(peer.seen[1].body) == 10_000


@pytest.mark.parametrize("how", ["lost", "drained"])
@run
async def test_a_connection_that_ends_while_it_waits_for_its_turn(how: str) -> None:
    peer = Peer().send(CHUNKED + b"1\r\nx\r\n" * 40_000)
    if how == "lost":
        peer.lose()
    else:
        assert not await peer.http1.drain(0.01)
    for _ in range(10):
        await asyncio.sleep(0)
    if how == "lost":
        assert peer.http1.service.unfinished.held == 0 and not len(peer.http1.service.line)


def messages() -> st.SearchStrategy[bytes]:
    chunk = st.builds(lambda size: b"%x\r\n%b\r\n" % (size, b"x" * size), st.sampled_from([1, 1, 2, 100]))
    chunked = st.lists(st.tuples(chunk, st.sampled_from([1, 10, 3000])), max_size=3).map(
        lambda parts: CHUNKED + b"".join(part * count for part, count in parts) + b"0\r\n\r\n"
    )
    plain = st.integers(0, 100_000).map(
        lambda size: POST + b"Content-Length: %d\r\n\r\n%b" % (size, b"y" * size)
    )
    wide = st.integers(0, 4000).map(lambda count: POST + b"a:b\r\n" * count + b"\r\n")
    return st.one_of(st.integers(1, 60).map(lambda count: GET * count), chunked, plain, wide)


@settings(max_examples=25 * SCALE, deadline=None)
@given(
    st.lists(messages(), min_size=1, max_size=4),
    st.lists(st.integers(1000, 256 * 1024), min_size=1, max_size=6),
)
def test_any_requests_cut_anywhere(parts: list[bytes], cuts: list[int]) -> None:
    """The requests are the same however they are cut, and no callback works for longer than its turn."""

    async def one() -> list[tuple[int, int]]:
        peer, data = Peer(limits=Limits(body_bytes=1 << 24)), b"".join(parts)
        at = turn = 0
        while at < len(data):
            size = cuts[turn % len(cuts)]
            await pour(peer, data[at : at + size])
            assert peer.protocol.units <= TURN + SLICE
            at, turn = at + size, turn + 1
        turns = 0
        while peer.http1.service.unfinished.held and turns < 10_000:
            turns += 1
            await asyncio.sleep(0)
        assert most(peer) <= TURN + SLICE and peer.http1.service.unfinished.held == 0
        return [(len(request.all_headers), len(request.body)) for request in peer.seen]

    async def whole() -> list[tuple[int, int]]:
        peer = Peer(limits=Limits(body_bytes=1 << 24))
        for part in parts:
            for at in range(0, len(part), 4096):
                await pour(peer, part[at : at + 4096])
        for _ in range(3):
            await asyncio.sleep(0)
        return [(len(request.all_headers), len(request.body)) for request in peer.seen]

    assert asyncio.run(one()) == asyncio.run(whole())
