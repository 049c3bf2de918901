"""`Response.on_done`: called exactly once for every answer of a handler, however it ends."""

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from server.fake_transport import FakeTransport, Peer, read_answers, run

from pilothouse.server.http1 import Limits
from pilothouse.server.request import Request, Response, Stream

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
GZIP = b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"
LONG = 400_000


def same(answer: Any, _: Request) -> Any:
    return answer


class Ends:
    """Gives out responses and keeps how each of them ended: (bytes of the body, error)."""

    def __init__(self) -> None:
        self.given = 0
        self.ended: dict[int, list[tuple[int, BaseException | None]]] = {}

    def watch(self, response: Response) -> Response:
        number = self.given
        self.given += 1
        self.ended[number] = []
        response.on_done = lambda sent, error: self.ended[number].append((sent, error))
        return response

    def handler(self, *args: Any, **kwargs: Any) -> Callable[[Request], Response]:
        return lambda _: self.watch(Response(*args, **kwargs))

    @property
    def only(self) -> tuple[int, BaseException | None]:
        """How the only answer has ended."""
        assert self.given == 1
        (end,) = self.ended[0]
        return end


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def until(done: Callable[[], bool]) -> None:
    for _ in range(2000):
        if done():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it takes too long")


class Built:
    """A body in parts, the last of which may fail."""

    def __init__(self, parts: list[bytes], fails: bool = False) -> None:
        self.parts, self.fails = parts, fails
        self.size = sum(map(len, parts))

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        if self.fails:
            raise ValueError("boom")


@pytest.mark.parametrize("size", [0, 10, 64 * 1024, 64 * 1024 + 1, LONG])
@run
async def test_bytes(size: int) -> None:
    ends = Ends()
    peer = Peer(ends.handler(200, b"x" * size)).send(GET)
    assert peer.answers()[0][2] == b"x" * size
    assert ends.only == (size, None)
    peer.lose()
    assert ends.only == (size, None)


@pytest.mark.parametrize("body", [[b"a" * 10, b"b"], [b"a" * 50_000] * 20, Built([b"c" * 100_000] * 10)])
@run
async def test_lists_and_pieces_end_after_the_last_part(body: Any) -> None:
    ends = Ends()
    whole = b"".join(body)
    peer = Peer(ends.handler(200, body), room=300_000).send(GET)
    while peer.protocol.is_answering():
        assert ends.ended[0] == [], "not before all is with the transport"
        peer.transport.drain()
        await turns()
    assert peer.answers()[0][2] == whole and ends.only == (len(whole), None)


@run
async def test_a_long_body_whose_peer_leaves() -> None:
    ends = Ends()
    peer = Peer(ends.handler(200, [b"a" * 50_000] * 20), room=300_000).send(GET)
    peer.lose()
    sent, error = ends.only
    assert sent == len(peer.transport.sent.partition(b"\r\n\r\n")[2]) > 0
    assert isinstance(error, ConnectionResetError)


@run
async def test_the_error_of_the_transport_is_passed_on() -> None:
    ends = Ends()
    peer = Peer(ends.handler(200, [b"a" * 50_000] * 20), room=300_000).send(GET)
    peer.protocol.connection_lost(TimeoutError("no answer to keep-alive"))
    assert isinstance(ends.only[1], TimeoutError)


@run
async def test_a_part_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    ends = Ends()
    peer = Peer(ends.handler(200, Built([b"c" * 300_000], fails=True))).send(GET)
    assert peer.transport.closed
    sent, error = ends.only
    assert sent == 300_000 and isinstance(error, ValueError)


@run
async def test_an_answer_that_cannot_be_written(caplog: pytest.LogCaptureFixture) -> None:
    ends = Ends()
    Peer(ends.handler(200, headers=[("x", 5)])).send(GET)
    sent, error = ends.only
    assert sent == 0 and isinstance(error, TypeError)


