"""The heap of the process: how often Python collects garbage, and when free pages go back to the system."""

import asyncio
import ctypes
import gc
import time
from collections.abc import Callable

from pilothouse.lifecycle import BackgroundTask

PERIOD = 1.0
"""Seconds between two trims, at least."""

SHARE = 0.001
"""The share of the time that trims may take.
One takes less than a millisecond, and 10 to 40 with 200,000 objects."""


FULL = 600.0
"""Seconds between two full garbage collections, at least."""

_ARENA_MAX = -8
"""M_ARENA_MAX of glibc's malloc.h."""


def share_arena() -> None:
    """Make all threads that start from now on allocate from one heap.

    glibc gives each a heap of its own otherwise, and the end of those heaps never goes back to the system:
    after one large request some 60 MB would stay.
    Threads of an interpreter hardly ever ask for memory at the same time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)


def relax_collector() -> None:
    """Collect garbage seldom and in small steps, and leave out the objects that live as long as the server.

    A collection holds up every thread: some 5 ms for 100,000 objects. So the generations are small, and all
    objects are looked at only when `Trim` says so. Decoded objects hold no cycles. The garbage of a start
    stays, a few hundred KB: to collect it would hold up the first requests.
    """
    gc.freeze()
    gc.set_threshold(20_000, 5, 1 << 30)


def give_back() -> None:
    """Give free pages between used blocks back to the system, where the C library can (not musl)."""
    getattr(ctypes.CDLL(None), "malloc_trim", _nothing)(0)


class Trim(BackgroundTask):
    """Gives free pages between used blocks back to the system.
    glibc keeps them: after a burst that is most of the heap.

    Where the C library has no malloc_trim (musl) it only runs full garbage collections.
    """

    def __init__(self, period: float = PERIOD, full: float = FULL) -> None:
        self._period = period
        self._full = full

    async def _run(self) -> None:
        took = 0.0
        due = time.perf_counter() + self._full
        while True:
            await asyncio.sleep(max(self._period, took / SHARE))
            if time.perf_counter() > due:
                due = time.perf_counter() + max(self._full, _timed(gc.collect) / SHARE)
            took = await asyncio.to_thread(_timed, give_back)


def _timed(call: Callable[[], object]) -> float:
    """The processor time of a call, in seconds: how long it waited for a busy machine does not count."""
    begun = time.thread_time()
    call()
    return time.thread_time() - begun


def _nothing(pad: int) -> None:
    """Instead of malloc_trim."""
