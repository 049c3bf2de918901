"""The core of HTTP/2 without a loop: both sides speak to each other through bytes only."""

import random
import struct
from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from server.http2.peers import PREFACE, Code, Flag, Kind, fields, frame, number

from pilothouse.server._http2core import Session

ANSWER = [(":status", "200"), ("content-type", "text/plain")]
WINDOW, FIRST = 256 * 1024, 65535

Event = tuple[Any, ...]
Cut = Callable[[bytes], list[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def cut_at(chance: random.Random) -> Cut:
    """Pieces of any size, some of them empty or of a single byte."""

    def cut(data: bytes) -> list[bytes]:
        ends = [*sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((1, 3, 20)))), len(data)]
        return [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]

    return cut


def joined(events: list[Event]) -> list[Event]:
    """The events with the parts of each body put together where nothing came between them."""
    out: list[Any] = []
    for event in events:
        if event[0] == "data" and out and out[-1][:2] == event[:2]:
            out[-1] = (*event[:2], out[-1][2] + event[2])
        else:
            out.append(event)
    return out


class Pair:
    """A client and a server; `seen` has the events of each, by "client" and "server"."""

    def __init__(self, cut: Cut = whole, units: int | None = None) -> None:
        self.client, self.server = Session(client=True), Session(client=False)
        self.seen: dict[str, list[Event]] = {"client": [], "server": []}
        self.sent: dict[str, bytes] = {"client": b"", "server": b""}
        self.cut, self.units = cut, units

    def carry(self) -> None:
        """Carry bytes until neither side has any."""
        sides = {"client": self.client, "server": self.server}
        while any([self._carry(sides, "client", "server"), self._carry(sides, "server", "client")]):
            pass

    def _carry(self, sides: dict[str, Session], of: str, to: str) -> bool:
        data = sides[of].take_output()
        self.sent[of] += data
        for piece in self.cut(data):
            if self.units is None:
                self.seen[to] += sides[to].receive(piece)
            else:
                self.seen[to] += sides[to].receive(piece, self.units)
                while sides[to].waits:
                    before = len(self.seen[to])
                    self.seen[to] += sides[to].resume(self.units)
                    if len(self.seen[to]) == before:
                        break
        if self.units is not None:
            self.seen[to] += sides[to].resume()
        return bool(data)

    def ask(self, body: bytes | None = None, path: str = "/") -> int:
        stream = self.client.head(fields("GET" if body is None else "POST", path), body is None)
        if body is not None:
            assert self.client.send(stream, body, True) == len(body)
        self.carry()
        return stream

    def of(self, side: str, *kinds: str) -> list[Event]:
        return [event for event in joined(self.seen[side]) if event[0] in kinds]


def test_a_request_and_its_answer() -> None:
    pair = Pair()
    one = pair.ask(b"question", "/a?b=c")
    two = pair.ask()
    assert (one, two) == (1, 3) and pair.server.open_streams == [1, 3] == pair.client.open_streams
    assert pair.of("server", "head", "data", "end") == [
        ("head", 1, fields("POST", "/a?b=c"), False),
        ("data", 1, b"question"),
        ("end", 1),
        ("head", 3, fields(), True),
    ]
    pair.server.head(ANSWER, False, two)
    assert pair.server.send(two, b"answer") == 6
    pair.server.head([("grpc-status", "0")], True, two)
    pair.server.head([(":status", "204"), ("x-a", "b\r\nc")], True, one)
    pair.carry()
    assert pair.of("client", "head", "data", "end") == [
        ("head", 3, ANSWER, False),
        ("data", 3, b"answer"),
        ("head", 3, [("grpc-status", "0")], True),
        ("head", 1, [(":status", "204"), ("x-a", "b  c")], True),
    ]
    assert pair.client.open_streams == pair.server.open_streams == []


def test_a_long_head_comes_in_several_frames() -> None:
    pair = Pair()
    long = [*fields(), *((f"x-{i}", "v" * 1000) for i in range(50))]
    pair.client.head(long, True)
    pair.carry()
    assert pair.of("server", "head") == [("head", 1, long, True)]


def test_windows_of_a_stream_and_of_the_connection() -> None:
    pair = Pair()
    body = bytes(range(256)) * 4096
    stream = pair.ask()
    pair.server.head(ANSWER, False, stream)
    sent = 0
    while sent < len(body):
        taken = pair.server.send(stream, body[sent:], True)
        assert 0 < taken <= WINDOW
        sent += taken
        assert sent == len(body) or pair.server.send(stream, body[sent:], True) == 0, "the window is used up"
        pair.carry()
        pair.client.give_back(stream)
        pair.carry()
    (data,) = pair.of("client", "data")
    assert data == ("data", stream, body) and pair.of("client", "end") == [("end", stream)]
    assert pair.server.open_streams == pair.client.open_streams == []
    assert ("room", stream) in pair.seen["server"], "it is told that it may go on"