@pytest.mark.parametrize(
    ("request_", "status"), [(GET.replace(b"GET", b"HEAD"), 200), (GET, 204), (GET, 304)]
)
@pytest.mark.parametrize("start", [None, lambda stream: stream.close()])
@run
async def test_answers_without_body(request_: bytes, status: int, start: Any) -> None:
    ends = Ends()
    Peer(ends.handler(status, b"x" * LONG, start=start)).send(request_)
    assert ends.only == (0, None)


@run
async def test_compressed_bodies_count_as_sent() -> None:
    ends = Ends()
    peer = Peer(ends.handler(200, [b"%d" % i for i in range(100_000)])).send(GZIP)
    await until(lambda: bool(ends.ended[0]))
    ((_, headers, body),) = peer.answers()
    assert headers["content-encoding"] == "gzip" and ends.only == (len(body), None)


@run
async def test_a_compressed_body_whose_peer_leaves_or_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    ends = Ends()
    peer = Peer(ends.handler(200, b"z" * 20_000_000)).send(GZIP)
    peer.lose()
    assert isinstance(ends.only[1], ConnectionResetError)
    ends = Ends()
    peer = Peer(ends.handler(200, Built([b"c" * 300_000], fails=True))).send(GZIP)
    await until(lambda: bool(ends.ended[0]))
    assert isinstance(ends.only[1], ValueError) and peer.transport.closed


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@run
async def test_streams(version: bytes) -> None:
    def start(stream: Stream) -> None:
        streams.append(stream)
        stream.write(b"a" * 10)

    request = GET.replace(b"1.1", version)
    for how in ("close", "abort", "abort with", "lose", "lose later", "full"):
        ends, streams = Ends(), list[Stream]()
        peer = Peer(ends.handler(200, start=start), room=100_000 if how == "full" else 1 << 40).send(request)
        (stream,) = streams
        expected = 15
        if how != "lose":
            await turns()
        stream.write(b"b" * 5)
        if how == "close":
            stream.close()
            assert ends.ended[0] == [], "the end of the body is not with the transport yet"
            await turns()
        elif how == "abort":
            stream.abort()
        elif how == "abort with":
            stream.abort(ValueError("boom"))
        elif how == "lose":
            peer.lose()
            expected = 0
        elif how == "lose later":
            await turns()
            stream.write(b"c" * 1000)
            peer.lose()
        else:
            stream.write(b"c" * 300_000)
            await turns()
            peer.lose()
            expected = body_of(peer.transport.sent, version == b"1.1")
            assert 100_000 - 300 < expected < 300_000
        sent, error = ends.only
        kind = {"close": type(None), "abort": ConnectionAbortedError, "abort with": ValueError}
        assert (sent, type(error)) == (expected, kind.get(how, ConnectionResetError)), how
        if not peer.transport.closed and how == "close":
            peer.lose()
        assert len(ends.ended[0]) == 1


@run
async def test_a_stream_that_cannot_be_started(caplog: pytest.LogCaptureFixture) -> None:
    def start(stream: Stream) -> None:
        stream.write(b"abc")
        raise ValueError("boom")

    ends = Ends()
    Peer(ends.handler(200, start=start)).send(GET)
    sent, error = ends.only
    assert sent == 3 and isinstance(error, ValueError)


@run
async def test_an_awaited_answer_that_comes_after_the_peer_has_gone() -> None:
    ends = Ends()

    async def stubborn(_: Request) -> Response:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return ends.watch(Response(200, b"x"))

    peer = Peer(stubborn).send(GET)
    await turns()
    peer.lose()
    await turns()
    sent, error = ends.only
    assert sent == 0 and isinstance(error, ConnectionResetError)


@run
async def test_an_awaited_answer_that_is_ready_when_the_peer_goes() -> None:
    ends = Ends()
    future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    peer = Peer(lambda _: future).send(GET)
    future.set_result(ends.watch(Response(200, b"x")))
    peer.lose()
    await turns()
    assert ends.only[0] == 0 and isinstance(ends.only[1], ConnectionResetError)


@run
async def test_pipelined_answers_and_a_connection_that_dies() -> None:
    ends = Ends()
    peer = Peer(ends.handler(200, [b"a" * 50_000] * 20), room=300_000).send(GET * 3)
    peer.transport.drain()
    await turns(20)
    peer.lose()
    assert ends.given == len(peer.seen) and all(len(end) == 1 for end in ends.ended.values())


