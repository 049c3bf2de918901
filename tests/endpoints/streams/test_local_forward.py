"""The frames of clients that forward ports to simulated pods."""

import struct

import pytest

from pilothouse.endpoints.streams.local_forward import LONGEST, ClientFrame, FrameParser
from pilothouse.outbound import spdy


def test_frames_are_read_with_their_headers_however_they_arrive() -> None:
    writer = spdy.FrameWriter()
    headers = {"streamtype": "data", "port": "80", "requestid": "0"}
    sent = b"".join(
        (
            writer.syn_stream(1, {"streamtype": "error"}, fin=True),
            writer.syn_stream(3, headers),
            *spdy.data_frames(3, b"abc", fin=True),
            spdy.ping(7),
            spdy.rst_stream(3),
            spdy.goaway(),
        )
    )
    wanted = [
        ClientFrame(spdy.SYN_STREAM, 1, fin=True, headers={"streamtype": "error"}),
        ClientFrame(spdy.SYN_STREAM, 3, headers=headers),
        ClientFrame(spdy.DATA, 3, fin=True, size=3),
        ClientFrame(spdy.PING, value=7),
        ClientFrame(spdy.RST_STREAM, 3),
        ClientFrame(spdy.GOAWAY),
    ]
    assert list(FrameParser().feed(sent)) == wanted
    one_by_one = FrameParser()
    assert [frame for byte in sent for frame in one_by_one.feed(bytes((byte,)))] == wanted


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">II", 1, LONGEST + 1),
        struct.pack(">II", 0x80030001, 4) + b"abcd",
        struct.pack(">II", 0x80030001, 14) + bytes(14),
        struct.pack(">II", 0x80030001, 10) + bytes(10),
    ],
    ids=["too long", "too short", "no headers", "an empty block"],
)
def test_what_is_not_allowed_is_refused(sent: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- the client is sent away, no one is told why
        list(FrameParser().feed(sent))


def test_headers_that_grow_beyond_bounds_are_refused() -> None:
    frame = spdy.FrameWriter().syn_stream(1, {"x": "y" * (LONGEST + 1)})
    assert len(frame) < LONGEST
    with pytest.raises(ValueError, match="headers too large"):
        list(FrameParser().feed(frame))
