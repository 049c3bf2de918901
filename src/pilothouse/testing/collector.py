"""Garbage collections of a process in which logical clusters come and go."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLD = 50_000
"""New objects after which Python looks for garbage: those of some thirty clusters, 10 MB."""


@contextmanager
def relaxed() -> Iterator[None]:
    """Have Python leave out what there is now, the server and all modules, when it collects garbage, and
    collect it seldom.

    It would look at all objects of the process every few clusters otherwise. What leaves the statement has
    the settings that were there before.
    """
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.collect()
    gc.freeze()
    if before[0]:  # 0: somebody has switched it off
        gc.set_threshold(max(THRESHOLD, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not frozen:
            gc.unfreeze()
