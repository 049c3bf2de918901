"""SPDY's frames: bytes that Go's client has sent,
bytes worked out from the specification, and hostile ones."""

import struct
import tracemalloc
import zlib
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from spdy_model import Frame, Model

from pilothouse.outbound import spdy
from pilothouse.outbound._spdy import Kind, Reader
from pilothouse.outbound.spdy import DICTIONARY, Event, FrameWriter

KUBECTL = bytes.fromhex(
    "80030001000000290000000100000000000078f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff"
    "800300010000001700000003000000000000c22e555c92929907000000ffff"
    "800300010000001900000005000000000000c22ac5565c92925f5a02000000ffff"
    "800300010000001500000007000000000000c229975a5404000000ffff"
    "000000030000000568656c6c6f0000000301000000"
)
"""The bytes that `kubectl exec -i` of v1.37 sends over SPDY when its standard input is `hello`."""

FEW = 5000
"""Units for one event."""


def read(*parts: bytes, units: int = 1 << 40) -> tuple[list[Event], str]:
    """The events of bytes that come in these parts, with these units for each call, and the error."""
    reader, out = Reader(), []
    for part in parts:
        reader.feed(part)
        out += reader.read(units)
        while reader.pending:
            out += reader.read(units)
    return out, reader.error


def joined(events: Iterable[Event]) -> list[Event]:
    """The events with the data of a stream in a row put together, and without that of an empty end."""
    out: list[Event] = []
    for kind, stream, fin, data, value in events:
        if kind == spdy.DATA and out and out[-1][:3] == (spdy.DATA, stream, False):
            data = out.pop()[3] + data
        out.append((kind, stream, fin, data, value))
    return out


def expected(raw: bytes) -> tuple[list[Event], str]:
    """The events that the model makes of the same bytes."""
    model, out = Model(), []
    try:
        for frame in model.feed(raw):
            told = frame.type in (1, 3, 6, 7) or frame.fin or frame.data
            if told:
                out.append((frame.type, frame.stream, frame.fin, frame.data, frame.value))
    except ValueError as error:
        return joined(out), str(error)
    return joined(out), ""


def cut(raw: bytes, places: Iterable[int]) -> list[bytes]:
    """The bytes in parts, cut at these places."""
    ends = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in pairwise(ends)]


def opened(stream: int, **headers: str) -> bytes:
    return FrameWriter().syn_stream(stream, headers)


def test_the_frames_of_kubectl() -> None:
    streams = [(spdy.SYN_STREAM, number, False, b"", 0) for number in (1, 3, 5, 7)]
    data = [(0, 3, False, b"hello", 0), (0, 3, True, b"", 0)]
    assert read(KUBECTL) == ([*streams, *data], "")
    events, error = read(*[KUBECTL[i : i + 1] for i in range(len(KUBECTL))])
    assert joined(events) == [*streams, (0, 3, True, b"hello", 0)] and not error, "byte by byte"
    assert [f.headers for f in Model().feed(KUBECTL)][:4] == [
        {"streamtype": name} for name in ("error", "stdin", "stdout", "stderr")
    ]


def test_frames_of_the_specification() -> None:
    assert spdy.ping(7) == b"\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x07"
    assert spdy.rst_stream(5) == b"\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x05\x00\x00\x00\x05"
    assert spdy.goaway() == b"\x80\x03\x00\x07\x00\x00\x00\x08" + bytes(8)
    assert list(spdy.data_frames(3, b"hi")) == [b"\x00\x00\x00\x03\x00\x00\x00\x02hi"]
    assert list(spdy.data_frames(3, b"hi", fin=True)) == [b"\x00\x00\x00\x03\x01\x00\x00\x02hi"]
    assert list(spdy.data_frames(3, b"", fin=True)) == [b"\x00\x00\x00\x03\x01\x00\x00\x00"]
    assert list(spdy.data_frames(3, b"")) == []
    assert read(spdy.ping(7), spdy.rst_stream(5, 8), spdy.goaway()) == (
        [
            (spdy.PING, 0, False, b"", 7),
            (spdy.RST_STREAM, 5, False, b"", 8),
            (spdy.GOAWAY, 0, False, b"", 0),
        ],
        "",
    )


def test_a_stream_opened_by_hand() -> None:
    """SYN_STREAM is 10 bytes and a header block:
    a count, then names and values with their lengths (2.6.1, 2.6.10)."""
    raw = FrameWriter().syn_stream(9, {"StreamType": "data", "port": "80"}, fin=True)
    assert raw[:8] == struct.pack(">HHI", 0x8003, 1, 1 << 24 | len(raw) - 8)
    assert raw[8:18] == struct.pack(">IIH", 9, 0, 0)
    plain = zlib.decompressobj(zdict=DICTIONARY).decompress(raw[18:])
    assert plain == b"\0\0\0\x02\0\0\0\x0astreamtype\0\0\0\x04data\0\0\0\x04port\0\0\0\x0280"
    reply = FrameWriter().syn_reply(9)
    assert reply[:12] == struct.pack(">HHII", 0x8003, 2, len(reply) - 8, 9)
    assert zlib.decompressobj(zdict=DICTIONARY).decompress(reply[12:]) == bytes(4)


def test_the_dictionary() -> None:
    """The length and checksum of the dictionary are those that a compressed block names
    (RFC 1950, DICTID: 78 f9 e3c6a7c2 above)."""
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_header_blocks_share_one_stream_of_compression() -> None:
    writer = FrameWriter()
    first, second = writer.syn_stream(1, {"a": "x" * 50}), writer.syn_stream(3, {"a": "x" * 50})
    assert len(second) < len(first)
    assert [frame.headers for frame in Model().feed(first + second)] == [{"a": "x" * 50}] * 2