@run
async def test_what_a_transport_that_has_gone_does_not_take() -> None:
    class Gone(FakeTransport):
        def write(self, data: Any) -> None:
            raise RuntimeError("the handler is closed")

    for body in (b"x", [b"a" * 50_000] * 20):
        ends = Ends()
        peer = Peer(ends.handler(200, body))
        peer.connect(transport=Gone())
        peer.send(GET)
        peer.lose()
        assert ends.only[0] == 0 and isinstance(ends.only[1], ConnectionResetError)


@run
async def test_the_answer_of_a_judge() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 70_000
    ends = Ends()
    refused = ends.handler(403, b"no")
    peer = Peer(admit=refused).send(head)
    assert peer.answers()[0][0] == 403 and ends.only == (2, None)

    ends, future = Ends(), asyncio.get_running_loop().create_future()
    peer = Peer(admit=lambda _: future).send(head)
    peer.lose()
    await turns()
    assert future.cancelled() and ends.given == 0

    async def judge(_: Request) -> Response:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return ends.watch(Response(403, b"no"))

    peer = Peer(admit=judge).send(head)
    await turns()
    peer.lose()
    await turns()
    assert ends.only[0] == 0 and isinstance(ends.only[1], ConnectionResetError)


@run
async def test_the_answer_of_a_judge_that_waits_behind_another() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 70_000
    for how in ("answer", "lose"):
        ends, first = Ends(), asyncio.get_running_loop().create_future()
        peer = Peer(functools.partial(same, first), admit=ends.handler(403, b"no")).send(GET, head)
        assert ends.ended[0] == []
        if how == "lose":
            peer.lose()
            assert ends.only[0] == 0 and isinstance(ends.only[1], ConnectionResetError)
        else:
            first.set_result(Response(200, b"yes"))
            await turns()
            assert [a[0] for a in peer.answers()] == [200, 403] and ends.only == (2, None)


@run
async def test_the_end_of_the_server() -> None:
    ends, streams = Ends(), list[Stream]()
    peer = Peer(ends.handler(200, start=streams.append)).send(GET)
    await turns()
    await peer.http1.drain(0.001)
    assert peer.transport.aborted and ends.ended[0] == []
    peer.lose()
    assert ends.only[0] == 0 and isinstance(ends.only[1], ConnectionResetError)
    streams[0].close()
    await turns()
    assert len(ends.ended[0]) == 1


@run
async def test_what_on_done_raises_is_logged_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def broken(sent: int, error: BaseException | None) -> None:
        raise ValueError("boom")

    def handler(_: Request) -> Response:
        response = Response(200, bodies.pop())
        response.on_done = broken
        return response

    bodies = [b"a", b"b" * LONG, b"c"]
    peer = Peer(handler).send(GET * 3)
    await turns(20)
    assert [len(body) for _, _, body in peer.answers()] == [1, LONG, 1]
    assert caplog.text.count("A callback at the end of an answer failed") == 3 and not peer.transport.closed


def body_of(sent: bytes, chunked: bool) -> int:
    """Bytes of the last body in what was sent, whole or not."""
    body = sent.rpartition(b"HTTP/1.")[2].partition(b"\r\n\r\n")[2]
    if not chunked:
        return len(body)
    size = 0
    while match := re.match(rb"([0-9a-f]+)\r\n", body):
        length = int(match[1], 16)
        body = body[match.end() :]
        size += min(length, len(body))
        body = body[length + 2 :]
    return size


