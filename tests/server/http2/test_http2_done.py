"""`Response.on_done` over HTTP/2: called exactly once for every answer of a handler, however it ends."""

import asyncio
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from server.fake_transport import run
from server.http2.peers import PREFACE, Code, Flag, Kind, Raw, fields, frame, number

from pilothouse.server.http1 import Limits
from pilothouse.server.request import Request, Response, Stream


class Parts:
    """A body in parts, the last of which may fail."""

    def __init__(self, parts: list[bytes], fails: bool = False) -> None:
        self.parts, self.fails = parts, fails
        self.size = sum(map(len, parts))

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        if self.fails:
            raise ValueError("boom")


class Ends:
    """Answers by path, and keeps how each answer has ended: (bytes of the body, error)."""

    def __init__(self) -> None:
        self.given: list[Response] = []
        self.ended: list[list[tuple[int, BaseException | None]]] = []
        self.streams: list[Stream] = []
        self.waiting: list[asyncio.Future[None]] = []
        self.closed = self.opened = 0

    def __call__(self, request: Request) -> Any:
        if request.path.startswith("/later"):
            return self.later(request)
        return self.watch(self.answer(request.path.removeprefix("/later")))

    async def later(self, request: Request) -> Response:
        self.waiting.append(asyncio.get_running_loop().create_future())
        await self.waiting[-1]
        return self.watch(self.answer(request.path.removeprefix("/later")))

    def watch(self, response: Response) -> Response:
        ends: list[tuple[int, BaseException | None]] = []
        self.given.append(response)
        self.ended.append(ends)
        response.on_done = lambda sent, error: ends.append((sent, error))
        return response

    def answer(self, path: str) -> Response:
        match path:
            case "/watch":
                return Response(200, start=self.start)
            case "/long":
                return Response(200, [b"l" * 50_000] * 6)
            case "/lazy":
                return Response(200, Parts([b"z" * 90_000] * 4))
            case "/fails":
                return Response(200, Parts([b"z" * 90_000] * 2, fails=True))
            case "/bad":
                return Response(200, headers=[("x", 5)])  # type: ignore[list-item]
            case "/empty":
                return Response(204)
            case "/close":
                return Response(200, b"x", headers=[("Connection", "close")])
        return Response(200, b"x" * 100)

    def start(self, stream: Stream) -> None:
        self.streams.append(stream)
        self.opened += 1

        def closed() -> None:
            self.closed += 1

        stream.on_close(closed)
        stream.on_drain(lambda: stream.write(b"d") if self.closed < self.opened else None)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def window(size: int) -> bytes:
    return struct.pack(">HI", 4, size)


@pytest.mark.parametrize("size", [0, 10, 65536, 65537, 400_000])
@run
async def test_bytes(size: int) -> None:
    ends = Ends()
    peer = Raw(lambda _: ends.watch(Response(200, b"x" * size)))
    peer.ask()
    await turns()
    assert len(peer.answers_of()[1].body) == size and ends.ended == [[(size, None)]]
    peer.lose()
    assert ends.ended == [[(size, None)]]


@run
async def test_a_peer_that_leaves_within_a_body_and_one_that_resets_it() -> None:
    ends = Ends()
    peer = Raw(ends, settings=window(70_000))
    peer.ask("GET", "/long")
    peer.send(number(Kind.WINDOW_UPDATE, 0, 1 << 20))
    peer.ask("GET", "/lazy")
    await turns()
    assert ends.ended == [[], []]
    peer.send(number(Kind.RST_STREAM, 1, Code.CANCEL))
    peer.protocol.connection_lost(TimeoutError("gone"))
    (first,), (second,) = ends.ended
    assert first[0] == second[0] == 70_000
    assert isinstance(first[1], ConnectionResetError) and isinstance(second[1], TimeoutError)


@run
async def test_a_part_that_fails_resets_the_stream_alone(caplog: pytest.LogCaptureFixture) -> None:
    ends = Ends()
    peer = Raw(ends)
    peer.ask("GET", "/fails")
    peer.ask("GET", "/")
    await turns(20)
    assert peer.resets() == {1: 2} and peer.status(3) == 200 and "boom" in caplog.text
    assert isinstance(ends.ended[0][0][1], ValueError) and ends.ended[1] == [(100, None)]


