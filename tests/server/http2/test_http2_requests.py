"""Requests and answers of HTTP/2: what becomes of frames, and what is refused."""

import asyncio
import gzip
import json
import struct
from typing import Any

import pytest
from eventually import aeventually
from server.fake_transport import run
from server.http2.peers import PREFACE, Client, Code, Flag, Kind, Raw, fields, frame, number

from pilothouse.server.http1 import Limits
from pilothouse.server.request import Request, Response


@run
async def test_a_request_and_its_answer() -> None:
    peer = Raw(lambda _: Response(201, b'{"a":1}', headers=[("Audit-Id", "7"), ("Warning", "299 - x\r\ny")]))
    writes = len(peer.transport.writes)
    peer.ask("POST", "/a%2Fb?x=1&y", ("x-a", "1"), ("x-a", "2"), ("content-length", "3"), body=b"abc")
    (request,) = peer.seen
    assert (request.method, request.target, request.path, request.query) == (
        "POST", "/a%2Fb?x=1&y", "/a%2Fb", "x=1&y",
    )  # fmt: skip
    assert request.body == b"abc"
    assert request.headers == {"host": "a", "x-a": "1", "content-length": "3"}
    assert request.all_headers == [("host", "a"), ("x-a", "1"), ("x-a", "2"), ("content-length", "3")]
    assert request.peer == ("10.1.2.3", 4567)
    assert len(peer.transport.writes) == writes + 1, "head and body go out in one write"
    answer = peer.answers_of()[1]
    assert (answer.status, answer.body, answer.ended) == (201, b'{"a":1}', True)
    date = answer.headers.pop("date")
    assert date.endswith(" GMT") and len(date) == 29
    assert answer.headers == {
        "audit-id": "7", "warning": "299 - x  y", "content-type": "application/json", "content-length": "7",
    }  # fmt: skip


@run
async def test_split_at_every_byte_and_all_at_once() -> None:
    peer = Raw(lambda r: Response(200, r.body), settings=None)
    data = PREFACE + frame(Kind.SETTINGS)
    for i in range(5):
        data += peer.head(ends=False, of=fields("POST", f"/{i}")) + frame(
            Kind.DATA, Flag.END_STREAM, 2 * i + 1, b"x" * i
        )
    peer.send(*(data[at : at + 1] for at in range(len(data))))
    other = Raw(lambda r: Response(200, r.body), settings=None).send(data)
    await asyncio.sleep(0)
    for one in (peer, other):
        assert [request.path for request in one.seen] == ["/0", "/1", "/2", "/3", "/4"]
        assert {stream: answer.body for stream, answer in one.answers_of().items()} == {
            2 * i + 1: b"x" * i for i in range(5)
        }


@run
async def test_repeated_fields_are_shared_and_others_are_not() -> None:
    peer = Raw()
    peer.ask("GET", "/1", ("accept", "a"), ("authorization", "Bearer x"))
    peer.ask("GET", "/2", ("accept", "a"), ("authorization", "Bearer x"))
    peer.ask("GET", "/3", ("accept", "b"), ("authorization", "Bearer x"))
    peer.ask("GET", "/4", ("authorization", "Bearer y"))
    one, two, three, four = peer.seen
    assert one.headers is two.headers and one.target != two.target
    assert three.headers == {"host": "a", "accept": "b", "authorization": "Bearer x"}
    assert four.headers == {"host": "a", "authorization": "Bearer y"}


