"""The HTTP/1.1 protocol without sockets; the standard library's client parses the answers."""

import asyncio
import functools
import gzip
import itertools
import json
import re
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from eventually import aeventually
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from server.fake_transport import Peer, read_answers, run

from pilothouse.server.http1 import Limits
from pilothouse.server.request import Request, Response, Stream

GET = b"GET /api?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"


def always(body: Any) -> Callable[[Request], Response]:
    """A handler whose answers have this body."""
    return lambda _: Response(200, body)


@run
async def test_reads_a_request_and_answers_in_one_write() -> None:
    peer = Peer(lambda _: Response(201, b'{"a":1}', headers=[("Audit-Id", "7"), ("Warning", "299 - x")]))
    peer.send(b"POST /a%2Fb?x=1&y HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-a: 2 \t\r\nContent-Length: 3\r\n\r\nabc")
    (request,) = peer.seen
    assert (request.method, request.target, request.path, request.query) == (
        "POST",
        "/a%2Fb?x=1&y",
        "/a%2Fb",
        "x=1&y",
    )
    assert request.body == b"abc"
    assert request.headers == {"host": "h", "x-a": "1", "content-length": "3"}
    assert request.all_headers == [("host", "h"), ("x-a", "1"), ("x-a", "2"), ("content-length", "3")]
    assert request.peer == ("10.1.2.3", 4567)
    assert len(peer.transport.writes) == 1
    ((status, headers, body),) = peer.answers()
    assert (status, body) == (201, b'{"a":1}')
    assert headers["audit-id"] == "7" and headers["content-length"] == "7"
    assert re.fullmatch(
        r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", headers["date"]
    )
    assert not peer.transport.closed


@run
async def test_names_of_headers_leave_nothing_behind() -> None:
    peer = Peer()

    async def send(first: int, count: int) -> None:
        for i in range(first, first + count):
            name = b"%d-" % i + b"n" * 200_000
            peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + name + b": x\r\n\r\n")
            while peer.transport.reading_paused:
                await asyncio.sleep(0)
            peer.seen.clear()
            peer.transport.writes.clear()

    await send(0, 2)
    tracemalloc.start()
    try:
        await send(2, 20)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000


@run
async def test_long_names_of_headers_of_answers_are_not_remembered() -> None:
    """Another server may have sent them."""
    numbers = itertools.count()
    peer = Peer(lambda _: Response(200, headers=[(f"n{next(numbers)}-" + "x" * 100_000, "y")]))
    peer.send(GET)
    tracemalloc.start()
    try:
        for _ in range(20):
            peer.transport.writes.clear()
            peer.send(GET)
        assert b"n20-x" in b"".join(peer.transport.writes)
        peer.transport.writes.clear()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 200_000


@run
async def test_split_at_every_byte() -> None:
    data = (
        b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nEmpty:\r\n\r\n"
        b"3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
        b"BREW /2 HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\nhi"
        b"GET /3 HTTP/1.1\r\nHost: c\r\n\r\n"
    )

    def shape(peer: Peer) -> list[Any]:
        return [(r.method, r.target, r.all_headers, r.body) for r in peer.seen]

    whole = Peer()
    for part in re.split(rb"(?=BREW|GET /3)", data):  # an unknown method is read at the start of a segment
        whole.send(part)
    expected = shape(whole)
    assert [e[0] for e in expected] == ["POST", "BREW", "GET"] and expected[0][3] == b"abcde"
    one = Peer().send(*(data[i : i + 1] for i in range(len(data))))
    assert shape(one) == expected
    known = data.replace(b"BREW", b"PUT ")
    expected = shape(Peer().send(known))
    for at in range(1, len(known)):
        assert shape(Peer().send(known[:at], known[at:])) == expected, at


