"""Reading SPDY frames, compiled, against the plain version kept here (pytest-benchmark)."""

import os
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pilothouse.outbound._spdy import Reader
from pilothouse.outbound.spdy import data_frames

READS = {
    "bytes": next(data_frames(5, b"x")) * 2000,
    "lines": next(data_frames(5, b"x" * 80)) * 500,
    "copies": next(data_frames(5, os.urandom(32_000))) * 8,
}
"""The content of one read: from a process that writes byte by byte,
from one that writes lines, from `kubectl cp`."""


def frames(data: bytes) -> Iterator[tuple[int, int, bool, memoryview]]:
    """Whole frames: kind, stream, fin and content."""
    view, at = memoryview(data), 0
    while at + 8 <= len(data):
        first, rest = struct.unpack_from(">II", data, at)
        size = rest & 0xFFFFFF
        content = view[at + 8 : at + 8 + size]
        if first & 0x80000000:
            yield first & 0xFFFF, int.from_bytes(content[:4]) & 0x7FFFFFFF, bool(rest >> 24 & 1), content[4:]
        else:
            yield 0, first, bool(rest >> 24 & 1), content
        at += 8 + size


def plain(data: bytes) -> int:
    return sum(len(content) for *_, content in frames(data))


def compiled(data: bytes) -> int:
    reader, size = Reader(), 0
    reader.feed(data)
    while reader.pending:
        for event in reader.read(32_000):
            size += len(event[3])
    return size


@pytest.mark.parametrize("read", [plain, compiled])
@pytest.mark.parametrize("data", READS.values(), ids=READS)
def test_read(benchmark: Any, read: Callable[[bytes], int], data: bytes) -> None:
    assert benchmark(read, data) > 0
