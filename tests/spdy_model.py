"""Reads SPDY in plain Python, whole frames with their headers:
for kubelets of tests, and to hold `_spdy` against."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from pilothouse.outbound.spdy import DICTIONARY

LEAST = {1: 10, 2: 4, 3: 8, 6: 4, 7: 8, 8: 4}
"""Bytes of a control frame before its header block:
SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY, HEADERS."""


class Frame(NamedTuple):
    """type: of a control frame, 0 for data. value: the status of a RST_STREAM, the number of a PING."""

    type: int
    stream: int
    fin: bool = False
    headers: dict[str, str] | None = None
    data: bytes = b""
    value: int = 0


class Model:
    """Reads one direction of one connection; ValueError for what SPDY does not allow."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._bytes = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with further bytes."""
        self._bytes += data
        while len(self._bytes) >= 8:
            first, rest = struct.unpack_from(">II", self._bytes)
            flags, size = rest >> 24, rest & 0xFFFFFF
            if first >> 31:
                self._check(first >> 16 & 0x7FFF, first & 0xFFFF, size)
            elif not first:
                raise ValueError("stream id zero is disallowed")
            body, left = self._bytes[8 : 8 + size], self._bytes[8 + size :]
            if len(body) < size:
                return
            self._bytes = left
            if first >> 31:
                yield self._control(first & 0xFFFF, bool(flags & 1), body)
            else:
                yield Frame(0, first, bool(flags & 1), data=body)

    def _check(self, version: int, kind: int, size: int) -> None:
        if version != 3:
            raise ValueError("unsupported version")
        if size > 65536:
            raise ValueError("frame too large")
        if size < LEAST.get(kind, 0):
            raise ValueError("invalid control frame")

    def _control(self, kind: int, fin: bool, body: bytes) -> Frame:
        if kind not in LEAST:
            return Frame(kind, 0)
        number = int.from_bytes(body[:4])
        if kind == 6:
            return Frame(kind, 0, value=number)
        if kind == 7:
            return Frame(kind, 0)
        stream = number & 0x7FFFFFFF
        if not stream:
            raise ValueError("stream id zero is disallowed")
        if kind == 3:
            return Frame(kind, stream, value=int.from_bytes(body[4:8]))
        return Frame(kind, stream, fin, self._headers(body[LEAST[kind] :]))

    def _headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block)
        texts, at = [], 4
        while at < len(plain):
            size = int.from_bytes(plain[at : at + 4])
            texts.append(plain[at + 4 : at + 4 + size].decode("latin-1"))
            at += 4 + size
        assert len(texts) == 2 * int.from_bytes(plain[:4])
        return dict(zip(texts[::2], texts[1::2], strict=True))
