"""The engines of WebSocket and SPDY:
frames that are read whole, in pieces and by another reader are the same."""

import random
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fuzz.engines import Engine, content, cut, same, text, tight, word
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from pilothouse.outbound import _spdy, spdy
from pilothouse.server import _websocket

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
ALL = 1 << 40
"""Units with which everything is read at once."""

FEW = 1
"""Units with which as little as can be is read at once."""

LARGEST = 4000 + 40 + 65536
"""Units of the largest event, beside those of the bytes that have come; a call does at most one more than it may."""

Reader = _websocket.Reader | _spdy.Reader


def read(reader: Reader, parts: Iterable[bytes], units: int) -> list[Any]:
    """The events of bytes that come in these parts, with these units for each call."""
    out: list[Any] = []
    for part in parts:
        with tight(part) as data:
            reader.feed(data)
            _read(reader, units, out, LARGEST + len(part))
    if reader.pending:
        raise AssertionError("there is something left that is never read")
    return out


def _read(reader: Reader, units: int, out: list[Any], most: int) -> None:
    out += reader.read(units)
    while reader.pending:
        out += reader.read(units)
        if units == FEW and reader.spent > most:
            raise AssertionError(f"{reader.spent} units at once")


# WebSocket


def websocket_frame(opcode: int, payload: bytes, key: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame (RFC 6455, 5.2); those of clients have a key of four bytes."""
    size, mask = len(payload), 0x80 if key else 0
    head = bytes((fin << 7 | opcode, mask | min(size, 126 if size < 1 << 16 else 127)))
    if size >= 126:
        head += struct.pack(">H" if size < 1 << 16 else ">Q", size)
    long = (key * (size // 4 + 1))[:size] or bytes(size)
    return head + key + (int.from_bytes(payload) ^ int.from_bytes(long)).to_bytes(size)


def websocket_frames(chance: random.Random) -> list[bytes]:
    """Messages of a client in fragments, control frames between them, and perhaps a goodbye."""
    out: list[bytes] = []

    def add(opcode: int, payload: bytes, *, fin: bool = True) -> None:
        out.append(websocket_frame(opcode, payload, chance.randbytes(4), fin=fin))

    for _ in range(chance.randint(1, 6)):
        opcode = chance.choice((TEXT, BINARY))
        payload = text(chance, 60).encode() if opcode == TEXT else content(chance)
        pieces = cut(payload)[:30] if chance.random() < 0.5 else []
        pieces = [*pieces, payload[sum(map(len, pieces)) :]]
        for at, piece in enumerate(pieces):
            add(CONT if at else opcode, piece, fin=at == len(pieces) - 1)
            if chance.random() < 0.2:
                add(chance.choice((PING, PONG)), chance.randbytes(chance.choice((0, 4, 125))))
    if chance.random() < 0.4:
        code = chance.choice((1000, 1001, 1003, 1007, 1011, 3000, 4999, 999, 1005, 5000))
        add(CLOSE, chance.choice((b"", b"\x03", struct.pack(">H", code) + text(chance).encode())))
    return out


def whole(events: Iterable[tuple[int, bytes, bool]]) -> list[tuple[int, bytes, bool]]:
    """The events with the parts of messages put together; without a part that nothing follows."""
    out: list[tuple[int, bytes, bool]] = []
    parts: list[bytes] = []
    for opcode, data, finished in events:
        if opcode >= CLOSE:
            out.append((opcode, data, finished))
            continue
        parts.append(data)
        if finished:
            out.append((opcode, b"".join(parts), True))
            parts.clear()
    return out


def of_wsproto(raw: bytes) -> tuple[list[tuple[int, bytes, bool]], int]:
    """The events that wsproto reads in the same bytes, and the code with which it ends the connection."""
    protocol = FrameProtocol(client=False, extensions=[])
    out: list[tuple[int, bytes, bool]] = []
    parts: list[bytes] = []
    protocol.receive_bytes(raw)
    try:
        for found in protocol.received_frames():
            payload: Any = found.payload
            if found.opcode is Opcode.CLOSE:
                code, reason = payload
                out.append((CLOSE, (b"" if code == 1005 else code.to_bytes(2)) + reason.encode(), True))
            elif found.opcode is Opcode.PING:
                out.append((PING, bytes(payload), True))
            elif found.opcode is not Opcode.PONG:
                parts.append(payload.encode() if isinstance(payload, str) else bytes(payload))
                if found.message_finished:
                    out.append((int(found.opcode), b"".join(parts), True))
                    parts.clear()
    except ParseFailed as error:
        return out, int(error.code)
    return out, 0


def check_websocket(data: bytes, reader: Callable[[], _websocket.Reader] = _websocket.Reader) -> None:
    one, other = reader(), reader()
    events = whole(read(one, [data], ALL))
    same("in pieces", whole(read(other, cut(data), FEW)), events)
    same("counters in pieces", (other.error, other.empty), (one.error, one.empty))
    found, error = of_wsproto(data)
    same("the reader and wsproto", events, found)
    if one.error != error:  # we see what is wrong with a head before it has come whole
        same("how the reader and wsproto end", one.error, of_wsproto(data + bytes(14))[1])
    for opcode, payload, _ in events:
        same("what is written", _websocket.frame(opcode, payload), websocket_frame(opcode, payload))


# SPDY


def spdy_frames(chance: random.Random) -> list[bytes]:
    """Frames that open streams, their data and their ends, and frames that mean nothing to us."""
    writer, out = spdy.FrameWriter(), list[bytes]()
    streams = [chance.choice((1, 3, 5, 7, 0x7FFFFFFF)) for _ in range(3)]
    for _ in range(chance.randint(1, 12)):
        stream = chance.choice(streams)
        match chance.randrange(9):
            case 0:
                out.append(
                    writer.syn_stream(stream, {"streamtype": text(chance).encode("ascii", "ignore").decode()})
                )
            case 1:
                out.append(writer.syn_reply(stream))
            case 2:
                out.append(spdy.rst_stream(stream, chance.randrange(12)))
            case 3:
                out.append(spdy.ping(chance.randrange(1 << 32)))
            case 4 if chance.random() < 0.3:
                out.append(spdy.goaway(stream))
            case 5:
                body = chance.randbytes(chance.choice((0, 4, 8, 12)))
                kind = chance.choice((4, 5, 8, 9, 10, 0xFFFF))
                out.append(word(0x80030000 | kind) + word(chance.choice((0, 1 << 24)) | len(body)) + body)
            case _:
                out += spdy.data_frames(stream, content(chance), fin=chance.random() < 0.1)
    return out


def spdy_data(raw: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Stream, bytes and end of the data frames up to the first control frame or mistake,
    read in plain Python."""
    at = 0
    while len(raw) - at >= 8:
        first, rest = struct.unpack_from(">II", raw, at)
        size = rest & 0xFFFFFF
        if first >> 31:
            if not _spdy_control(raw, at, first, rest):
                return
        elif first:
            yield first, raw[at + 8 : at + 8 + size], bool(rest >> 24 & 1) and len(raw) - at - 8 >= size
        else:
            return
        at += 8 + size


LEAST = {1: 10, 2: 4, 3: 8, 6: 4, 7: 8, 8: 4}
"""Bytes of a control frame before its header block."""


def _spdy_control(raw: bytes, at: int, first: int, rest: int) -> bool:
    """Whether a control frame may come, with whatever follows it."""
    kind, size = first & 0xFFFF, rest & 0xFFFFFF
    if first >> 16 & 0x7FFF != 3 or size > 65536 or size < LEAST.get(kind, 0):
        return False
    if kind in (1, 2, 3, 8) and len(raw) - at >= 12 + 4 * (kind == 3):
        return bool(struct.unpack_from(">I", raw, at + 8)[0] & 0x7FFFFFFF)
    return True


def _streams(frames: Iterable[tuple[int, bytes, bool]]) -> dict[int, tuple[bytes, bool]]:
    """Stream -> all its bytes, and whether it ended."""
    out: dict[int, tuple[bytes, bool]] = {}
    for stream, data, fin in frames:
        before, ended = out.get(stream, (b"", False))
        if data or fin:
            out[stream] = before + data, ended or fin
    return out


def _joined(events: Iterable[tuple[int, int, bool, bytes, int]]) -> list[Any]:
    """The events with the data of a stream in a row put together."""
    out: list[Any] = []
    for kind, stream, fin, data, value in events:
        if kind == spdy.DATA and out and out[-1][:3] == (spdy.DATA, stream, False):
            data = out.pop()[3] + data
        out.append((kind, stream, fin, data, value))
    return out


def check_spdy(data: bytes) -> None:
    one, other = _spdy.Reader(), _spdy.Reader()
    events = _joined(read(one, [data], ALL))
    same("in pieces", _joined(read(other, cut(data), FEW)), events)
    same("counters in pieces", (other.error, other.empty), (one.error, one.empty))
    told = ((stream, part, fin) for kind, stream, fin, part, _ in events if kind == spdy.DATA)
    same("the reader and plain Python", _streams(told), _streams(spdy_data(data)))


ENGINES = (
    Engine("websocket", websocket_frames, check_websocket),
    Engine("spdy", spdy_frames, check_spdy),
)
