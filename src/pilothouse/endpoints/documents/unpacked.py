"""A document that is kept compressed, as the body of an answer: it is unpacked while it is sent."""

import zlib
from collections.abc import Iterator

PART = 256 * 1024
"""Bytes of a part. It takes half a millisecond."""
_GZIP = 16 + zlib.MAX_WBITS


class Unpacked:
    """The bytes in one member of gzip, as server.request.Pieces.

    Of an answer that the client does not take, only a part is in memory.
    """

    __slots__ = ("_packed", "size")

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self.size = int.from_bytes(packed[-4:], "little")
        """Bytes; RFC 1952 has them at the end, for documents of less than 4 GB."""

    def __iter__(self) -> Iterator[bytes]:
        stream = zlib.decompressobj(_GZIP)
        rest = self._packed
        while not stream.eof:
            yield stream.decompress(rest, PART)
            rest = stream.unconsumed_tail

    def gzip(self) -> Iterator[bytes]:
        """The document as it is kept, for clients that take gzip."""
        yield self._packed
