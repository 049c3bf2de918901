"""The engine of HTTP/2 with HPACK: fed in pieces and at once it sees the same,
and hpack reads the same header fields."""

import random
import struct
from typing import Any

import hpack
from fuzz.engines import Engine, content, cut, same, text, word
from fuzz.http_runs import Run, on_a_loop

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, _, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, PRIORITIZED = 1, 4, 8, 32


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return word(len(payload))[1:] + bytes((kind, flags)) + word(stream) + payload


def _padded(chance: random.Random, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of DATA or HEADERS, perhaps with padding and priority."""
    if kind == HEADERS and chance.random() < 0.2:
        flags, payload = flags | PRIORITIZED, word(chance.randrange(9)) + b"\x10" + payload
    if chance.random() < 0.2:
        size = chance.choice((0, 1, 255))
        flags, payload = flags | PADDED, bytes((size,)) + payload + bytes(size)
    return frame(kind, flags, stream, payload)


def http2_frames(chance: random.Random) -> list[bytes]:
    """The frames of a client: requests in streams, and what speaks about streams and windows."""
    encoder, streams = hpack.Encoder(), 0
    out = [PREFACE + frame(SETTINGS, 0, 0, _settings(chance)), frame(WINDOW_UPDATE, 0, 0, word(1 << 30))]
    for _ in range(chance.randint(1, 12)):
        old = chance.randrange(streams + 1) * 2 + 1
        match chance.randrange(10):
            case 0:
                out.append(
                    frame(WINDOW_UPDATE, 0, chance.choice((0, old)), word(chance.choice((1, 1000, 1 << 20))))
                )
            case 1:
                out.append(frame(SETTINGS, 0, 0, _settings(chance)))
            case 2:
                out.append(frame(PING, chance.choice((0, 1)), 0, chance.randbytes(8)))
            case 3:
                out.append(frame(RST_STREAM, 0, old, word(chance.randrange(14))))
            case 4:
                out.append(
                    chance.choice(
                        (frame(PRIORITY, 0, old, word(0) + b"\x01"), frame(0x20, 0, old, b"unknown"))
                    )
                )
            case _:
                out += _request(chance, encoder, 2 * streams + 1)
                streams += 1
    return out


def _settings(chance: random.Random) -> bytes:
    values = {
        1: (0, 100, 4096, 1 << 20),
        3: (1, 100),
        4: (0, 1, 65535, 0x7FFFFFFF),
        5: (16384, 1 << 20),
        8: (0, 1),
        9: (1,),
    }
    names = chance.choices(list(values), k=chance.randint(0, 4))
    return b"".join(struct.pack(">HI", name, chance.choice(values[name])) for name in names)


def _request(chance: random.Random, encoder: hpack.Encoder, stream: int) -> list[bytes]:
    """The frames of one request."""
    path = chance.choice(
        ("/", "/long", "/stream", "/none", "/a?b=c", "/" + "x" * chance.choice((1, 100, 9000)))
    )
    fields = [
        (":method", chance.choice(("GET", "POST", "HEAD"))),
        (":scheme", "https"),
        (":path", path),
        (":authority", "a"),
    ]
    for _ in range(chance.randint(0, 6)):
        name = chance.choice(
            ("accept", "x-a", "cookie", "authorization", "x-" + "n" * 60, "te", "accept-encoding")
        )
        fields.append(
            (
                name,
                chance.choice(
                    ("", "a", "trailers", "gzip", "v" * 200, text(chance).encode("ascii", "ignore").decode())
                ),
            )
        )
    body = content(chance) if chance.random() < 0.5 else b""
    if body and chance.random() < 0.5:
        fields.append(("content-length", str(len(body))))
    if chance.random() < 0.1:
        encoder.header_table_size = chance.choice((0, 100, 4096))
    block = encoder.encode(fields, huffman=chance.random() < 0.5)
    pieces = [block] if chance.random() < 0.7 else [piece for piece in cut(block) if piece][:50]
    pieces.append(block[sum(map(len, pieces)) :])
    ends = 0 if body else END_STREAM
    out = [_padded(chance, HEADERS, ends | (END_HEADERS if len(pieces) == 1 else 0), stream, pieces[0])]
    for at, piece in enumerate(pieces[1:], 2):
        out.append(frame(CONTINUATION, END_HEADERS if at == len(pieces) else 0, stream, piece))
    for at in range(0, len(body), 16384):
        ends = END_STREAM if at + 16384 >= len(body) else 0
        out.append(_padded(chance, DATA, ends, stream, body[at : at + 16000]))
        if len(body) > at + 16000 and not ends:
            out.append(frame(DATA, 0, stream, body[at + 16000 : at + 16384]))
    if body and chance.random() < 0.1:
        out.append(frame(HEADERS, END_HEADERS | END_STREAM, stream, encoder.encode([("x-trailer", "a")])))
    return out


Frame = tuple[int, int, int, bytes]


def frames_of(data: bytes, longest: int) -> list[Frame]:
    """The complete frames, up to one that is too long."""
    out: list[Frame] = []
    at = 0
    while len(data) - at >= 9:
        size = int.from_bytes(data[at : at + 3])
        if size > longest or len(data) - at < 9 + size:
            break
        stream = int.from_bytes(data[at + 5 : at + 9]) & 0x7FFFFFFF
        out.append((data[at + 3], data[at + 4], stream, data[at + 9 : at + 9 + size]))
        at += 9 + size
    return out


def blocks_of(frames: list[Frame]) -> list[bytes]:
    """The header blocks of frames, as far as they follow the protocol."""
    out: list[bytes] = []
    block = None
    for kind, flags, _, payload in frames:
        if (block is not None) != (kind == CONTINUATION):
            if block is not None or kind == CONTINUATION:
                break
            if kind != HEADERS:
                continue
        if kind == HEADERS:
            pad = 0
            if flags & PADDED:
                pad, payload = (payload[0] if payload else 0), payload[1:]
            payload = payload[5 if flags & PRIORITIZED else 0 :]
            if pad > len(payload):
                break
            payload = payload[: len(payload) - pad]
        elif kind != CONTINUATION:
            continue
        block = (block or b"") + payload
        if flags & END_HEADERS:
            out.append(block)
            block = None
    return out


def heads_of(blocks: list[bytes], most: int) -> list[list[tuple[str, str]]]:
    """The fields that hpack reads in header blocks, up to one that is wrong."""
    decoder, out = hpack.Decoder(max_header_list_size=1 << 24), []
    decoder.max_allowed_table_size = most
    for block in blocks:
        try:
            found = decoder.decode(block, raw=True)
        except (hpack.HPACKError, IndexError, ValueError):
            break
        out.append(
            [
                (bytes(name).decode("latin-1"), bytes(value).decode("utf-8", "replace"))
                for name, value in found
            ]
        )
    return out


def sent_by(run: Run) -> tuple[dict[int, list[Any]], list[bytes]]:
    """Stream -> the status of its answer, its body and how it ended; and the goodbyes."""
    sent = bytes(run.pipe.sent)
    frames = frames_of(sent, 16384)
    same("whole frames", sum(9 + len(payload) for _, _, _, payload in frames), len(sent))
    heads = iter(heads_of(blocks_of(frames), 4096))
    out: dict[int, list[Any]] = {}
    goodbyes: list[bytes] = []
    for kind, _, stream, payload in frames:
        if kind == HEADERS:
            out.setdefault(stream, ["", b"", b""])[0] += dict(next(heads))[":status"]
        elif kind == DATA:
            out[stream][1] += payload
        elif kind == RST_STREAM:
            out.setdefault(stream, ["", b"", b""])[2] += payload
        elif kind == GOAWAY:
            goodbyes.append(payload[4:8])
    return out, goodbyes


def plain(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The fields that a request shows as they came."""
    return [
        field
        for field in fields
        if field[0][:1] != ":" and field[0] not in ("cookie", "host", "content-length")
    ]


@on_a_loop
async def check_http2(data: bytes) -> None:
    one, other = Run("http2"), Run("http2")
    await one.feed([data], buffered=False)
    await other.feed(cut(data), buffered=True)
    same("requests in pieces", other.seen, one.seen)
    answers, goodbyes = sent_by(one)
    found, others = sent_by(other)
    same("goodbyes in pieces", others, goodbyes)
    if not goodbyes:  # else it may end before an answer is sent
        same("answers in pieces", found, answers)
    blocks = blocks_of(frames_of(data[len(PREFACE) :], 16384)) if data.startswith(PREFACE) else []
    heads = [plain(head) for head in heads_of(blocks, 4096)]
    for _, target, fields, _ in one.seen:
        if plain(fields) not in heads:
            raise AssertionError(
                f"hpack reads no head of {target} with {plain(fields)!r}, but {heads!r}"[:4000]
            )


ENGINE = Engine("http2", http2_frames, check_http2)