@run
async def test_methods_that_no_parser_knows() -> None:
    for start in (b"FOO ", b"get ", b"CONNECT ", b"COPY ", b"X-Y!z "):
        peer = Peer().send(start + b"/a HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        assert [r.method for r in peer.seen] == [start.decode().strip(), "GET"]
        peer = Peer().send(*(bytes([c]) for c in start + b"/a HTTP/1.1\r\nHost: a\r\n\r\n"))
        assert [r.method for r in peer.seen] == [start.decode().strip()], start
    assert Peer().send(b"F(O /a HTTP/1.1\r\nHost: a\r\n\r\n").answers()[0][0] == 400
    assert Peer().send(b"A" * 40 + b" /a HTTP/1.1\r\n").answers()[0][0] == 400


@run
async def test_pipelined_answers_come_in_order() -> None:
    first = asyncio.get_running_loop().create_future()

    async def slow(_: Request) -> Response:
        return Response(200, await first)

    peer = Peer(lambda r: slow(r) if r.path == "/slow" else Response(200, r.path.encode()))
    peer.send(b"".join(GET.replace(b"/api?x=1", path) for path in (b"/0", b"/slow", b"/2")))
    assert peer.transport.reading_paused and len(peer.seen) == 2
    first.set_result(b"done")
    await asyncio.sleep(0.01)
    assert [a[2] for a in peer.answers()] == [b"/0", b"done", b"/2"]
    assert not peer.transport.reading_paused


@run
async def test_too_many_pipelined_requests_end_the_connection() -> None:
    done = asyncio.get_running_loop().create_future()

    async def slow(_: Request) -> Response:
        await done
        return Response(200, b"x")

    peer = Peer(slow).send(GET * 1000)
    assert len(peer.seen) == 1
    done.set_result(None)
    for _ in range(600):
        await asyncio.sleep(0)
    assert len(peer.seen) == 129 and peer.transport.closed
    assert len(peer.answers()) == 129


@run
async def test_task_is_cancelled_when_the_peer_leaves() -> None:
    cancelled = []

    async def forever(_: Request) -> Response:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return Response(200)

    peer = Peer(forever).send(GET)
    await asyncio.sleep(0)
    peer.lose()
    await asyncio.sleep(0.01)
    assert cancelled == [True] and peer.transport.sent == b""


@run
async def test_handler_that_raises_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Request) -> Response:
        raise ValueError("boom")

    async def broken_later(_: Request) -> Response:
        raise ValueError("boom")

    for handler in (broken, broken_later):
        peer = Peer(handler).send(GET, GET)
        await asyncio.sleep(0.01)
        assert [a[0] for a in peer.answers()] == [500, 500]
    assert "boom" in caplog.text


@pytest.mark.parametrize("nothing", [None, 5])
@run
async def test_handler_that_returns_no_answer_cuts_the_connection(
    nothing: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(_: Request) -> Response:
        return nothing  # type: ignore[return-value]

    peer = Peer(handler).send(GET)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert peer.transport.closed and "An answer was not written" in caplog.text


@run
async def test_answer_that_cannot_be_written_cuts_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(lambda _: Response(200, headers=[("x", 5)])).send(GET)  # type: ignore[list-item]
    assert peer.transport.closed and "An answer was not written" in caplog.text


@run
async def test_head_has_the_same_head_and_no_body() -> None:
    peer = Peer(lambda _: Response(405, b"0123456789")).send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", GET)
    head, get = peer.answers("HEAD", "GET")
    assert head[0] == 405 and head[1] == get[1] and (head[2], get[2]) == (b"", b"0123456789")


@run
async def test_http_1_0_and_connection_close() -> None:
    peer = Peer().send(b"GET / HTTP/1.0\r\n\r\n")
    assert peer.transport.sent.startswith(b"HTTP/1.0 200 OK\r\n") and peer.transport.closed
    peer = Peer().send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)
    assert len(peer.answers()) == 2 and not peer.transport.closed
    assert peer.answers()[0][1]["connection"] == "keep-alive"
    peer = Peer().send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
    assert len(peer.seen) == 1 and peer.transport.closed
    assert peer.answers()[0][1]["connection"] == "close"


@run
async def test_handler_may_ask_to_close() -> None:
    peer = Peer(lambda _: Response(200, b"x", headers=[("Connection", "close")])).send(GET + GET)
    assert len(peer.answers()) == 1 and peer.transport.closed
    assert peer.transport.sent.count(b"Connection: close") == 1