@run
async def test_cookies_are_joined_and_a_host_field_serves_as_authority() -> None:
    peer = Raw()
    peer.ask("GET", "/", ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"))
    assert peer.seen[0].headers["cookie"] == "a=1; b=2"
    assert peer.seen[0].all_headers[-1] == ("cookie", "a=1; b=2")
    plain = [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", "b")]
    peer.send(peer.head(of=plain))
    assert peer.seen[1].headers["host"] == "b"
    peer.ask("GET", "/", ("host", "A"))
    assert peer.seen[2].all_headers == [("host", "a")]
    peer.ask("GET", "/", ("host", "other"))
    assert len(peer.seen) == 3 and peer.resets() == {7: Code.PROTOCOL_ERROR}


BASE = fields()
MALFORMED = {
    "no method": BASE[1:],
    "no scheme": [BASE[0], *BASE[2:]],
    "no path": [*BASE[:2], BASE[3]],
    "empty path": [*BASE[:2], (":path", ""), BASE[3]],
    "path of nothing": fields("GET", "api"),
    "method twice": [BASE[0], *BASE],
    "path twice": [*BASE, (":path", "/")],
    "authority twice": [*BASE, (":authority", "a")],
    "pseudo after a field": [*BASE[:3], ("x", "y"), BASE[3]],
    "unknown pseudo": [*BASE, (":x", "y")],
    "status": [*BASE, (":status", "200")],
    "bad method": fields("G T"),
    "long method": fields("M" * 33),
    "capitals": fields("GET", "/", ("X-A", "1")),
    "connection": fields("GET", "/", ("connection", "close")),
    "keep-alive": fields("GET", "/", ("keep-alive", "1")),
    "proxy-connection": fields("GET", "/", ("proxy-connection", "x")),
    "transfer-encoding": fields("GET", "/", ("transfer-encoding", "chunked")),
    "upgrade": fields("GET", "/", ("upgrade", "websocket")),
    "te": fields("GET", "/", ("te", "gzip")),
    "line break": fields("GET", "/", ("x", "a\nb")),
    "zero": fields("GET", "/", ("x", "a\0b")),
    "a name of nothing": fields("GET", "/", ("", "b")),
    "space in a name": fields("GET", "/", ("a b", "b")),
    "length": fields("GET", "/", ("content-length", "x")),
    "two lengths": fields("GET", "/", ("content-length", "0"), ("content-length", "1")),
    "length without body": fields("GET", "/", ("content-length", "1")),
    "connect with a path": fields("CONNECT"),
}


@pytest.mark.parametrize("name", MALFORMED)
@run
async def test_a_malformed_request_ends_its_stream_alone(name: str) -> None:
    peer = Raw()
    peer.send(peer.head(of=MALFORMED[name]), peer.head())
    assert peer.resets() == {1: Code.PROTOCOL_ERROR}
    assert len(peer.seen) == 1 and peer.status(3) == 200 and not peer.transport.closed


@run
async def test_unusual_requests_that_are_good() -> None:
    peer = Raw()
    for head in (
        fields("BREW"),
        fields("OPTIONS", "*"),
        fields("GET", "/", ("te", "trailers")),
        [(":method", "CONNECT"), (":authority", "a:1")],
        fields("GET", "/", ("content-length", "0")),
        fields("GET", "/", ("x", "é\t")),
    ):
        peer.send(peer.head(of=head))
    assert [request.method for request in peer.seen] == ["BREW", "OPTIONS", "GET", "CONNECT", "GET", "GET"]
    assert peer.seen[5].headers["x"] == "é\t" and not peer.resets()


@run
async def test_bodies_trailers_and_padding() -> None:
    peer = Raw(lambda r: Response(200, r.body))
    peer.send(peer.head(ends=False, of=fields("POST", "/", ("content-length", "6"))))
    peer.send(
        frame(Kind.DATA, Flag.PADDED, 1, b"\x03abc\0\0\0"),
        frame(Kind.DATA, 0, 1),
        frame(Kind.DATA, Flag.PADDED, 1, b"\0def"),
    )
    assert not peer.seen
    peer.send(peer.head(stream=1, of=[("x-check", "1")]))
    assert peer.answers_of()[1].body == b"abcdef"
    padded = frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM | Flag.PADDED | Flag.PRIORITIZED, 3)
    block = peer.encoder.encode(fields())
    payload = b"\x02" + b"\0\0\0\0\x10" + block + b"\0\0"
    peer.send(
        padded[:0]
        + frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM | Flag.PADDED | Flag.PRIORITIZED, 3, payload)
    )
    peer.next = 5
    peer.send(frame(Kind.PRIORITY, 0, 9, b"\0\0\0\0\x10"), frame(0x77, 0xFF, 7, b"unknown"))
    assert peer.status(3) == 200 and not peer.resets() and not peer.transport.closed


