"""The memory budget that --max-memory or the control group gives a server,
and what is freed when it runs short."""

from pilothouse.api import _gzip
from pilothouse.api.values import quantity
from pilothouse.assembly.storage import Registry
from pilothouse.caches import CacheBudget
from pilothouse.configuration.sections.process import ProcessOptions
from pilothouse.flowcontrol.memory import MemoryBudget
from pilothouse.flowcontrol.width import Widths
from pilothouse.process import cgroup, heap
from pilothouse.process.metrics import resident

RESERVE = 8
"""One in so many bytes of a control group's limit is left to sockets and files,
which the kernel counts there, too."""
LARGEST_BODIES = 64 << 20
"""Bytes of the bodies that are being received, where memory is not limited."""
BODIES = 8
"""One in so many bytes of the budget is for bodies that are being received."""


def budget(options: ProcessOptions) -> int:
    """The bytes that this process may take, 0 for no limit: of several workers each has its share."""
    if options.max_memory:
        limit = size_of(options.max_memory)
    else:
        limit = cgroup.memory_limit() or 0
        limit -= limit // RESERVE
    return limit // options.workers


def size_of(text: str) -> int:
    """The bytes of a flag that is a quantity, 0 where it was not given."""
    return quantity.parse(text).value() if text else 0


def bodies(limit: int) -> int:
    """The bytes for bodies that are being received, within a budget of `limit` bytes, 0 for no limit."""
    return min(LARGEST_BODIES, limit // BODIES) if limit else LARGEST_BODIES


def memory_of(
    options: ProcessOptions, registry: Registry, widths: Widths, caches: CacheBudget | None
) -> MemoryBudget | None:
    """The object that has requests wait for memory; None where it is not limited."""
    limit = budget(options)
    if not limit:
        return None
    relievers = [_halve_blocks, registry.store.cacher.end_slow_watches]
    if caches is not None:
        relievers.append(caches.halve)
    return MemoryBudget(limit, widths, resident, relievers, heap.give_back)


def _halve_blocks() -> None:
    """Drop half of the compressed blocks that objects keep."""
    _, held = _gzip.kept()
    _gzip.set_budget(_gzip.set_budget(held // 2))