@run
async def test_upgrade_is_ignored() -> None:
    data = b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    peer = Peer().send(data + GET, data, GET)
    assert [r.path for r in peer.seen] == ["/1", "/api", "/1", "/api"]
    body = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nGET"
    assert Peer().send(body).answers()[0][0] == 400


@run
async def test_a_peer_whose_last_request_is_refused_is_read_on() -> None:
    """Its answers would be lost if the connection were closed with bytes that nobody has read."""
    wrong = b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"
    waits = asyncio.get_running_loop().create_future()

    async def slow(_: Request) -> Response:
        return Response(200, await waits)

    peer = Peer(slow).send(GET + GET + wrong)
    assert peer.transport.reading_paused
    waits.set_result(b"x")
    for _ in range(5):
        await asyncio.sleep(0)
    assert [status for status, _, _ in peer.answers()] == [200, 200, 417]
    assert not peer.transport.closed and not peer.transport.reading_paused


@run
async def test_expect_continue() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    peer = Peer().send(head)
    assert peer.transport.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(b"abc")
    assert peer.seen[0].body == b"abc"
    assert Peer().send(head.replace(b"100-", b"200-")).answers()[0][0] == 417
    assert Peer(limits=Limits(body_bytes=2)).send(head).answers()[0][0] == 413
    waits = asyncio.get_running_loop().create_future()

    async def slow(_: Request) -> Response:
        return Response(200, await waits)

    peer = Peer(lambda r: slow(r) if r.method == "GET" else Response(200)).send(GET + head)
    assert peer.transport.sent == b""
    waits.set_result(b"x")
    await asyncio.sleep(0.01)
    assert peer.transport.sent.endswith(b"xHTTP/1.1 100 Continue\r\n\r\n")


MALFORMED = [
    (b"\x16\x03\x01\x02\x00", 400, "400 Bad Request"),
    (b"GET / HTTP/1.1\r\n\r\n", 400, "400 Bad Request: missing required Host header"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "400 Bad Request: too many Host headers"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400, "400 Bad Request"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400, "400 Bad Request"),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        "400 Bad Request",
    ),
    (
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        505,
        "505 HTTP Version Not Supported: unsupported protocol version",
    ),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        501,
        "Unsupported transfer encoding",
    ),
    (
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "400 Bad Request",
    ),
]


@pytest.mark.parametrize(("data", "status", "text"), MALFORMED)
@run
async def test_refusals_are_worded_as_go_does(data: bytes, status: int, text: str) -> None:
    peer = Peer().send(data)
    ((got, headers, body),) = peer.answers()
    assert (got, body.decode(), headers["connection"]) == (status, text, "close")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert not peer.seen
    peer.send(GET) if not peer.transport.closed else None
    assert len(peer.answers()) == 1


@run
async def test_limits() -> None:
    limits = Limits(header_bytes=1000, body_bytes=100)
    endless = Peer(limits=limits).send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ", *[b"y" * 100] * 11)
    assert endless.answers()[0][0] == 431
    whole = Peer(limits=limits).send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1000 + b"\r\n\r\n")
    assert whole.answers()[0][0] == 431
    for body in (
        b"Content-Length: 101\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n40\r\n"
        + b"z" * 64
        + b"\r\n40\r\n"
        + b"z" * 64
        + b"\r\n0\r\n\r\n",
    ):
        peer = Peer(limits=limits).send(b"POST / HTTP/1.1\r\nHost: a\r\n" + body)
        ((status, headers, text),) = peer.answers()
        assert (status, headers["content-type"], headers["connection"]) == (413, "application/json", "close")
        assert json.loads(text) == {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 413,
            "message": "Request entity too large: limit is 100", "reason": "RequestEntityTooLarge",
        }  # fmt: skip
        assert not peer.transport.closed, "the peer may still be sending"
        peer.send(b"q" * 1000)
        peer.http1.service.sweep(time.monotonic() + 10)
        assert peer.transport.closed
    assert (
        len(
            Peer(limits=limits)
            .send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" + b"z" * 100)
            .seen
        )
        == 1
    )


