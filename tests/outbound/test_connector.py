"""Answers of other servers that make much work with few bytes are read in turns, and end at Go's bounds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from server.fake_transport import FakeTransport, run

from pilothouse.outbound.connector import AnswerReader
from pilothouse.outbound.http import CHUNK, Answer, ClientError, Outbound
from pilothouse.outbound.portions import AHEAD, INFORMATIONAL
from pilothouse.server._turns import Line

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SINGLE = b"1\r\nx\r\n"
TURN = 1_000_000
OVER = 64 * 3_000 + 16 * 1024
"""Units above a turn that a portion may cost."""


@asynccontextmanager
async def asking(raw: bytes, *, close: bool = False) -> AsyncIterator[tuple[Outbound, Callable[[], object]]]:
    """A client of a server that answers every request so, and what asks it."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(raw)
                await writer.drain()
                if close:
                    return
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    outbound = Outbound()
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield outbound, lambda: outbound.open("GET", url, timeout=30)
    finally:
        await outbound.close()
        server.close()
        for writer in writers:
            writer.close()


@run
async def test_informational_answers_are_counted() -> None:
    few = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * INFORMATIONAL
    async with asking(few + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as (_, ask):
        for _ in range(3):
            answer: Answer = await ask()  # type: ignore[misc]
            assert answer.status == 200 and await answer.read(10) == b"ok"


@pytest.mark.parametrize("interim", [b"HTTP/1.1 103 x\r\n\r\n", b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n"])
@run
async def test_informational_answers_without_end(interim: bytes) -> None:
    async with asking(interim * 100_000) as (outbound, ask):
        with pytest.raises(ClientError, match="too many 1xx informational responses"):
            await ask()  # type: ignore[misc]
        assert outbound.line.most < 2_100_000


@pytest.mark.parametrize("close", [False, True])
@run
async def test_chunks_of_one_byte_are_read_in_turns(close: bool) -> None:
    async with asking(CHUNKED + SINGLE * 40_000 + b"0\r\n\r\n", close=close) as (outbound, ask):
        answer: Answer = await ask()  # type: ignore[misc]
        longest = 0
        body = b""
        async for piece in answer.pieces():
            longest = max(longest, len(piece))
            body += piece
        assert body == b"x" * 40_000 and longest < 3000, "what aiohttp keeps for a slow reader"
        assert outbound.line.deferred > 100 and outbound.line.most < 2_100_000


@run
async def test_a_slow_reader_of_small_chunks_holds_the_other_side_back() -> None:
    async with asking(CHUNKED + SINGLE * 400_000 + b"0\r\n\r\n") as (_, ask):
        answer: Answer = await ask()  # type: ignore[misc]
        connection = answer._response.connection
        assert connection is not None
        protocol = connection.protocol
        assert isinstance(protocol, AnswerReader)
        for _ in range(300):
            await asyncio.sleep(0)
        assert protocol._portions.held < 3 * AHEAD
        assert len(await answer.read(1 << 20)) == 400_000


@run
async def test_a_long_body_is_read_as_it_comes() -> None:
    data = bytes(range(256)) * 8192
    async with asking(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data) as (_, ask):
        answer: Answer = await ask()  # type: ignore[misc]
        assert await answer.read(1 << 22) == data
        answer = await ask()  # type: ignore[misc]
        assert max([len(piece) async for piece in answer.pieces()]) > CHUNK // 4


@run
async def test_a_body_that_ends_with_its_connection_is_whole() -> None:
    body = b"a\n" * 100_000
    async with asking(b"HTTP/1.1 200 OK\r\n\r\n" + body, close=True) as (_, ask):
        answer: Answer = await ask()  # type: ignore[misc]
        assert await answer.read(1 << 20) == body


@run
async def test_what_follows_an_answer_ends_the_connection() -> None:
    """Bytes behind an answer must not be taken for the answer to the next request."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with asking(raw + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad" * 2000) as (_, ask):
        for _ in range(3):
            answer: Answer = await ask()  # type: ignore[misc]
            assert await answer.read(10) == b"ok"


@run
async def test_bytes_that_wait_when_the_connection_is_given_up_are_dropped() -> None:
    line = Line(asyncio.get_running_loop())
    answers, transport = AnswerReader(line), FakeTransport()
    answers.connection_made(transport)
    answers.set_response_params()
    answers.data_received(CHUNKED + SINGLE * 40_000)
    answers.connection_lost(None)
    assert answers.should_close and answers._portions.held
    answers.close()
    assert not answers._portions.held and answers.transport is None
    line.run()


@pytest.mark.parametrize("length", ["9223372036854775808", "18446744073709551615", "1" * 5000])
@run
async def test_a_length_that_go_does_not_read_ends_the_request(length: str) -> None:
    """Of 63 bits at most, whatever the limit of who reads the body."""
    async with asking(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nx".encode()) as (_, ask):
        with pytest.raises(ClientError):
            await ask()  # type: ignore[misc]


@run
async def test_the_longest_length_is_refused_by_who_reads() -> None:
    async with asking(b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nx") as (_, ask):
        answer: Answer = await ask()  # type: ignore[misc]
        with pytest.raises(ClientError, match="longer than 10 bytes"):
            await answer.read(10)
