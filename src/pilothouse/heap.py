"""The heap of the process: when its garbage is looked for, and when what is free goes back to the system."""

import asyncio
import ctypes
import gc
import time

from pilothouse.lifecycle import BackgroundTask

PERIOD = 1.0
"""Seconds between two trims, at least."""

SHARE = 0.001
"""Of the time for trims: one takes well under a millisecond, with 200,000 objects 10 to 40, on a thread of its own."""


FULL = 600.0
"""Seconds between two looks for cycles among all objects, at least."""

_ARENA_MAX = -8
"""M_ARENA_MAX of glibc's malloc.h."""


def share_arena() -> None:
    """Have all threads that start from now on take memory from one heap.

    glibc gives each a heap of its own otherwise, and the end of those heaps never goes back to the system: after one
    large request some 60 MB would stay. Threads of an interpreter hardly ever ask for memory at the same time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)


def relax_collector() -> None:
    """Look for cycles seldom, in small steps, and not among what lives as long as the server.

    A collection holds up every thread: some 5 ms for 100,000 objects. So the generations are small, and all objects
    are looked at only when `Trim` says so. Decoded objects hold no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 5, 1 << 30)


class Trim(BackgroundTask):
    """Gives pages back that lie, free, between blocks in use: glibc keeps them, after a burst most of the heap.

    Where the C library has no malloc_trim (musl) it only looks for cycles among all objects from time to time.
    """

    def __init__(self, period: float = PERIOD, full: float = FULL) -> None:
        self._period = period
        self._full = full

    async def _run(self) -> None:
        trim = getattr(ctypes.CDLL(None), "malloc_trim", _nothing)
        took = 0.0
        due = time.perf_counter() + self._full
        while True:
            await asyncio.sleep(max(self._period, took / SHARE))
            begun = time.perf_counter()
            if begun > due:
                gc.collect()
                due = time.perf_counter() + max(self._full, (time.perf_counter() - begun) / SHARE)
            begun = time.perf_counter()
            await asyncio.to_thread(trim, 0)
            took = time.perf_counter() - begun


def _nothing(pad: int) -> None:
    """Instead of malloc_trim."""