_frames = st.one_of(
    st.tuples(st.sampled_from((1, 3)), st.binary(max_size=40), st.booleans()).map(
        lambda of: b"".join(spdy.data_frames(of[0], of[1], fin=of[2])) or struct.pack(">II", of[0], 0)
    ),
    st.binary(min_size=1000, max_size=1100).map(lambda data: next(spdy.data_frames(5, data))),
    st.integers(0, 1 << 31).map(spdy.ping),
    st.integers(1, 9).map(spdy.rst_stream),
    st.just(spdy.goaway()),
    st.sampled_from((1, 3)).map(lambda stream: struct.pack(">III", 0x80030002, 1 << 24 | 4, stream)),
    st.sampled_from((4, 5, 9, 11)).map(lambda kind: struct.pack(">IIQ", 0x80030000 | kind, 8, 0)),
    st.sampled_from(
        (struct.pack(">IIII", 0x80030003, 8, 0, 1), struct.pack(">II", 0, 0), b"\x80\x02" + bytes(6))
    ),
)


@given(
    st.lists(_frames, max_size=12).map(b"".join),
    st.lists(st.integers(0), max_size=6),
    st.sampled_from((1, FEW)),
)
@example(b"".join(spdy.data_frames(1, b"x")) * 100 + spdy.ping(2), [9, 17, 35], 1)
def test_any_frames_cut_anywhere_are_what_the_model_reads(raw: bytes, places: list[int], units: int) -> None:
    events, error = read(*cut(raw, places), units=units)
    assert (joined(events), error) == expected(raw)


@given(st.lists(_frames, max_size=12).map(b"".join), st.lists(st.integers(0), max_size=6))
def test_a_call_does_what_it_may_and_one_event_more(raw: bytes, places: list[int]) -> None:
    reader = Reader()
    for part in cut(raw, places):
        reader.feed(part)
        while reader.pending:
            assert len(reader.read(FEW)) <= 3  # what was gathered, the event that it waited for, and the next
            assert reader.spent < FEW + 3 * 4100


def test_a_writer_of_single_bytes_makes_few_events() -> None:
    raw = b"".join(spdy.data_frames(5, b"x")) * 29_000
    reader, out, calls = Reader(), [], 0
    reader.feed(raw)
    while reader.pending:
        out += reader.read(1_000_000)
        calls += 1
    assert calls <= 2, "28 million units, were each an event"
    assert len(out) <= 2 and b"".join(event[3] for event in out) == b"x" * 29_000
    assert reader.empty == 0


def test_what_carries_no_data_is_counted() -> None:
    reader = Reader()
    reader.feed(
        struct.pack(">II", 1, 0)
        + spdy.ping(1)
        + b"".join(spdy.data_frames(1, b"x", fin=True))
        + spdy.rst_stream(1)
    )
    reader.read(1 << 40)
    assert reader.empty == 3


def test_long_data_is_cut_into_frames_and_read_without_being_kept() -> None:
    data = bytes(range(256)) * 1000
    frames = list(spdy.data_frames(1, data, fin=True))
    assert [len(frame) - 8 for frame in frames] == [65536, 65536, 65536, 59392]
    found, _ = read(b"".join(frames))
    assert b"".join(event[3] for event in found) == data
    assert [event[2] for event in found] == [False, False, False, True]
    reader = Reader()
    reader.feed(struct.pack(">II", 1, 0xFFFFFF))
    assert reader.read(FEW) == []
    tracemalloc.start()
    try:
        for _ in range(200):
            reader.feed(b"x" * 65536)
            for event in reader.read(1 << 40):
                assert len(event[3]) == 65536
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_header_blocks_are_passed_over() -> None:
    block = zlib.compress(bytes(10_000_000))
    bomb = struct.pack(">IIIIH", 0x80030001, 10 + len(block), 1, 0, 0) + block
    tracemalloc.start()
    try:
        assert read(bomb, spdy.ping(2)) == (
            [(spdy.SYN_STREAM, 1, False, b"", 0), (spdy.PING, 0, False, b"", 2)],
            "",
        )
        assert tracemalloc.get_traced_memory()[1] < 1 << 17
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(struct.pack(">II", 0x80020006, 4) + bytes(4), id="another version"),
        pytest.param(struct.pack(">II", 0x80030001, 0xFFFFFF), id="a control frame of 16 MB"),
        pytest.param(struct.pack(">II", 0x80030001, 4) + bytes(4), id="a short SYN_STREAM"),
        pytest.param(struct.pack(">II", 0x80030003, 4) + bytes(4), id="a short RST_STREAM"),
        pytest.param(struct.pack(">IIII", 0x80030003, 8, 0, 1), id="RST_STREAM of stream 0"),
        pytest.param(struct.pack(">II", 0, 1) + b"x", id="data of stream 0"),
    ],
)
def test_hostile_frames(bad: bytes) -> None:
    reader = Reader()
    reader.feed(spdy.ping(2) + bad + spdy.ping(4))
    assert reader.read(1 << 40) == [(spdy.PING, 0, False, b"", 2)] and reader.error and not reader.pending
    reader.feed(spdy.ping(6))
    assert reader.read(1 << 40) == []


@given(st.binary(max_size=200), st.lists(st.integers(0), max_size=4))
def test_garbage_is_refused_or_read(garbage: bytes, places: list[int]) -> None:
    events, _ = read(*cut(garbage, places))
    assert sum(len(event[3]) for event in events) <= len(garbage)
    assert read(garbage)[1] == read(*cut(garbage, places))[1]


def test_frames_and_kinds() -> None:
    assert Frame(spdy.PING, 0).type == int(Kind.PING) == 6