@run
async def test_streams() -> None:
    ends = Ends()
    peer = Raw(ends)
    for _ in range(3):
        peer.ask("GET", "/watch")
    await turns()
    for stream in ends.streams:
        stream.write(b"seen")
    ends.streams[0].close()
    ends.streams[1].abort()
    await turns()
    peer.send(number(Kind.RST_STREAM, 5, Code.CANCEL))
    sent = [end[0][0] for end in ends.ended]
    assert sent == [4, 4, 4] and ends.closed == 3
    assert [type(end[0][1]) for end in ends.ended] == [
        type(None),
        ConnectionAbortedError,
        ConnectionResetError,
    ]
    assert peer.answers_of()[1].ended and peer.resets() == {3: 2}


@run
async def test_an_awaited_answer_that_comes_too_late() -> None:
    ends = Ends()
    ready = asyncio.get_running_loop().create_future()

    async def stubborn(_: Request) -> Response:
        try:
            await ready
        except asyncio.CancelledError:
            pass
        return ends.watch(Response(200, b"x"))

    peer = Raw(stubborn)
    peer.ask()
    await turns()
    peer.send(number(Kind.RST_STREAM, 1, Code.CANCEL))
    await turns()
    ((sent, error),) = ends.ended[0]
    assert sent == 0 and isinstance(error, ConnectionResetError) and not peer.of_kind(Kind.HEADERS)


@run
async def test_the_end_of_the_server() -> None:
    ends = Ends()
    peer = Raw(ends)
    peer.ask("GET", "/watch")
    peer.ask("GET", "/later")
    await turns()
    assert await peer.http1.drain(0.01) is False
    peer.protocol.connection_lost(None)
    await turns()
    assert (
        peer.transport.aborted and isinstance(ends.ended[0][0][1], ConnectionResetError) and ends.closed == 1
    )


PATHS = [
    "/",
    "/watch",
    "/long",
    "/lazy",
    "/fails",
    "/bad",
    "/empty",
    "/close",
    "/later",
    "/later/watch",
    "/later/long",
]
numbers = st.integers(0, 12)
steps = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(PATHS)),
    st.tuples(st.just("post"), st.integers(0, 3)),
    st.tuples(st.just("data"), numbers, st.integers(0, 20_000), st.booleans(), st.booleans()),
    st.tuples(st.just("reset"), numbers),
    st.tuples(st.just("window"), numbers, st.sampled_from([1, 1000, 100_000, 0x7FFFFFFF])),
    st.tuples(st.just("settings"), st.sampled_from([0, 100, 65535, 1 << 20])),
    st.tuples(st.just("write"), st.integers(0, 3), st.sampled_from([1, 5000, 200_000])),
    st.tuples(st.just("close"), st.integers(0, 3)),
    st.tuples(st.just("abort"), st.integers(0, 3)),
    st.tuples(st.just("answer"), st.integers(0, 3)),
    st.tuples(st.just("turn")),
    st.tuples(st.just("drain")),
    st.tuples(st.just("sweep"), st.sampled_from([1, 40, 100])),
    st.tuples(st.just("ping")),
    st.tuples(st.just("trailers"), numbers),
    st.tuples(st.just("leave")),
    st.tuples(st.just("service drain")),
)


def take(peer: Raw, ends: Ends, clock: list[float], step: tuple[Any, ...]) -> None:
    """Do one step of a test."""
    match step:
        case ("ask", path):
            peer.send(peer.head(of=fields("GET", path)))
        case ("post", kind):
            more = (
                [],
                [("content-length", "9")],
                [("expect", "100-continue")],
                [("content-length", "100000")],
            )[kind]
            peer.send(peer.head(ends=False, of=fields("POST", "/long", *more)))
        case ("data", stream, size, last, padded):
            payload = b"\5" + b"d" * size if padded else b"d" * size
            flags = (Flag.END_STREAM if last else 0) | (Flag.PADDED if padded else 0)
            peer.send(frame(Kind.DATA, flags, 2 * stream + 1, (payload + b"\0" * 5)[:16384]))
        case ("reset", stream):
            peer.send(number(Kind.RST_STREAM, 2 * stream + 1, Code.CANCEL))
        case ("window", stream, size):
            peer.send(number(Kind.WINDOW_UPDATE, 2 * stream - 1 if stream else 0, size))
        case ("settings", size):
            peer.send(frame(Kind.SETTINGS, 0, 0, window(size)))
        case ("trailers", stream):
            peer.send(peer.head(stream=2 * stream + 1, of=[("x", "y")]))
        case ("ping",):
            peer.send(frame(Kind.PING, 1, 0, b"draining"), frame(Kind.PING, 0, 0, b"12345678"))
        case ("write", which, size) if which < len(ends.streams):
            ends.streams[which].write(b"e" * size)
        case ("close", which) if which < len(ends.streams):
            ends.streams[which].close()
        case ("abort", which) if which < len(ends.streams):
            ends.streams[which].abort()
        case ("answer", which) if which < len(ends.waiting) and not ends.waiting[which].done():
            ends.waiting[which].set_result(None)
        case ("drain",):
            peer.transport.drain()
        case ("sweep", seconds):
            clock[0] += seconds
            peer.http1.service.sweep()
        case ("service drain",):
            peer.http1.service.drain()