def test_a_peer_that_sends_more_than_a_window() -> None:
    pair = Pair()
    pair.client.head(fields("POST"), False)
    pair.carry()
    part = frame(Kind.DATA, 0, 1, b"x" * 16384)
    events = pair.server.receive(part * (WINDOW // 16384))
    assert [event[0] for event in events] == ["data"] * (WINDOW // 16384)
    assert pair.server.receive(part) == [("reset", 1, Code.FLOW_CONTROL_ERROR)]
    assert pair.server.open_streams == []
    assert pair.server.receive(part) == [], "what still comes is ignored"


def test_either_side_resets_a_stream() -> None:
    pair = Pair()
    one, two = pair.ask(), pair.ask()
    pair.client.reset(one)
    pair.server.reset(two, Code.REFUSED_STREAM)
    pair.carry()
    assert pair.of("server", "reset") == [("reset", one, Code.CANCEL)]
    assert pair.of("client", "reset") == [("reset", two, Code.REFUSED_STREAM)]
    assert pair.client.open_streams == pair.server.open_streams == []


def test_a_server_takes_leave() -> None:
    pair = Pair()
    one = pair.ask()
    pair.server.goodbye()
    pair.server.goodbye()
    late = pair.client.head(fields(), True)
    pair.carry()
    assert pair.of("client", "goaway") == [("goaway", 0x7FFFFFFF, 0), ("goaway", late, 0)]
    assert pair.server.open_streams == [one, late], "it was opened before the client could know"
    pair.ask()
    assert pair.server.open_streams == [one, late]
    pair.server.head(ANSWER, True, one)
    pair.carry()
    assert pair.of("client", "head") == [("head", one, ANSWER, True)]


def test_more_streams_than_the_server_allows_are_refused() -> None:
    server = Session(client=False, max_streams=2)
    client = Session(client=True)
    for _ in range(3):
        client.head(fields(), True)
    server.receive(client.take_output())
    assert server.open_streams == [1, 3]
    assert ("reset", 5, Code.REFUSED_STREAM) in client.receive(server.take_output())


SETTLED = frame(Kind.SETTINGS)
HEAD = frame(Kind.HEADERS, Flag.END_HEADERS, 1, b"\x88")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(Kind.PING, 0, 0, bytes(8)), Code.PROTOCOL_ERROR),
        (PREFACE + SETTLED, Code.FRAME_SIZE_ERROR),
        (frame(Kind.SETTINGS, 0, 0, struct.pack(">HI", 2, 1)), Code.PROTOCOL_ERROR),
        (SETTLED + frame(Kind.PUSH, Flag.END_HEADERS, 1, bytes(5)), Code.PROTOCOL_ERROR),
        (SETTLED + frame(Kind.HEADERS, Flag.END_HEADERS, 5, b"\x88"), Code.PROTOCOL_ERROR),
        (SETTLED + frame(Kind.DATA, 0, 5, b"x"), Code.PROTOCOL_ERROR),
        (SETTLED + HEAD + frame(Kind.DATA, 0, 1, b"x" * 16385), Code.FRAME_SIZE_ERROR),
        (SETTLED + frame(Kind.HEADERS, 0, 1, b"\x88") + SETTLED, Code.PROTOCOL_ERROR),
        (SETTLED + frame(Kind.HEADERS, Flag.END_HEADERS, 1, b"\xff\xff"), Code.COMPRESSION_ERROR),
        (SETTLED + number(Kind.WINDOW_UPDATE, 0, 0), Code.PROTOCOL_ERROR),
    ],
)
def test_a_server_that_breaks_the_protocol(data: bytes, code: int) -> None:
    client = Session(client=True)
    client.head(fields(), True)
    client.take_output()
    assert client.receive(data)[-1] == ("failure", code)
    last = client.take_output()
    assert client.receive(SETTLED) == [], "nothing is read any more"
    assert struct.pack(">II", 0, code) in last


@pytest.mark.parametrize("client", [False, True])
def test_frames_that_change_nothing_are_limited_in_time(client: bool) -> None:
    time = [0.0]
    session = Session(client=client, clock=lambda: time[0])
    session.receive((b"" if client else PREFACE) + SETTLED)
    ping = frame(Kind.PING, 0, 0, bytes(8))
    assert session.receive(ping * 9_900) == []
    time[0] += 10
    assert session.receive(ping * 3_000) == [], "some are forgiven each second"
    assert session.receive(ping * 10_000) == [("failure", Code.ENHANCE_YOUR_CALM)]


