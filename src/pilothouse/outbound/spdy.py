"""SPDY/3.1 without I/O: writes the frames of one connection, for streams of pods; `_spdy` reads them.

Only what Go's moby/spdystream uses is here: SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY and data.
SETTINGS and WINDOW_UPDATE are read and have no effect, because spdystream ignores them as well: its peers
hold each other back by the connection alone. The specification is SPDY Protocol - Draft 3.1.
"""

import struct
import zlib
from collections.abc import Iterator

from pilothouse.outbound._spdy import Kind

VERSION = 3
FIN = 1
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL = 1, 2, 3, 5

DATA, SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = map(
    int, (Kind.DATA, Kind.SYN_STREAM, Kind.SYN_REPLY, Kind.RST_STREAM, Kind.PING, Kind.GOAWAY)
)

DATA_BYTES = 64 * 1024
"""Longest data frame that is written."""

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges"
    " age allow authorization cache-control connection content-base content-encoding content-language"
    " content-length content-location content-md5 content-range content-type date etag expect expires from"
    " host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location"
    " max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer"
    " transfer-encoding upgrade user-agent vary via warning www-authenticate method get status"
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


Event = tuple[int, int, bool, bytes, int]
"""An event: kind, stream, whether the stream ends in this direction, data, and a status or number."""


class FrameWriter:
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
