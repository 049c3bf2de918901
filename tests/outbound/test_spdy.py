"""SPDY's frames: bytes that Go's client has sent, bytes worked out from the specification, and hostile ones."""

import struct
import tracemalloc
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.outbound import spdy
from pilothouse.outbound.spdy import DICTIONARY, Frame, Reader, SpdyError, Writer

KUBECTL = bytes.fromhex(
    "80030001000000290000000100000000000078f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff"
    "800300010000001700000003000000000000c22e555c92929907000000ffff"
    "800300010000001900000005000000000000c22ac5565c92925f5a02000000ffff"
    "800300010000001500000007000000000000c229975a5404000000ffff"
    "000000030000000568656c6c6f0000000301000000"
)
"""What `kubectl exec -i` of v1.37 sends over SPDY when its standard input is `hello`."""


def read(*parts: bytes) -> list[Frame]:
    reader = Reader()
    return [frame._replace(data=bytes(frame.data)) for part in parts for frame in reader.feed(part)]


def test_the_frames_of_kubectl() -> None:
    expected = [
        Frame(spdy.SYN_STREAM, number, headers={"streamtype": name})
        for number, name in ((1, "error"), (3, "stdin"), (5, "stdout"), (7, "stderr"))
    ]
    expected += [Frame(0, 3, data=b"hello"), Frame(0, 3, fin=True)]
    assert read(KUBECTL) == expected
    whole = read(*[KUBECTL[i : i + 1] for i in range(len(KUBECTL))])
    assert [f for f in whole if f.type] == expected[:4], "byte by byte"
    assert b"".join(f.data for f in whole) == b"hello" and whole[-1].fin


def test_frames_of_the_specification() -> None:
    assert spdy.ping(7) == b"\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x07"
    assert spdy.rst_stream(5) == b"\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x05\x00\x00\x00\x05"
    assert spdy.goaway() == b"\x80\x03\x00\x07\x00\x00\x00\x08" + bytes(8)
    assert list(spdy.data_frames(3, b"hi")) == [b"\x00\x00\x00\x03\x00\x00\x00\x02hi"]
    assert list(spdy.data_frames(3, b"hi", fin=True)) == [b"\x00\x00\x00\x03\x01\x00\x00\x02hi"]
    assert list(spdy.data_frames(3, b"", fin=True)) == [b"\x00\x00\x00\x03\x01\x00\x00\x00"]
    assert list(spdy.data_frames(3, b"")) == []
    assert read(spdy.ping(7), spdy.rst_stream(5, 8), spdy.goaway()) == [
        Frame(spdy.PING, 0, value=7),
        Frame(spdy.RST_STREAM, 5, value=8),
        Frame(spdy.GOAWAY, 0),
    ]


def test_a_stream_opened_by_hand() -> None:
    """SYN_STREAM is 10 bytes and a header block: a count, then names and values with their lengths (2.6.1, 2.6.10)."""
    opened = Writer().syn_stream(9, {"StreamType": "data", "port": "80"}, fin=True)
    assert opened[:8] == struct.pack(">HHI", 0x8003, 1, 1 << 24 | len(opened) - 8)
    assert opened[8:18] == struct.pack(">IIH", 9, 0, 0)
    plain = zlib.decompressobj(zdict=DICTIONARY).decompress(opened[18:])
    assert plain == b"\0\0\0\x02\0\0\0\x0astreamtype\0\0\0\x04data\0\0\0\x04port\0\0\0\x0280"
    reply = Writer().syn_reply(9)
    assert reply[:12] == struct.pack(">HHII", 0x8003, 2, len(reply) - 8, 9)
    assert zlib.decompressobj(zdict=DICTIONARY).decompress(reply[12:]) == bytes(4)