def test_work_that_has_no_room_in_a_turn_waits() -> None:
    client, server = Session(client=True), Session(client=False)
    for _ in range(30):
        client.head(fields(), True)
    events = server.receive(client.take_output(), 10_000)
    assert 0 < len(events) < 10 and server.waits
    while server.waits:
        more = server.resume(10_000)
        assert 0 < len(more) < 10
        events += more
    assert [event[1] for event in events if event[0] == "head"] == list(range(1, 60, 2))


def test_a_client_and_the_server_of_another_library() -> None:
    other = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    other.initiate_connection()
    client = Session(client=True)
    body, got = bytes(range(256)) * 1000, b""
    stream = client.head(fields("POST", "/x"), False)
    sent, events, answered = 0, [], False
    for _ in range(100):
        sent += client.send(stream, body[sent:], True) if sent < len(body) else 0
        for event in other.receive_data(client.take_output()):
            if isinstance(event, h2.events.RequestReceived):
                assert [(str(name), str(value)) for name, value in event.headers] == fields("POST", "/x")
            elif isinstance(event, h2.events.DataReceived):
                got += event.data
                other.acknowledge_received_data(event.flow_controlled_length, stream)
            elif isinstance(event, h2.events.StreamEnded):
                other.send_headers(stream, [*ANSWER, ("set-cookie", "a=b")])
                other.send_data(stream, b"done", end_stream=True)
                answered = True
        events += client.receive(other.data_to_send())
        if answered:
            break
    assert got == body and client.open_streams == []
    assert [event for event in events if event[0] != "room"] == [
        ("head", stream, [*ANSWER, ("set-cookie", "a=b")], False),
        ("data", stream, b"done"),
        ("end", stream),
    ]


# --- cut anywhere, it is the same


def converse(seed: int, pair: Pair) -> Pair:
    """Requests, answers, bodies, resets and windows at random, carried after each."""
    chance = random.Random(seed)
    closed: set[tuple[str, int]] = set()
    answered: set[int] = set()
    for _ in range(chance.randint(3, 25)):
        side = chance.choice(("client", "server"))
        session = pair.client if side == "client" else pair.server
        ends = chance.random() < 0.4
        stream = chance.choice(session.open_streams or [0])
        match chance.randrange(8):
            case 0 | 1 | 2 if side == "client":
                more = [(f"x-{i}", "v" * chance.randrange(3000)) for i in range(chance.randrange(9))]
                stream = session.head([*fields("POST"), *more], ends)
                if ends:
                    closed.add((side, stream))
            case 0 | 1 | 2 if stream and stream not in answered:
                session.head(ANSWER, ends, stream)
                answered.add(stream)
                if ends:
                    closed.add((side, stream))
            case 3 | 4 if (
                stream and (side, stream) not in closed and (side == "client" or stream in answered)
            ):
                body = chance.randbytes(chance.choice((1, 100, 17_000, 70_000)))
                if session.send(stream, body, ends) == len(body) and ends:
                    closed.add((side, stream))
            case 5:
                session.give_back(stream)
            case 6 if chance.random() < 0.3:
                session.reset(stream)
            case 7 if chance.random() < 0.1:
                session.goodbye()
            case _:
                pass
        pair.carry()
    return pair


@settings(max_examples=30 * SCALE, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(0, 1 << 32))
def test_cut_anywhere_both_sides_see_the_same(seed: int, cuts: int) -> None:
    one = converse(seed, Pair())
    for other in (
        converse(seed, Pair(cut_at(random.Random(cuts)))),
        converse(seed, Pair(cut_at(random.Random(cuts)), units=3000)),
    ):
        for side in ("client", "server"):
            assert joined(other.seen[side]) == joined(one.seen[side])
            assert other.sent[side] == one.sent[side]


@settings(max_examples=50 * SCALE, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(0, 1 << 32), st.booleans())
def test_cut_anywhere_what_is_broken_fails_in_the_same_way(seed: int, cuts: int, client: bool) -> None:
    chance = random.Random(cuts)
    data = bytearray(converse(seed, Pair()).sent["server" if client else "client"])
    for _ in range(chance.randint(1, 5)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    seen, sent = [], []
    for cut in (whole, cut_at(chance)):
        session = Session(client=client)
        if client:
            for _ in range(25):
                session.head(fields("POST"), False)
        events: list[Event] = []
        for piece in cut(bytes(data)):
            events += session.receive(piece)
        seen.append(joined(events))
        sent.append(session.take_output())
    assert seen[0] == seen[1] and sent[0] == sent[1]