@pytest.mark.parametrize(
    ("declared", "sent", "ends"), [(3, b"ab", True), (3, b"abcd", False), (0, b"a", True)]
)
@run
async def test_a_body_of_another_length_than_declared(declared: int, sent: bytes, ends: bool) -> None:
    peer = Raw()
    peer.send(peer.head(ends=False, of=fields("POST", "/", ("content-length", str(declared)))))
    peer.send(frame(Kind.DATA, Flag.END_STREAM if ends else 0, 1, sent))
    assert peer.resets() == {1: Code.PROTOCOL_ERROR} and not peer.seen
    assert not peer.protocol.is_answering()


@run
async def test_malformed_trailers() -> None:
    peer = Raw()
    for trailers in ([(":path", "/")], [("Capital", "x")]):
        stream = peer.next
        peer.send(peer.head(ends=False), peer.head(stream=stream, of=trailers))
        assert peer.resets()[stream] == Code.PROTOCOL_ERROR
    peer.send(peer.head(ends=False), peer.head(stream=5, ends=False, of=[("x", "y")]))
    assert peer.resets()[5] == Code.PROTOCOL_ERROR and not peer.seen


@run
async def test_a_head_in_many_frames() -> None:
    peer = Raw()
    block = peer.encoder.encode(fields("GET", "/long", ("x", "v" * 5000)))
    parts = [block[at : at + 700] for at in range(0, len(block), 700)]
    peer.send(frame(Kind.HEADERS, Flag.END_STREAM, 1, parts[0]))
    for part in parts[1:]:
        peer.send(frame(Kind.CONTINUATION, Flag.END_HEADERS if part is parts[-1] else 0, 1, part))
    assert peer.seen[0].headers["x"] == "v" * 5000 and peer.status() == 200


@run
async def test_expect_continue() -> None:
    peer = Raw(lambda r: Response(200, r.body))
    peer.send(
        peer.head(ends=False, of=fields("POST", "/", ("expect", "100-continue"), ("content-length", "3")))
    )
    await asyncio.sleep(0)
    assert peer.answers_of()[1].continued
    peer.send(frame(Kind.DATA, Flag.END_STREAM, 1, b"abc"))
    assert peer.answers_of()[1].body == b"abc"
    peer.send(peer.head(ends=False, of=fields("POST", "/", ("expect", "200-ok"))))
    assert peer.status(3) == 417 and peer.resets() == {3: Code.NO_ERROR}


@run
async def test_a_body_that_is_too_long_is_refused_and_the_rest_of_it_ignored() -> None:
    peer = Raw(limits=Limits(body_bytes=100))
    peer.send(peer.head(ends=False, of=fields("POST", "/", ("content-length", "101"))))
    peer.send(peer.head(ends=False, of=fields("POST", "/")), frame(Kind.DATA, 0, 3, b"x" * 101))
    for stream in (1, 3):
        answer = peer.answers_of()[stream]
        assert answer.status == 413 and answer.ended and peer.resets()[stream] == Code.NO_ERROR
        assert json.loads(answer.body)["message"] == "Request entity too large: limit is 100"
        peer.send(frame(Kind.DATA, 0, stream, b"x" * 1000), frame(Kind.DATA, Flag.END_STREAM, stream, b"x"))
    peer.send(
        peer.head(stream=1, of=[("x", "y")]),
        number(Kind.WINDOW_UPDATE, 3, 100),
        number(Kind.RST_STREAM, 3, Code.CANCEL),
    )
    assert not peer.seen and not peer.transport.closed
    assert peer.ask() == 5 and peer.status(5) == 200


