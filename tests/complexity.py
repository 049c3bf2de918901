"""Whether work grows in step with what it is given: processor time of n and of ten times as much."""

import time
from collections.abc import Callable
from typing import Any

MOST = 14.0
"""Times as long that ten times as much may take: linear, or n log n, with room for caches that no longer fit."""

WORTH = 0.004
"""Seconds below which a clock says little."""


def seconds(call: Callable[[Any], Any], make: Callable[[int], Any], n: int, runs: int = 3) -> float:
    """The least processor time of this thread that `call(make(n))` takes; making the input is not counted."""
    best = float("inf")
    for _ in range(runs):
        given = make(n)
        started = time.thread_time()
        call(given)
        best = min(best, time.thread_time() - started)
    return best


def assert_linear(call: Callable[[Any], Any], make: Callable[[int], Any], n: int) -> None:
    """Fail when ten times as much takes more than MOST times as long; a small n is raised until it can be timed.

    `make(n)` builds an input of size n, `call` does the work on it (and may raise nothing: wrap what refuses).
    """
    small = seconds(call, make, n)
    while small < WORTH:
        n *= 4
        small = seconds(call, make, n)
    large = seconds(call, make, 10 * n)
    assert large <= MOST * small, f"{n}: {small:.4f} s, {10 * n}: {large:.4f} s, {large / small:.1f} times"