@settings(max_examples=250 * SCALE)
@given(steps=st.lists(steps, max_size=25), room=st.sampled_from([500, 100_000, 1 << 40]), wide=st.booleans())
def test_exactly_once_whatever_happens(steps: list[tuple[Any, ...]], room: int, wide: bool) -> None:
    async def check() -> None:
        ends, clock = Ends(), [1000.0]
        limits = Limits(body_budget=100_000, unfinished_budget=100_000)
        admit = (lambda r: None) if wide else None
        peer = Raw(ends, limits, room, admit, lambda: clock[0], window(1 << 20) if wide else window(200))
        for step in steps:
            if peer.transport.closed or step[0] == "leave":
                break
            if step[0] == "turn":
                await turns()
            elif (
                step[0] in ("write", "close", "abort", "answer", "drain", "sweep")
                or not peer.transport.reading_paused
            ):
                take(peer, ends, clock, step)
            assert all(len(end) <= 1 for end in ends.ended)
        await turns()
        peer.lose()
        for future in ends.waiting:
            if not future.done():
                future.set_result(None)
        await turns()
        assert all(len(end) == 1 for end in ends.ended), (steps, ends.ended)
        for response, ((sent, error),) in zip(ends.given, ends.ended, strict=True):
            body = response.body
            if error is None and response.start is None and response.status != 204:
                assert sent == (len(body) if isinstance(body, bytes) else sum(map(len, body)))
        assert ends.opened == ends.closed
        service, shared = peer.http1.service, peer.http2.shared
        assert service.bodies.reserved == 0 and service.unfinished.held == 0
        assert service.open == 0 and not shared.connections and shared.open_streams == 0
        peer.http1.close()

    asyncio.run(check())


GOOD = PREFACE + frame(Kind.SETTINGS) + frame(Kind.HEADERS, 5, 1, b"\x82\x84\x87")
garbage = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.one_of(
            st.builds(
                frame,
                st.integers(0, 12),
                st.integers(0, 255),
                st.integers(0, 9),
                st.one_of(
                    st.binary(max_size=40), st.sampled_from([b"\x82\x84\x87", b"\0\0\0\1", b"12345678"])
                ),
            ),
            st.sampled_from(
                [frame(kind, 5, 3, b"\x82\x84\x87") for kind in (Kind.HEADERS, Kind.CONTINUATION)]
            ),
            st.sampled_from(
                [frame(Kind.GOAWAY, 0, 0, b"12345678"), frame(Kind.PRIORITY, Flag.END_HEADERS, 3, b"12345")]
            ),
        ),
        max_size=12,
    ).map(b"".join),
)


@settings(max_examples=250 * SCALE)
@given(data=garbage, cut=st.integers(1, 60), begun=st.booleans())
def test_garbage_is_refused_or_waited_for(data: bytes, cut: int, begun: bool) -> None:
    async def check() -> None:
        ends = Ends()
        peer = Raw(ends, settings=None)
        data_ = (GOOD if begun else b"") + data
        for at in range(0, len(data_), cut):
            if not peer.transport.closed:
                peer.send(data_[at : at + cut])
        await turns()
        peer.frames()
        assert not peer.transport.closed or peer.goaways()
        peer.lose()
        await turns()
        assert all(len(end) == 1 for end in ends.ended)
        assert peer.http1.service.unfinished.held == 0 and peer.http2.shared.open_streams == 0
        peer.http1.close()

    asyncio.run(check())