@run
async def test_a_head_that_is_too_large() -> None:
    peer = Raw(limits=Limits(header_bytes=2000))
    peer.ask("GET", "/", *((f"x-{i}", "v" * 50) for i in range(30)))
    answer = peer.answers_of()[1]
    assert (answer.status, answer.body) == (431, b"431 Request Header Fields Too Large\n")
    many = Raw()
    many.send(many.head(of=fields("GET", "/", *(("x", "") for _ in range(5000)))))
    assert many.status() == 431 and not many.seen
    assert many.ask() == 3 and many.status(3) == 200


@run
async def test_head_and_answers_without_body() -> None:
    peer = Raw(lambda r: Response(204 if r.path == "/204" else 200, b"0123456789"))
    peer.ask("HEAD")
    peer.ask("GET", "/204")
    head, empty = peer.answers_of()[1], peer.answers_of()[3]
    assert (head.status, head.headers["content-length"], head.body, head.ended) == (200, "10", b"", True)
    assert (empty.status, empty.body, empty.ended) == (
        204,
        b"",
        True,
    ) and "content-length" not in empty.headers


@run
async def test_a_long_head_of_an_answer_goes_in_several_frames() -> None:
    peer = Raw(lambda _: Response(200, b"x", headers=[(f"Warning-{i}", "w" * 1000) for i in range(40)]))
    peer.ask()
    answer = peer.answers_of()[1]
    assert answer.body == b"x" and len(answer.headers) == 43 and answer.headers["warning-39"] == "w" * 1000
    assert len(peer.of_kind(Kind.CONTINUATION)) == 2


@run
async def test_fields_of_a_connection_are_left_out_of_answers() -> None:
    peer = Raw(
        lambda _: Response(200, headers=[("Transfer-Encoding", "x"), ("bad name", "x"), ("Upgrade", "x")])
    )
    peer.ask()
    assert set(peer.answers_of()[1].headers) == {"content-type", "date", "content-length"}


@run
async def test_gzip() -> None:
    body = b'{"kind":"Pod"}' * 20_000
    peer = Raw(lambda _: Response(200, body))
    peer.ask("GET", "/", ("accept-encoding", "gzip"))
    peer.ask("GET", "/", ("accept-encoding", "br"))
    await aeventually(lambda: peer.answers_of()[1].ended, "the compressed body is whole", 5)
    packed, plain = peer.answers_of()[1], peer.answers_of()[3]
    assert packed.headers["content-encoding"] == "gzip" and packed.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body == body


@run
async def test_a_thousand_streams_and_no_more() -> None:
    done = asyncio.get_running_loop().create_future()

    async def wait(_: Request) -> Response:
        await done
        return Response(200)

    peer = Raw(wait, limits=Limits(streams=40))
    assert struct.pack(">HI", 3, 40) in peer.of_kind(Kind.SETTINGS)[0][2]
    for _ in range(45):
        peer.send(peer.head())
    await asyncio.sleep(0.01)
    assert peer.resets() == {2 * i + 1: Code.REFUSED_STREAM for i in range(40, 45)}
    done.set_result(None)
    await asyncio.sleep(0.01)
    assert len(peer.answers_of()) == 40 and peer.http2.shared.open_streams == 0
    assert peer.ask() == 91 and len(peer.seen) == 41


@run
async def test_many_requests_in_one_read_take_turns() -> None:
    async def other() -> None:
        for _ in range(50):
            turns.append(len(peer.seen))
            await asyncio.sleep(0)

    def slow(_: Request) -> Response:
        sum(range(20_000))
        return Response(200)

    turns: list[int] = []
    peer = Raw(slow)
    task = asyncio.create_task(other())
    peer.send(b"".join(peer.head() for _ in range(300)))
    assert len(peer.seen) < 60 and peer.transport.reading_paused
    await aeventually(lambda: len(peer.seen) == 300, "all are answered", 10)
    await task
    await asyncio.sleep(0.01)
    assert len(peer.answers_of()) == 300 and not peer.transport.reading_paused
    assert len(set(turns)) > 3, "others get their turns between them"


@run
async def test_a_task_that_fails_and_one_that_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/fails":
            raise ValueError("boom")
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return Response(200)

    peer = Raw(handler)
    peer.ask("GET", "/fails")
    peer.ask("GET", "/cancelled")
    await asyncio.sleep(0.01)
    assert peer.status(1) == 500 and peer.resets() == {3: 2} and "boom" in caplog.text


