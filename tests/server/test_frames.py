"""Frames of connections that were taken over: turns, budgets, and what goes out in one write."""

import asyncio
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from server.duplexes import Peer, frame
from server.fake_transport import run
from virtual_time import VirtualLoop

from pilothouse.outbound import spdy
from pilothouse.outbound._spdy import Reader as SpdyReader
from pilothouse.server._turns import Line
from pilothouse.server._websocket import Reader
from pilothouse.server.frames import AHEAD, IDLE_FRAMES, IDLE_PER_SECOND, Frames

TURN = 1_000_000
"""Units of a turn: a millisecond."""

OVER = 2 * 32_000 + 20_000
"""Units above it that a connection may use, as it looks at its turn from time to time."""

BINARY, PING = 2, 9


class Counted:
    """A reader, and the units that it has used in all."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader
        self.used = 0

    def read(self, units: int) -> list[Any]:
        events: list[Any] = self.reader.read(units)
        self.used += self.reader.spent
        return events

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reader, name)


class Receiver:
    """Keeps the events of a connection, and whatever else it is told."""

    def __init__(self, reader: Any = None, line: Line | None = None, other: Peer | None = None) -> None:
        self.peer = Peer()
        self.line = line or self.peer.line
        self.reader = Counted(reader or Reader())
        self.refused: list[Any] = []
        self.frames = Frames(
            self.peer.duplex, self.line, self.reader, self.take, self.refused.append, "flood"
        )
        self.peer.duplex.start(self)
        if other is not None:
            self.frames.sinks = (self.peer.duplex, other.duplex)
        self.other = other
        self.events: list[Any] = []
        self.ends: list[str] = []
        self.keeps = True
        self.fails = False

    def take(self, events: list[Any]) -> None:
        if self.fails:
            raise RuntimeError("a bug")
        if self.keeps:
            self.events += events
        if self.other is not None:
            for _ in events:
                self.other.duplex.write(b"x")

    def spent(self, callback: Callable[[], None]) -> int:
        """Units that the reader uses in a callback."""
        before = self.reader.used
        callback()
        return self.reader.used - before

    def received(self, data: bytes) -> None:
        self.frames.received(data)

    def blocked(self, blocked: bool) -> None:
        pass

    def closed(self, error: BaseException | None) -> None:
        self.frames.closed(lambda: self.ends.append("closed"))

    def leave(self) -> None:
        pass


@run
async def test_one_read_of_small_frames_takes_many_turns() -> None:
    """256 KB of frames of seven bytes are 37,000 events; they were given in one callback."""
    receiver = Receiver()
    raw = frame(BINARY, b"x") * 37_000
    assert receiver.spent(lambda: receiver.peer.send(raw)) < TURN + OVER
    assert 100 < len(receiver.events) < 500
    turns = 0
    while len(receiver.events) < 37_000:
        assert receiver.spent(receiver.line.run) < TURN + OVER
        turns += 1
    assert turns > 100 and not len(receiver.line) and not receiver.refused


@run
async def test_what_is_written_in_a_turn_goes_out_at_once() -> None:
    other = Peer()
    receiver = Receiver(other=other)
    receiver.peer.send(frame(BINARY, b"x") * 1000)
    while len(receiver.events) < 1000:
        await asyncio.sleep(0)
    assert len(other.transport.writes) <= 4 and len(other.take()) == 1000


@run
async def test_connections_take_turns() -> None:
    """A flood does not keep another connection of the same server waiting for longer than a turn."""
    line = Line(asyncio.get_running_loop())
    flood, shell = Receiver(line=line), Receiver(line=line)
    flood.peer.send(frame(BINARY, b"x") * 37_000)
    shell.peer.send(frame(BINARY, b"x") * 400)
    before = len(flood.events)
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(shell.events) == 400 and len(flood.events) < before + 2000


@run
async def test_reading_goes_on_until_much_waits() -> None:
    receiver = Receiver()
    piece = frame(BINARY, b"x") * 10_000
    receiver.peer.send(piece, piece)
    assert not receiver.peer.paused, "what is sent before the end of a connection must not be lost"
    for _ in range(AHEAD // len(piece) + 1):
        receiver.peer.send(piece)
    assert receiver.peer.paused
    while receiver.peer.paused:
        receiver.line.run()
    while len(receiver.line):
        receiver.line.run()
    assert len(receiver.events) == 10_000 * (AHEAD // len(piece) + 3)


@run
async def test_the_end_of_a_connection_comes_after_its_frames() -> None:
    receiver = Receiver()
    receiver.peer.send(frame(BINARY, b"x") * 1000)
    receiver.peer.lose()
    assert receiver.ends == []
    while len(receiver.line):
        receiver.line.run()
    assert len(receiver.events) == 1000 and receiver.ends == ["closed"]


@run
async def test_a_receiver_may_pause_in_the_middle() -> None:
    receiver = Receiver()
    receiver.peer.send(frame(BINARY, b"x") * 1000)
    receiver.frames.pause()
    before = len(receiver.events)
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(receiver.events) == before and receiver.peer.paused
    receiver.frames.resume()
    assert len(receiver.events) == before, "not within the call"
    while len(receiver.line):
        receiver.line.run()
    assert len(receiver.events) == 1000 and not receiver.peer.paused


@pytest.mark.parametrize(
    ("reader", "idle"), [(Reader, frame(PING)), (Reader, frame(BINARY)), (SpdyReader, spdy.ping(1))]
)
async def test_frames_that_carry_nothing_have_a_budget(
    virtual: VirtualLoop, reader: Callable[[], Any], idle: bytes
) -> None:
    receiver = Receiver(reader())
    for number in range(1, 4):
        receiver.peer.send(idle * IDLE_FRAMES)
        while len(receiver.line):
            receiver.line.run()
        assert receiver.refused == [], number
        await virtual.advance(IDLE_FRAMES / IDLE_PER_SECOND + 1)
    receiver.peer.send(idle * (IDLE_FRAMES + 1))
    while len(receiver.line):
        receiver.line.run()
    assert receiver.refused == ["flood"]
    before = len(receiver.events)
    receiver.peer.send(idle * 10)
    assert len(receiver.events) == before


@run
async def test_single_bytes_are_slowed_and_never_cut() -> None:
    receiver = Receiver()
    for _ in range(100):
        receiver.peer.send(frame(BINARY, b"x") * 3000)
        while len(receiver.line):
            receiver.line.run()
    assert len(receiver.events) == 300_000 and receiver.refused == []


@run
async def test_a_receiver_that_fails_in_a_later_turn_loses_its_connection() -> None:
    receiver = Receiver()
    receiver.peer.send(frame(BINARY, b"x") * 1000)
    receiver.fails = True
    with pytest.raises(RuntimeError):
        receiver.line.run()
    assert receiver.peer.transport.aborted


_websocket = st.one_of(
    st.builds(frame, st.sampled_from((0, 1, 2, 9, 10)), st.binary(max_size=3), fin=st.booleans()),
    st.integers(1, 3000).map(lambda count: frame(BINARY, b"x") * count),
    st.integers(1, 3000).map(lambda count: frame(PING, b"") * count),
    st.integers(0, 5000).map(lambda size: frame(BINARY, bytes(size))),
)
_spdy = st.one_of(
    st.integers(1, 3000).map(lambda count: next(spdy.data_frames(1, b"x")) * count),
    st.integers(1, 2000).map(
        lambda n: (next(spdy.data_frames(1, b"x")) + next(spdy.data_frames(3, b"y"))) * n
    ),
    st.integers(1, 3000).map(lambda count: spdy.ping(2) * count),
    st.integers(1, 3000).map(lambda count: spdy.rst_stream(1) * count),
    st.binary(max_size=8),
)
_floods = st.one_of(
    st.tuples(st.just(Reader), st.lists(_websocket, max_size=6).map(b"".join)),
    st.tuples(st.just(SpdyReader), st.lists(_spdy, max_size=6).map(b"".join)),
)

BYTES = 3
"""Bytes of memory for each byte that was received and not given on, and PART for what one turn works on."""

PART = 256 * 1024


@settings(max_examples=30 * SCALE, deadline=None)
@given(_floods, st.lists(st.integers(0), max_size=5))
def test_any_frames_cut_anywhere_cost_a_turn_at_a_time(flood: tuple[Any, bytes], places: list[int]) -> None:
    kind, raw = flood
    ends = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]

    async def go() -> None:
        receiver = Receiver(kind())
        receiver.keeps = False
        tracemalloc.start()
        try:
            for start, end in pairwise(ends):
                part = raw[start:end]
                assert receiver.spent(lambda part=part: receiver.peer.send(part)) < TURN + OVER  # type: ignore[misc]
            while len(receiver.line):
                assert receiver.spent(receiver.line.run) < TURN + OVER
            assert tracemalloc.get_traced_memory()[1] < BYTES * len(raw) + PART
        finally:
            tracemalloc.stop()
        assert not receiver.reader.pending or receiver.refused

    asyncio.run(go())