KINDS = ("bytes", "long", "list", "pieces", "gzip", "fails", "empty", "later", "stream", "stream", "stream")
ASK = st.tuples(st.just("ask"), st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
DO = st.tuples(
    st.sampled_from(("write", "much", "close", "abort", "answer", "drain", "turns", "turns", "finish")),
    st.integers(0, 9),
)
STEPS = st.builds(
    lambda *rounds: [step for ask, steps in rounds for step in (ask, *steps)],
    *[st.tuples(ASK, st.lists(DO, min_size=2, max_size=8))] * 4,
)


class Script:
    """A handler whose answers the test ends step by step; `asked` says which answer each request gets."""

    def __init__(self, room: int) -> None:
        self.ends = Ends()
        self.streams: list[Stream] = []
        self.futures: list[asyncio.Future[Response]] = []
        self.peer = Peer(self.handler, Limits(gzip_above=100_000), room=room)

    def handler(self, request: Request) -> "Response | Awaitable[Response]":
        kind = request.path[1:].replace("%20", " ")
        if kind.startswith("later"):
            future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
            self.futures.append(future)
            return future
        return self.response(kind)

    def response(self, kind: str) -> Response:
        bodies: dict[str, Any] = {
            "bytes": b"x" * 100,
            "long": b"x" * 90_000,
            "list": [b"x" * 30_000] * 40,
            "gzip": [b"x" * 30_000] * 40,
            "pieces": Built([b"x" * 100_000] * 9),
            "fails": Built([b"x" * 100_000] * 3, fails=True),
        }
        start = self.streams.append if kind == "stream" else None
        return self.ends.watch(Response(200, bodies.get(kind, b""), start=start))

    async def step(self, what: str, value: Any) -> None:
        streams = self.streams[value % len(self.streams) :] if self.streams and what != "ask" else []
        peer, transport = self.peer, self.peer.transport
        if what == "turns":
            await turns(value)
        elif what == "finish":
            peer.http1.service.drain()
        elif what == "answer":
            for future in self.futures:
                if not future.done():
                    future.set_result(self.response("stream" if value % 2 else "long"))
        elif streams and what in ("write", "much"):
            streams[0].write(b"y" * (10 if what == "write" else 40_000) * (value + 1))
        elif streams and what == "close":
            streams[0].close()
        elif streams and what == "abort":
            streams[0].abort()
        elif what == "drain" and not transport.closed:
            transport.drain()
        elif what == "ask" and not transport.closed and not transport.reading_paused:
            line = b"GET /%b HTTP/1.1\r\nHost: a\r\n%b\r\n"
            peer.send(
                b"".join(
                    line
                    % (kind.replace(" ", "%20").encode(), b"Accept-Encoding: gzip\r\n" * (kind == "gzip"))
                    for kind in value
                )
            )


@settings(max_examples=100 * SCALE)
@given(STEPS, st.sampled_from([1 << 40, 300_000, 50_000, 10]), st.booleans())
def test_exactly_once_whatever_happens(steps: list[tuple[str, Any]], room: int, fails: bool) -> None:
    async def main() -> None:
        script = Script(room)
        for what, value in steps:
            await script.step(what, value)
            assert all(len(end) <= 1 for end in script.ends.ended.values())
        script.peer.protocol.connection_lost(OSError("reset") if fails else None)
        await script.step("answer", 0)
        await turns(30)
        for stream in script.streams:
            stream.close()
        await turns(5)
        ends = script.ends.ended
        assert len(ends) == script.ends.given and all(len(end) == 1 for end in ends.values())
        sent = script.peer.transport.sent
        if whole := [end[0][0] for end in ends.values() if end[0][1] is None]:
            bodies = [len(body) for _, _, body in complete(sent, len(whole))]
            assert bodies == whole, "answers end in order, with the bytes that the peer got"
        cut = [end[0] for end in ends.values() if end[0][1] is not None and end[0][0]]
        if cut:
            ((size, _),) = cut
            chunked = b"chunked" in sent.rpartition(b"HTTP/1.1 200")[2].partition(b"\r\n\r\n")[0]
            assert size == body_of(sent, chunked)

    asyncio.run(main())


def complete(sent: bytes, count: int) -> list[tuple[int, dict[str, str], bytes]]:
    """The first answers, which are whole."""
    starts = [match.start() for match in re.finditer(rb"HTTP/1\.1 200", sent)]
    return read_answers(sent[: starts[count]] if len(starts) > count else sent)