@run
async def test_time_outs() -> None:
    limits = Limits(header_timeout=32, body_timeout=60, idle_timeout=90)
    cases = [
        (b"", 32),
        (b"GET / HT", 32),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na", 60),
        (GET, 90),
    ]
    for data, limit in cases:
        peer = Peer(limits=limits)
        if data:
            peer.send(data)
        start = time.monotonic()
        peer.http1.service.sweep(start + limit - 1)
        assert not peer.transport.closed, data
        peer.http1.service.sweep(start + limit + 1)
        assert peer.transport.closed, data
    peer = Peer(lambda _: asyncio.get_running_loop().create_future()).send(GET)
    peer.http1.service.sweep(time.monotonic() + 10_000)
    assert not peer.transport.closed
    peer.lose()


@run
async def test_headers_cannot_be_injected() -> None:
    evil = [("X-Ok", "a\r\nSet-Cookie: x"), ("Bad\r\nName", "y"), ("", "z"), ("Location", "/\ud800ü\0")]
    peer = Peer(lambda _: Response(200, b"", "text/plain\r\nEvil: 1", evil)).send(GET)
    lines = peer.transport.sent.split(b"\r\n")
    assert b"X-Ok: a  Set-Cookie: x" in lines and b"Content-Type: text/plain  Evil: 1" in lines
    assert not any(line.startswith((b"Set-Cookie", b"Evil", b"Bad", b": z")) for line in lines)
    assert "Location: /?ü ".encode() in lines


@run
async def test_bodyless_statuses() -> None:
    statuses = iter((204, 304))
    peer = Peer(lambda _: Response(next(statuses), b"ignored")).send(GET, GET)
    no_content, not_modified = peer.answers()
    assert "content-length" not in no_content[1] and "content-type" not in not_modified[1]


class Built:
    """A body that is built while it is written; with `fails` it ends with an error."""

    def __init__(self, pieces: list[bytes], fails: bool = False) -> None:
        self.pieces, self.fails = pieces, fails
        self.size = sum(map(len, pieces)) + fails
        self.built = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.built += 1
            yield piece
        if self.fails:
            raise ValueError("no more")


@run
async def test_bodies_are_built_as_they_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    body = Built([b"x" * 200_000] * 20)
    peer = Peer(lambda _: Response(200, body), room=300_000).send(GET)
    assert body.built < 5
    for _ in range(40):
        peer.transport.drain()
    assert body.built == 20 and peer.answers()[0][2] == b"x" * 4_000_000
    broken = Peer(lambda _: Response(200, Built([b"x" * 100_000], fails=True))).send(GET)
    assert broken.transport.closed and b"x" * 1000 in broken.transport.sent
    assert "A body was not written to its end" in caplog.text


@run
async def test_long_bodies_are_written_in_slices() -> None:
    pieces = [bytes([65 + i % 26]) * (6000 + i) for i in range(500)] + [b"L" * 1_000_000]
    body = b"".join(pieces)
    for answer in (pieces, body, Built(pieces)):
        peer = Peer(always(answer), room=300_000)
        peer.send(GET + GET)
        assert len(peer.transport.sent) < 600_000 and peer.transport.reading_paused
        for _ in range(100):
            peer.transport.drain()
        assert max(map(len, peer.transport.writes)) <= 256 * 1024
        assert [a[2] for a in peer.answers()] == [body, body]
        assert not peer.transport.reading_paused
    assert pieces[0] == b"A" * 6000, "the handler's list is left alone"


@run
async def test_long_bodies_leave_the_loop_its_turn() -> None:
    peer = Peer(lambda _: Response(200, [b"x" * 50_000] * 100))
    other = _connect(peer)
    peer.send(GET)
    other[1].data_received(GET)
    turns = 0
    while len(peer.transport.sent) + len(other[0].sent) < 10_000_000:
        before = len(peer.transport.sent) + len(other[0].sent)
        await asyncio.sleep(0)
        assert len(peer.transport.sent) + len(other[0].sent) - before < 1_500_000
        turns += 1
    assert turns > 8 and peer.answers()[0][2] == b"x" * 5_000_000


