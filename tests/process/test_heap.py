"""Free pages between used blocks are returned to the system."""

import asyncio
import ctypes
import gc
import pathlib
import weakref

import pytest
from eventually import aeventually

from pilothouse.process.heap import Trim

BLOCKS, SIZE = 20_000, 8_000


def resident() -> int:
    """Bytes of this process."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not on this host: its C library has no malloc_trim"
)
def test_what_is_freed_between_blocks_in_use_is_given_back() -> None:
    blocks: list[bytes | None] = [bytes([i % 255 + 1]) * SIZE for i in range(BLOCKS)]
    for i in range(BLOCKS):
        if i % 10:
            blocks[i] = None
    most = resident() - BLOCKS * SIZE // 4

    async def wait() -> None:
        trim = Trim(0.01)
        trim.start()
        await aeventually(lambda: resident() < most, "the pages are given back")
        await trim.close()

    asyncio.run(wait())
    assert sum(map(bool, blocks)) == BLOCKS // 10


class _Cycle:
    """Leads back to itself."""

    def __init__(self) -> None:
        self.own = self


def test_all_cycles_are_found_in_the_end() -> None:
    cycle = _Cycle()
    found = weakref.ref(cycle)
    gc.disable()
    del cycle

    async def wait() -> None:
        trim = Trim(0.01, full=0.0)
        trim.start()
        await aeventually(lambda: found() is None, "the cycle is found")
        await trim.close()

    try:
        asyncio.run(wait())
    finally:
        gc.enable()
    assert found() is None
