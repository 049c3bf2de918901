"""Reading WebSocket frames, compiled, against wsproto, which is plain Python (pytest-benchmark)."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage

from pilothouse.server._websocket import Reader

KEY = bytes((1, 2, 3, 4))


def masked(data: bytes) -> bytes:
    """A binary message of a client."""
    size = len(data)
    length = bytes((0x80 | size,)) if size < 126 else bytes((0xFE,)) + size.to_bytes(2)
    return b"\x82" + length + KEY + bytes(byte ^ KEY[i % 4] for i, byte in enumerate(data))


READS = {
    "keys": masked(b"\x00k") * 2000,
    "packets": masked(os.urandom(1400)) * 40,
    "copies": masked(os.urandom(32_000)) * 8,
}
"""The content of one read: keys typed very fast, small packets of a port-forward, and `kubectl cp`."""


def plain(data: bytes) -> int:
    connection, size = Connection(ConnectionType.SERVER), 0
    connection.receive_data(data)
    for event in connection.events():
        assert isinstance(event, BytesMessage)
        size += len(event.data)
    return size


def compiled(data: bytes) -> int:
    reader, size = Reader(), 0
    reader.feed(data)
    while reader.pending:
        for _, part, _ in reader.read(32_000):
            size += len(part)
    return size


@pytest.mark.parametrize("read", [plain, compiled])
@pytest.mark.parametrize("data", READS.values(), ids=READS)
def test_read(benchmark: Any, read: Callable[[bytes], int], data: bytes) -> None:
    assert benchmark(read, data) > 0
