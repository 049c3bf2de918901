"""Compresses bodies with gzip on threads and writes them to streams."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pilothouse.server.pump import start_pump
from pilothouse.server.request import Packable, Part, Stream

SLICE = 256 * 1024
"""Bytes passed to one call of the compressor."""

AHEAD = 1024 * 1024
"""Compressed bytes that may be queued for a slow peer before the compressor pauses."""


THREADS = 2
"""More would keep the loop waiting for a processor. And each list of the same objects finds what the last
part of another one has left, so that few compress the same at the same time."""


class Compressor:
    """The threads of one listener that compress."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "gzip")

    def compress(self, stream: Stream, body: "Iterable[bytes] | Packable") -> None:
        """Write a body to a stream as gzip and end the stream."""
        parts = body.gzip() if isinstance(body, Packable) else _gzip(body)
        start_pump(stream, self._produced(parts), AHEAD)

    async def _produced(self, parts: Iterator[Part]) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of each part; parts that are calls run on a thread."""
        loop = asyncio.get_running_loop()
        for part in parts:
            yield part if isinstance(part, bytes) else await loop.run_in_executor(self._threads, part)

    def close(self) -> None:
        """End the threads; what waits for one is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _slices(pieces: Iterable[bytes]) -> "Iterator[list[bytes] | memoryview]":
    """Group small pieces and cut long ones into parts of about SLICE bytes."""
    group: list[bytes] = []
    size = 0
    for piece in pieces:
        if len(piece) > 2 * SLICE:
            if group:
                yield group
                group, size = [], 0
            view = memoryview(piece)
            for at in range(0, len(piece), SLICE):
                yield view[at : at + SLICE]
            continue
        group.append(piece)
        size += len(piece)
        if size >= SLICE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _gzip(pieces: Iterable[bytes]) -> Iterator[Part]:
    """A body as a gzip stream, at level 1 as upstream."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)

    def compressed(part: "list[bytes] | memoryview") -> bytes:
        return compressor.compress(b"".join(part) if isinstance(part, list) else part)

    for part in _slices(pieces):
        yield partial(compressed, part)
    yield compressor.flush