@run
async def test_peer_that_does_not_read_is_cut() -> None:
    peer = Peer(lambda _: Response(200, b"x" * 1_000_000), room=100_000).send(GET)
    peer.http1.service.sweep(time.monotonic() + 61)
    assert peer.transport.aborted
    lazy = Peer(lambda _: Response(200, b"x" * 10_000), room=100_000).send(GET * 100)
    assert len(lazy.transport.sent) < 150_000, "requests wait while answers are not taken"
    lazy.transport.drain()
    await asyncio.sleep(0.01)
    assert len(lazy.answers()) > 11


class Watcher:
    """A handler that keeps the stream of its last answer."""

    def __init__(self) -> None:
        self.stream: Any = None
        self.closed = self.drained = 0

    def __call__(self, request: Request) -> Response:
        return Response(200, start=self.start) if "watch" in request.target else Response(200, b"plain")

    def start(self, stream: Stream) -> None:
        self.stream = stream
        stream.on_close(lambda: setattr(self, "closed", self.closed + 1))
        stream.on_drain(lambda: setattr(self, "drained", self.drained + 1))


WATCH = b"GET /watch HTTP/1.1\r\nHost: a\r\n\r\n"


@run
async def test_stream_coalesces_the_writes_of_a_turn() -> None:
    watcher = Watcher()
    peer = Peer(watcher).send(WATCH)
    watcher.stream.write(b"one\n")
    watcher.stream.write(b"two\n")
    assert peer.transport.writes == []
    await asyncio.sleep(0)
    assert len(peer.transport.writes) == 1 and peer.transport.sent.endswith(b"4\r\none\n\r\n4\r\ntwo\n\r\n")
    watcher.stream.write(b"x" * 100_000)
    watcher.stream.write(b"")
    await asyncio.sleep(0)
    peer.send(GET)
    assert len(peer.seen) == 1 and peer.transport.reading_paused
    watcher.stream.close()
    watcher.stream.close()
    watcher.stream.write(b"late")
    await asyncio.sleep(0)
    assert [a[2] for a in peer.answers()] == [b"one\ntwo\n" + b"x" * 100_000, b"plain"]
    assert watcher.closed == 1 and not peer.transport.closed and watcher.stream.buffered() == 0
    late: list[int] = []
    watcher.stream.on_close(lambda: late.append(1))
    assert late == [1]


@run
async def test_stream_backs_up_and_drains() -> None:
    watcher = Watcher()
    peer = Peer(watcher, room=1000).send(WATCH)
    for _ in range(3):
        watcher.stream.write(b"x" * 2000)
        await asyncio.sleep(0)
    assert watcher.stream.buffered() > 6000 and watcher.drained == 0
    assert len(peer.transport.writes) == 1, "while the transport is full nothing is copied into it"
    peer.transport.room = 1 << 20
    peer.transport.drain()
    assert watcher.drained == 1 and read_answers(peer.transport.sent + b"0\r\n\r\n")[0][2] == b"x" * 6000


@run
async def test_stream_that_was_ended_has_the_time_of_an_answer() -> None:
    """However long its client has read nothing before: it may still read why."""
    now = [1000.0]
    watcher = Watcher()
    peer = Peer(watcher, room=1000, clock=lambda: now[0]).send(WATCH)
    watcher.stream.write(b"x" * 5000)
    await asyncio.sleep(0)
    now[0] += 600
    watcher.stream.close()
    now[0] += 59
    peer.http1.service.sweep()
    assert not peer.transport.aborted
    now[0] += 2
    peer.http1.service.sweep()
    assert peer.transport.aborted


@run
async def test_stream_ends_uncleanly_or_with_its_peer() -> None:
    watcher = Watcher()
    peer = Peer(watcher).send(WATCH)
    watcher.stream.write(b"seen\n")
    watcher.stream.abort()
    assert peer.transport.closed and peer.transport.sent.endswith(b"seen\n\r\n") and watcher.closed == 1
    peer = Peer(watcher).send(WATCH)
    peer.lose()
    watcher.stream.write(b"x")
    assert watcher.closed == 2
    full = Peer(watcher, room=10).send(WATCH)
    watcher.stream.write(b"x" * 100)
    await asyncio.sleep(0)
    watcher.stream.abort()
    assert full.transport.aborted