@run
async def test_an_answer_that_cannot_be_written_ends_its_stream(caplog: pytest.LogCaptureFixture) -> None:
    bad: Any = [("x", 5)]
    peer = Raw(lambda r: Response(200, b"", headers=bad if r.path == "/bad" else []))
    peer.ask("GET", "/bad")
    peer.ask()
    await asyncio.sleep(0)
    assert peer.resets() == {1: 2} and peer.status(3) == 200 and "An answer was not written" in caplog.text


BAD_FRAMES: dict[str, tuple[bytes, int]] = {
    "no settings first": (frame(Kind.PING, 0, 0, b"12345678"), Code.PROTOCOL_ERROR),
    "a frame that is too long": (frame(Kind.DATA, 0, 1, b"x" * 16385), Code.FRAME_SIZE_ERROR),
    "data of an idle stream": (frame(Kind.DATA, 0, 9, b"x"), Code.PROTOCOL_ERROR),
    "data of no stream": (frame(Kind.DATA, 0, 0, b"x"), Code.PROTOCOL_ERROR),
    "headers of an even stream": (frame(Kind.HEADERS, 5, 2, b"\x82\x84\x87"), Code.PROTOCOL_ERROR),
    "headers of no stream": (frame(Kind.HEADERS, 5, 0, b"\x82"), Code.PROTOCOL_ERROR),
    "padding": (frame(Kind.HEADERS, 5 | Flag.PADDED, 1, b"\x09\x82"), Code.PROTOCOL_ERROR),
    "padding of nothing": (frame(Kind.HEADERS, 5 | Flag.PADDED, 1), Code.PROTOCOL_ERROR),
    "continuation of nothing": (frame(Kind.CONTINUATION, 4, 1, b"\x82"), Code.PROTOCOL_ERROR),
    "a frame within a block": (
        frame(Kind.HEADERS, 1, 1, b"\x82") + frame(Kind.PING, 0, 0, b"12345678"),
        Code.PROTOCOL_ERROR,
    ),
    "another block": (
        frame(Kind.HEADERS, 1, 1, b"\x82") + frame(Kind.CONTINUATION, 4, 3, b"\x84"),
        Code.PROTOCOL_ERROR,
    ),
    "ping of a stream": (frame(Kind.PING, 0, 1, b"12345678"), Code.PROTOCOL_ERROR),
    "a short ping": (frame(Kind.PING, 0, 0, b"1234567"), Code.FRAME_SIZE_ERROR),
    "settings of a stream": (frame(Kind.SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
    "half a setting": (frame(Kind.SETTINGS, 0, 0, b"12345"), Code.FRAME_SIZE_ERROR),
    "an acknowledgement with settings": (frame(Kind.SETTINGS, Flag.ACK, 0, b"123456"), Code.FRAME_SIZE_ERROR),
    "push": (frame(Kind.SETTINGS, 0, 0, struct.pack(">HI", 2, 2)), Code.PROTOCOL_ERROR),
    "a window that is too large": (frame(Kind.SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)), 3),
    "small frames": (frame(Kind.SETTINGS, 0, 0, struct.pack(">HI", 5, 16383)), Code.PROTOCOL_ERROR),
    "large frames": (frame(Kind.SETTINGS, 0, 0, struct.pack(">HI", 5, 1 << 24)), Code.PROTOCOL_ERROR),
    "too many settings": (frame(Kind.SETTINGS, 0, 0, struct.pack(">HI", 99, 1) * 65), Code.ENHANCE_YOUR_CALM),
    "reset of an idle stream": (number(Kind.RST_STREAM, 9, 8), Code.PROTOCOL_ERROR),
    "reset of no stream": (number(Kind.RST_STREAM, 0, 8), Code.PROTOCOL_ERROR),
    "a short reset": (frame(Kind.RST_STREAM, 0, 1, b"x"), Code.FRAME_SIZE_ERROR),
    "window of an idle stream": (number(Kind.WINDOW_UPDATE, 9, 8), Code.PROTOCOL_ERROR),
    "a window that does not grow": (number(Kind.WINDOW_UPDATE, 0, 0), Code.PROTOCOL_ERROR),
    "a short window": (frame(Kind.WINDOW_UPDATE, 0, 0, b"x"), Code.FRAME_SIZE_ERROR),
    "priority of no stream": (frame(Kind.PRIORITY, 0, 0, b"12345"), Code.PROTOCOL_ERROR),
    "a short priority": (frame(Kind.PRIORITY, 0, 1, b"1"), Code.FRAME_SIZE_ERROR),
    "a promise": (frame(Kind.PUSH, 4, 1, b"\0\0\0\2\x82"), Code.PROTOCOL_ERROR),
    "goaway of a stream": (frame(Kind.GOAWAY, 0, 1, b"12345678"), Code.PROTOCOL_ERROR),
    "a short goaway": (frame(Kind.GOAWAY, 0, 0, b"1234567"), Code.FRAME_SIZE_ERROR),
    "an index of nothing": (frame(Kind.HEADERS, 5, 1, b"\x80"), 9),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
@run
async def test_a_frame_against_the_protocol_ends_the_connection(name: str) -> None:
    data, code = BAD_FRAMES[name]
    peer = Raw(settings=None).send(PREFACE)
    if name != "no settings first":
        peer.send(frame(Kind.SETTINGS))
    for at in range(0, len(data), 7):
        peer.send(data[at : at + 7])
    assert [code for _, code in peer.goaways()] == [code] and peer.transport.closed
    assert sum(peer.http2.shared.faults.values()) == 1 and peer.http1.service.open == 0


@run
async def test_what_is_no_http_2_gets_its_end_at_once() -> None:
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rx", b"\0"):
        peer = Raw(settings=None).send(data)
        assert peer.transport.closed and peer.goaways() == [(0, Code.PROTOCOL_ERROR)]


@run
async def test_frames_of_closed_streams() -> None:
    for late in (frame(Kind.DATA, 0, 1, b"x"), frame(Kind.HEADERS, 5, 1, b"\x82\x84\x87")):
        peer = Raw()
        peer.ask()
        peer.send(number(Kind.WINDOW_UPDATE, 1, 100), number(Kind.RST_STREAM, 1, Code.CANCEL))
        assert not peer.transport.closed, "these may have crossed its end"
        peer.send(late)
        assert peer.goaways() == [(1, Code.STREAM_CLOSED)] and peer.transport.closed
    never = asyncio.get_running_loop().create_future()
    for late in (frame(Kind.DATA, 0, 1, b"x"), frame(Kind.HEADERS, 5, 1, b"\x82\x84\x87")):
        peer = Raw(lambda _: never)
        peer.ask()
        peer.send(late)
        assert peer.resets() == {1: Code.STREAM_CLOSED} and not peer.transport.closed


@run
async def test_h2_agrees_with_every_frame() -> None:
    def handler(request: Request) -> Any:
        size = int(request.path[1:] or 0)
        if request.method == "POST":
            return Response(200, request.body)
        return Response(200, b"x" * size)

    client = Client(Raw(handler, settings=None))
    sizes = [0, 1, 1000, 16384, 16385, 65536, 65537, 300_000, 3_000_000]
    streams = {client.ask("GET", f"/{size}"): size for size in sizes}
    for _ in range(100):
        await asyncio.sleep(0)
        client.flush()
    assert {stream: len(client.bodies.get(stream, b"")) for stream in streams} == streams
    assert client.ended == set(streams)
    stream = client.ask("POST", "/", ends=False)
    client.h2.send_data(stream, b"a" * 10_000)
    client.h2.send_data(stream, b"b" * 10_000, end_stream=True, pad_length=9)
    client.flush()
    assert client.bodies[stream] == b"a" * 10_000 + b"b" * 10_000
    client.h2.ping(b"12345678")
    client.flush()
    client.h2.close_connection()
    client.flush()
