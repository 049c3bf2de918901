"""The reader and writer of WebSocket frames, held against wsproto and websockets."""

import struct
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise

import pytest
from fuzz.engine_frames import of_wsproto, whole
from hypothesis import example, given
from hypothesis import strategies as st
from server.duplexes import frame
from websockets.frames import Frame as Wire
from websockets.protocol import Protocol, Side, State

from pilothouse.server import _websocket
from pilothouse.server._websocket import Reader

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
LARGEST = 3000 + 300
"""Units of an event of these tests, with its frame and bytes."""

Event = tuple[int, bytes, bool]


def cut(raw: bytes, places: Iterable[int]) -> list[bytes]:
    """The bytes in parts, cut at these places."""
    ends = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in pairwise(ends)]


def read(parts: Iterable[bytes], units: int = 1 << 40) -> tuple[list[Event], int]:
    """The events of bytes that come in these parts, with these units for each call, and the error."""
    reader, out = Reader(), []
    for part in parts:
        reader.feed(part)
        out += reader.read(units)
        while reader.pending:
            out += reader.read(units)
    return whole(out), reader.error


def assert_alike(ours: tuple[list[Event], int], theirs: tuple[list[Event], int]) -> None:
    """wsproto waits for the rest of some frames, although the beginning of the head is wrong."""
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1] or (ours[1], theirs[1]) == (1002, 0)


def of_websockets(raw: bytes) -> int:
    """The code with which websockets ends the connection for these bytes, 0 if it does not.

    It refuses a close within a fragmented message, which RFC 6455 allows (5.4: control frames may come
    between fragments); wsproto does not.
    """
    protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=None)
    protocol.receive_data(raw)
    error = protocol.parser_exc
    if error is None or "incomplete fragmented message" in str(error) or not protocol.close_sent:
        return 0
    return protocol.close_sent.code


_payload = st.one_of(
    st.binary(max_size=20), st.text(max_size=10).map(str.encode), st.binary(min_size=120, max_size=140)
)
_codes = st.one_of(st.integers(0, 5100), st.sampled_from((1000, 1005, 1006, 1011, 1015, 3000, 4999, 5000)))
_frames = st.one_of(
    st.builds(frame, st.sampled_from((CONT, TEXT, BINARY)), _payload, fin=st.booleans()),
    st.builds(frame, st.sampled_from((TEXT, BINARY)), _payload),
    st.builds(frame, st.sampled_from((PING, PONG)), st.binary(max_size=125)),
    st.builds(
        lambda code, reason: frame(CLOSE, struct.pack(">H", code) + reason),
        _codes,
        _payload.map(lambda p: p[:100]),
    ),
    st.builds(frame, st.integers(0, 15), st.binary(max_size=130), fin=st.booleans(), masked=st.booleans()),
    st.integers(0, 1 << 16).map(lambda length: frame(BINARY, b"", length=length)),
)
_streams = st.lists(_frames, max_size=10).map(b"".join)
_places = st.lists(st.integers(0), max_size=8)


@given(_streams, _places, st.sampled_from((1, 5000, 1 << 40)))
@example(frame(TEXT, b"\xf0\x9f", fin=False) + frame(PING, b"p") + frame(CONT, b"\x98\x80"), [9, 13], 1)
@example(frame(TEXT, b"\xed\xa0\x80"), [], 1)
@example(frame(BINARY, b"x", fin=False) + frame(CLOSE, b""), [], 1)
@example(frame(TEXT, b"", fin=False) + frame(BINARY, b"", length=1), [], 1)
def test_any_frames_cut_anywhere_are_what_wsproto_reads(raw: bytes, places: list[int], units: int) -> None:
    assert_alike(read(cut(raw, places), units), of_wsproto(raw))


@given(_streams, _places)
@example(frame(TEXT, b"", fin=False) + frame(CLOSE, b"\x03\xe8"), [])
def test_it_ends_connections_as_websockets_does(raw: bytes, places: list[int]) -> None:
    """But for lengths that are longer than needed, which websockets bears."""
    _, error = read(cut(raw, places))
    if of_websockets(raw) in (1002, 1007):
        assert error in (1002, 1007)


@given(st.binary(max_size=300), _places)
def test_garbage(garbage: bytes, places: list[int]) -> None:
    assert_alike(read(cut(garbage, places)), of_wsproto(garbage))


@given(st.lists(st.integers(0, 255), max_size=8).map(bytes))
def test_text_is_utf_8(text: bytes) -> None:
    try:
        text.decode()
        valid = True
    except UnicodeDecodeError:
        valid = False
    for place in range(len(text) + 1):
        raw = frame(TEXT, text[:place], fin=False) + frame(CONT, text[place:])
        assert (read([raw])[1] == 0) is valid


@given(_streams, _places, st.integers(1, 20_000))
def test_a_call_does_what_it_may_and_one_event_more(raw: bytes, places: list[int], units: int) -> None:
    reader = Reader()
    for part in cut(raw, places):
        reader.feed(part)
        while reader.pending:
            events = reader.read(units)
            assert reader.spent < units + LARGEST
            assert len(events) * 3000 <= reader.spent


def test_what_carries_no_data_is_counted() -> None:
    reader = Reader()
    reader.feed(
        frame(BINARY, b"", fin=False)
        + frame(CONT, b"x", fin=False)
        + frame(PING, b"p")
        + frame(PONG)
        + frame(CONT)
    )
    assert reader.read(1 << 40) == [(BINARY, b"x", False), (PING, b"p", True), (BINARY, b"", True)]
    assert reader.empty == 4


def test_memory_is_what_the_bytes_take() -> None:
    """The reader makes no more events, which take up to 30 bytes per byte of small frames,
    than there are units for."""
    for piece in (frame(BINARY), frame(BINARY, b"x"), frame(BINARY, b"x" * 1000), frame(PING)):
        raw = piece * (262_144 // len(piece))
        reader = Reader()
        tracemalloc.start()
        try:
            reader.feed(raw)
            while reader.pending:
                reader.read(1_000_000)
            assert tracemalloc.get_traced_memory()[1] < 2 * len(raw)
        finally:
            tracemalloc.stop()


@given(st.integers(0, 200) | st.integers(65_500, 65_600))
def test_frames_of_a_server(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    for opcode in (TEXT, BINARY, PONG)[: 3 if size < 126 else 2]:
        assert _websocket.frame(opcode, data) == Wire(opcode, data).serialize(mask=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("wide", [126, 127])
def test_a_length_is_judged_before_the_mask_has_come(wide: int) -> None:
    reader = Reader()
    reader.feed(
        bytes((0x82, 0x80 | wide)) + (1 << 63 if wide == 127 else 125).to_bytes(8 if wide == 127 else 2)
    )
    assert reader.read(1) == [] and reader.error == 1002