@run
async def test_stream_to_http_1_0_and_head() -> None:
    watcher = Watcher()
    peer = Peer(watcher).send(b"GET /watch HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    watcher.stream.write(b"raw")
    watcher.stream.close()
    await asyncio.sleep(0)
    assert peer.transport.closed and peer.answers()[0][2] == b"raw" and b"chunked" not in peer.transport.sent
    watcher.stream = None
    peer = Peer(watcher).send(b"HEAD /watch HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    assert watcher.stream is None and [a[2] for a in peer.answers("HEAD", "GET")] == [b"", b"plain"]


@run
async def test_one_frame_serves_all_watchers() -> None:
    watcher = Watcher()
    peer, streams = Peer(watcher), []
    for _ in range(3):
        transport, protocol = _connect(peer)
        protocol.data_received(WATCH)
        streams.append((watcher.stream, transport))
    await asyncio.sleep(0)
    event = b"e" * 100
    for stream, _ in streams:
        stream.write(event)
    await asyncio.sleep(0)
    assert all(t.writes[-1] == b"64\r\n" + event + b"\r\n" for _, t in streams)


@pytest.mark.parametrize(
    ("accept", "size", "packed"),
    [
        ("gzip", 200_000, True),
        ("br;q=1, gzip;q=0.5", 200_000, True),
        ("x-gzip", 200_000, False),
        ("", 200_000, False),
        ("gzip", 128 * 1024, False),
    ],
)
@run
async def test_gzip(accept: str, size: int, packed: bool) -> None:
    body = b'{"kind":"Pod"}' * (size // 14) + b" " * (size % 14)
    for answer in (body, [body[:1000], body[1000:]]):
        peer = Peer(always(answer))
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: " + accept.encode() + b"\r\n\r\n")
        for _ in range(200):
            if b"\r\n0\r\n\r\n" in peer.transport.sent or not packed:
                break
            await asyncio.sleep(0.005)
        ((_, headers, got),) = peer.answers()
        assert (headers.get("content-encoding") == "gzip") == packed == ("vary" in headers)
        assert (gzip.decompress(got) if packed else got) == body


class Packed(Built):
    """A body with a gzip stream of its own, whose every other part is a call for a thread."""

    threads: set[int]

    def gzip(self) -> Iterator[bytes | Callable[[], bytes]]:
        self.threads = set()
        data = gzip.compress(b"".join(self.pieces))

        def call(part: bytes) -> bytes:
            self.threads.add(threading.get_ident())
            if self.fails:
                raise ValueError("no more")
            return part

        for at in range(0, len(data), 100):
            part = data[at : at + 100]
            yield part if at % 200 else functools.partial(call, part)


async def until(done: Callable[[], bool]) -> None:
    for _ in range(400):
        if done():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it takes too long")


@run
async def test_a_body_may_bring_its_gzip_stream(caplog: pytest.LogCaptureFixture) -> None:
    accept = b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"
    body = Packed([b"%d" % i for i in range(60_000)])
    peer = Peer(lambda _: Response(200, body)).send(accept)
    await until(lambda: peer.transport.sent.endswith(b"\r\n0\r\n\r\n"))
    ((_, headers, got),) = peer.answers()
    assert headers["content-encoding"] == "gzip" and headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(got) == b"".join(body.pieces)
    assert threading.get_ident() not in body.threads and body.threads
    peer = Peer(lambda _: Response(200, body)).send(GET)
    assert peer.answers()[0][2] == b"".join(body.pieces), "only when it was asked for"
    peer = Peer(lambda _: Response(200, Packed([b"a" * 200_000], fails=True))).send(accept)
    await until(lambda: peer.transport.closed)
    assert not peer.transport.sent.endswith(b"0\r\n\r\n"), "the peer sees that it is not whole"
    await until(lambda: len(asyncio.all_tasks()) == 1)


@run
async def test_a_ready_gzip_stream_leaves_the_loop_its_turn_and_waits_for_its_peer() -> None:
    class Ready(Built):
        given = 0

        def gzip(self) -> Iterator[bytes]:
            for piece in self.pieces:
                self.given += 1
                yield piece

    body = Ready([b"x" * 200_000] * 50)
    peer = Peer(lambda _: Response(200, body), room=300_000)
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    for _ in range(100):
        await asyncio.sleep(0)
    assert body.given < 10, "about a megabyte waits for the peer, no more is built"
    for _ in range(100):
        peer.transport.drain()
        for _ in range(20):
            await asyncio.sleep(0)
    assert body.given == 50 and peer.answers()[0][2] == b"x" * 10_000_000


@run
async def test_gzip_leaves_encoded_bodies_alone_and_ends_with_its_peer() -> None:
    accept = b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"
    peer = Peer(lambda _: Response(200, b"z" * 200_000, headers=[("Content-Encoding", "gzip")])).send(accept)
    assert peer.transport.sent.endswith(b"z" * 1000) and b"Vary" not in peer.transport.sent
    peer = Peer(lambda _: Response(200, b"z" * 20_000_000)).send(accept)
    await asyncio.sleep(0.001)
    peer.lose()
    await aeventually(lambda: len(asyncio.all_tasks()) == 1, "the compressor has stopped", 2)


@run
async def test_drain() -> None:
    done = asyncio.get_running_loop().create_future()

    async def slow(_: Request) -> Response:
        return Response(200, await done)

    watcher = Watcher()
    peer = Peer(lambda r: watcher(r) if "watch" in r.target else slow(r))
    busy, idle, streaming = peer, *(_connect(peer) for _ in range(2))
    busy.send(GET)
    streaming[1].data_received(WATCH)
    await asyncio.sleep(0)
    draining = asyncio.create_task(peer.http1.drain(5))
    await asyncio.sleep(0.01)
    assert idle[0].closed and not busy.transport.closed and not draining.done()
    done.set_result(b"x")
    watcher.stream.close()
    await asyncio.sleep(0.01)
    assert busy.transport.closed and streaming[0].closed
    assert busy.answers()[0][1]["connection"] == "close"
    for protocol in (busy.protocol, idle[1], streaming[1]):
        protocol.connection_lost(None)
    assert await draining is True
    stuck = Peer(lambda _: asyncio.get_running_loop().create_future()).send(GET)
    assert await stuck.http1.drain(0.01) is False and stuck.transport.aborted


def _connect(peer: Peer) -> tuple[Any, Any]:
    transport = type(peer.transport)()
    protocol = transport.protocol = peer.http1()
    protocol.connection_made(transport)
    return transport, protocol


@run
async def test_counters() -> None:
    peer = Peer().send(GET, GET)
    service = peer.http1.service
    assert (service.accepted, service.open, service.requests) == (1, 1, 2)
    assert service.bytes_in == 2 * len(GET) and service.bytes_out == len(peer.transport.sent)
    peer.lose()
    assert service.open == 0


garbage = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from(
            b"GET |POST |FOO |CONNECT |PRI * HTTP/2.0|/| HTTP/1.1|HTTP/1.0|\r\n|\n|\r\n\r\n|Host: a|:|0| |"
            b"\x00|abc|Content-Length: 3|Transfer-Encoding: chunked|3\r\nabc\r\n0\r\n\r\n|Upgrade: x|"
            b"Connection: upgrade|Expect: 100-continue".split(b"|")
        ),
        max_size=30,
    ).map(b"".join),
)


@settings(max_examples=150 * SCALE)
@given(data=garbage, cuts=st.lists(st.integers(0, 200), max_size=4))
def test_garbage_is_refused_or_waited_for(data: bytes, cuts: list[int]) -> None:
    async def check() -> None:
        peer = Peer()
        ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
        for start, end in itertools.pairwise(ends):
            if not peer.transport.closed:
                peer.send(data[start:end])
        statuses = [a[0] for a in peer.answers(*(r.method for r in peer.seen)) if a[0] != 100]
        assert statuses.count(200) == len(peer.seen)
        assert all(status == 200 for status in statuses[:-1])
        assert not statuses or statuses[-1] in (200, 400, 413, 417, 431, 501, 505)
        peer.http1.close()

    asyncio.run(check())
