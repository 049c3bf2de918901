"""SPDY/3.1 without I/O: frames of one connection in both directions, for streams of pods (Go's moby/spdystream).

Only what spdystream uses is here: SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY, HEADERS and data. SETTINGS and
WINDOW_UPDATE are read and have no effect, because spdystream ignores them as well: its peers hold each other back by
the connection alone. The specification is SPDY Protocol - Draft 3.1.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 1
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL = 1, 2, 3, 5

CONTROL_BYTES = 64 * 1024
"""Longest control frame that is read."""

HEADER_BYTES = 64 * 1024
"""Longest decompressed header block that is read."""

DATA_BYTES = 64 * 1024
"""Longest data frame that is written."""

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_MORE = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TAIL = (
    b"100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    b"203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    b"403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    b"Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    b"chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    b"text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack(">I", len(word)) + word.encode() for word in (*_WORDS.split(), *_MORE)) + _TAIL
)
"""The dictionary with which header blocks are compressed (2.6.10.1)."""


class SpdyError(Exception):
    """The peer has broken the protocol, or a limit; the connection cannot go on."""


class Frame(NamedTuple):
    """What has arrived. A data frame arrives in parts, as its bytes come; `fin` is on the last one.

    type: SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY, HEADERS, or 0 for data. value: the status of a RST_STREAM,
    the id of a PING.
    """

    type: int
    stream: int
    fin: bool = False
    headers: dict[str, str] | None = None
    data: bytes | memoryview = b""
    value: int = 0


class Reader:
    """Reads frames out of bytes; an object serves one direction of one connection."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._head = b""  # the beginning of a frame: its head, or a whole control frame
        self._stream = self._left = 0  # the data frame that is being read
        self._fin = False

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames of further bytes; SpdyError when they cannot be read. The iterator must be used up."""
        at, end = 0, len(data)
        view = memoryview(data)
        while at < end:
            if self._left:
                taken = min(self._left, end - at)
                self._left -= taken
                yield Frame(0, self._stream, self._fin and not self._left, None, view[at : at + taken])
                at += taken
                continue
            if self._head or end - at < 8:
                wanted = 8 if len(self._head) < 8 else 8 + (int.from_bytes(self._head[5:8]))
                taken = min(wanted - len(self._head), end - at)
                self._head += data[at : at + taken]
                at += taken
                if len(self._head) < 8:
                    return
                head, offset, source = self._head, 0, self._head
            else:
                head, offset, source = data, at, data
            first, rest = struct.unpack_from(">II", head, offset)
            size = rest & 0xFFFFFF
            if first & 0x80000000:
                if size > CONTROL_BYTES:
                    raise SpdyError("frame too large")
                if len(source) - offset < 8 + size:
                    if not self._head:
                        self._head = data[at:]
                        return
                    continue
                frame = self._control(first, rest >> 24, bytes(source[offset + 8 : offset + 8 + size]))
                if self._head:
                    self._head = b""
                else:
                    at += 8 + size
                if frame is not None:
                    yield frame
                continue
            self._stream, self._left, self._fin = first, size, bool(rest >> 24 & FIN)
            if self._head:
                self._head = b""
            else:
                at += 8
            if not first:
                raise SpdyError("stream id zero is disallowed")
            if not size and self._fin:
                yield Frame(0, first, True)

    def _control(self, first: int, flags: int, body: bytes) -> Frame | None:
        version, kind = first >> 16 & 0x7FFF, first & 0xFFFF
        if version != VERSION:
            raise SpdyError("unsupported version")
        least = _LEAST.get(kind)
        if least is None:
            return None  # SETTINGS, WINDOW_UPDATE and what nobody knows
        if len(body) < least:
            raise SpdyError("invalid control frame")
        stream = int.from_bytes(body[:4]) & 0x7FFFFFFF
        if kind == PING:
            return Frame(kind, 0, value=int.from_bytes(body[:4]))
        if kind == GOAWAY:
            return Frame(kind, 0)
        if not stream:
            raise SpdyError("stream id zero is disallowed")
        if kind == RST_STREAM:
            return Frame(kind, stream, value=int.from_bytes(body[4:8]))
        return Frame(kind, stream, bool(flags & FIN), self._headers(body[least:]))

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, HEADER_BYTES)
        except zlib.error:
            raise SpdyError("invalid header block") from None
        if self._inflate.unconsumed_tail or self._inflate.eof:
            raise SpdyError("header block too large")
        out: dict[str, str] = {}
        try:
            (count,), at = struct.unpack_from(">I", plain), 4
            for _ in range(count):
                name, at = _text(plain, at)
                value, at = _text(plain, at)
                if name != name.lower() or name in out:
                    raise SpdyError("invalid header")
                out[name] = value.partition("\0")[0]
        except struct.error:
            raise SpdyError("invalid header block") from None
        return out


_LEAST = {SYN_STREAM: 10, SYN_REPLY: 4, RST_STREAM: 8, PING: 4, GOAWAY: 8, HEADERS: 4}
"""Bytes of a control frame before its header block."""


def _text(data: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">I", data, at)
    end = at + 4 + size
    if end > len(data):
        raise SpdyError("invalid header block")
    return data[at + 4 : end].decode("latin-1"), end


class Writer:
    """Makes frames; an object serves one direction of one connection."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def syn_stream(self, stream: int, headers: dict[str, str], *, fin: bool = False) -> bytes:
        """Open a stream."""
        body = struct.pack(">IIH", stream, 0, 0) + self._block(headers)
        return _control(SYN_STREAM, body, FIN if fin else 0)

    def syn_reply(self, stream: int, headers: dict[str, str] | None = None) -> bytes:
        """Accept a stream."""
        return _control(SYN_REPLY, struct.pack(">I", stream) + self._block(headers or {}))

    def _block(self, headers: dict[str, str]) -> bytes:
        plain = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for text in (name.lower().encode("latin-1"), value.encode("latin-1")):
                plain += struct.pack(">I", len(text)) + text
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def data_frames(stream: int, data: bytes | memoryview | bytearray, *, fin: bool = False) -> Iterator[bytes]:
    """Data frames for bytes of any length; one empty frame with `fin` when there are none."""
    view = memoryview(data)
    for at in range(0, len(view) or 1, DATA_BYTES):
        part = view[at : at + DATA_BYTES]
        last = fin and at + DATA_BYTES >= len(view)
        if len(part) or last:
            yield b"".join((struct.pack(">II", stream, (FIN << 24 if last else 0) | len(part)), part))


def rst_stream(stream: int, status: int = CANCEL) -> bytes:
    """End a stream in both directions."""
    return _control(RST_STREAM, struct.pack(">II", stream, status))


def ping(number: int) -> bytes:
    """A ping, or the answer to one."""
    return _control(PING, struct.pack(">I", number))


def goaway(last: int = 0, status: int = 0) -> bytes:
    """The announcement that no more streams are accepted."""
    return _control(GOAWAY, struct.pack(">II", last, status))


def _control(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">II", 0x80000000 | VERSION << 16 | kind, flags << 24 | len(body)) + body