def test_the_dictionary() -> None:
    """Its length and checksum are those that a compressed block names (RFC 1950, DICTID: 78 f9 e3c6a7c2 above)."""
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_header_blocks_share_one_stream_of_compression() -> None:
    writer = Writer()
    first, second = writer.syn_stream(1, {"a": "x" * 50}), writer.syn_stream(3, {"a": "x" * 50})
    assert len(second) < len(first)
    assert [frame.headers for frame in read(first, second)] == [{"a": "x" * 50}] * 2
    with pytest.raises(SpdyError):
        read(second)


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 40))
def test_data_comes_through_whatever_the_reads(parts: list[bytes], size: int) -> None:
    writer = Writer()
    raw = writer.syn_stream(1, {"k": "v"})
    for part in parts:
        raw += b"".join(spdy.data_frames(1, part)) + spdy.ping(1)
    raw += b"".join(spdy.data_frames(1, b"", fin=True))
    found = read(*[raw[i : i + size] for i in range(0, len(raw), size)])
    assert found[0].headers == {"k": "v"}
    assert b"".join(f.data for f in found) == b"".join(parts)
    assert [f.fin for f in found].count(True) == 1 and found[-1].fin
    assert [f.type for f in found].count(spdy.PING) == len(parts)


def test_long_data_is_cut_into_frames_and_read_without_being_kept() -> None:
    data = bytes(range(256)) * 1000
    frames = list(spdy.data_frames(1, data, fin=True))
    assert [len(frame) - 8 for frame in frames] == [65536, 65536, 65536, 59392]
    found = read(b"".join(frames))
    assert b"".join(f.data for f in found) == data and [f.fin for f in found] == [False, False, False, True]
    reader = Reader()
    assert list(reader.feed(struct.pack(">II", 1, 0xFFFFFF))) == []
    tracemalloc.start()
    try:
        for _ in range(200):
            for frame in reader.feed(b"x" * 65536):
                assert len(frame.data) == 65536
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_nobody_uses_is_passed_over() -> None:
    settings = struct.pack(">III", 0x80030004, 4, 0)
    update = struct.pack(">IIII", 0x80030009, 8, 1, 100)
    unknown = struct.pack(">III", 0x8003000B, 4, 0)
    assert read(settings + update + unknown, *spdy.data_frames(1, b"x")) == [Frame(0, 1, data=b"x")]


def packed(*texts: bytes, count: int | None = None) -> bytes:
    plain = struct.pack(">I", len(texts) // 2 if count is None else count)
    plain += b"".join(struct.pack(">I", len(text)) + text for text in texts)
    return opened_with(plain)


def opened_with(plain: bytes) -> bytes:
    compressor = zlib.compressobj(zdict=DICTIONARY)
    block = compressor.compress(plain) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return struct.pack(">IIIIH", 0x80030001, 10 + len(block), 1, 0, 0) + block


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(struct.pack(">II", 0x80020006, 4) + bytes(4), id="another version"),
        pytest.param(struct.pack(">II", 0x80030001, 0xFFFFFF), id="a control frame of 16 MB"),
        pytest.param(struct.pack(">II", 0x80030001, 4) + bytes(4), id="a short SYN_STREAM"),
        pytest.param(struct.pack(">II", 0x80030003, 4) + bytes(4), id="a short RST_STREAM"),
        pytest.param(struct.pack(">IIII", 0x80030003, 8, 0, 1), id="RST_STREAM of stream 0"),
        pytest.param(struct.pack(">II", 0, 1) + b"x", id="data of stream 0"),
        pytest.param(struct.pack(">IIIIH", 0x80030001, 14, 1, 0, 0) + b"junk", id="no zlib"),
        pytest.param(opened_with(bytes(10_000_000)), id="a bomb"),
        pytest.param(packed(b"a", b"x", count=1 << 31), id="headers that are not there"),
        pytest.param(opened_with(struct.pack(">II", 1, 1 << 30) + b"a"), id="a name of a gigabyte"),
        pytest.param(opened_with(b"\0"), id="a block of one byte"),
        pytest.param(packed(b"a", b"x", b"a", b"y"), id="a header twice"),
        pytest.param(packed(b"A", b"x"), id="an upper-case name"),
    ],
)
def test_hostile_frames(bad: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(SpdyError):
            read(bad)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_read(garbage: bytes) -> None:
    frames: Iterable[Frame] = []
    try:
        frames = read(garbage)
    except SpdyError:
        pass
    assert sum(len(frame.data) for frame in frames) <= len(garbage)
