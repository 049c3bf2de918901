"""Checks that work grows linearly: compares the CPU time for inputs of n and of ten times n."""

import gc
import math
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

MOST = 30.0
"""Times as long that ten times as much may take: linear, or n log n, with room for caches that no longer fit
and for other work on the same processor. Quadratic work takes 100 times as long. `make fuzz` is stricter."""

WORTH = 0.004
"""Seconds below which a clock says little."""

LARGE = 500_000
"""Size of the larger input that is not raised any more: work of less than WORTH on a fortieth of it is not
quadratic, for that would be hundreds of millions of steps."""

TRIES = 3
"""How often it is measured before it counts: others use the same processor's caches.
Quadratic work never passes."""

STEEP = 8.5
"""Times as long that each half of the way may take at least. Quadratic work takes 10 times as long on each;
linear work takes 3, and up to 8 where others use the memory and a cache ends on either half."""

HALFWAY = 10**0.5
"""Times n of the input halfway between n and ten times n, as growth goes."""


class Clock(Protocol):
    """Measures work: see `seconds`."""

    def __call__(
        self, call: Callable[[Any], Any], make: Callable[[int], Any], n: int, runs: int = 3
    ) -> float: ...


def seconds(call: Callable[[Any], Any], make: Callable[[int], Any], n: int, runs: int = 3) -> float:
    """The least processor time of this thread that `call(make(n))` takes; making the input is not counted.

    Nor is what a measurement of coverage costs: lines are not counted meanwhile.
    """
    best = float("inf")
    for _ in range(runs):
        given = make(n)
        gc.disable()  # it looks at all objects of the process, those of other tests too
        tracer = sys.gettrace()
        sys.settrace(None)
        started = time.thread_time()
        try:
            call(given)
        finally:
            best = min(best, time.thread_time() - started)
            sys.settrace(tracer)
            gc.enable()
    return best


def assert_linear(
    call: Callable[[Any], Any],
    make: Callable[[int], Any],
    n: int,
    most: float = MOST,
    seconds: Clock = seconds,
    worth: float = WORTH,
) -> None:
    """Fail when ten times as much takes more than `most` times as long;
    a small n is raised until it can be timed.

    `make(n)` builds an input of size n, `call` does the work on it (and may raise nothing: wrap what
    refuses). `most` is greater where the small input is within a cache and the large one is not;
    quadratic work takes 100. Caches end somewhere on the way: too steep is only what is STEEP on both
    halves of it. The small input takes `worth` seconds or more; less keeps the large one within a cache.
    """
    while (small := seconds(call, make, n, 2)) < worth:
        if 10 * 4 * n > LARGE:
            return
        n = math.ceil(n * min(4, 1.25 * worth / small))
    large = float("inf")
    for attempt in range(TRIES):
        large = min(large, seconds(call, make, 10 * n, 1 + attempt))
        if large <= most * small:
            return
        small = min(small, seconds(call, make, n))
    middle = seconds(call, make, round(HALFWAY * n))
    first, second = middle / small, large / middle
    if min(first, second) > max(most**0.5, STEEP):
        raise AssertionError(
            f"{n}: {small:.4f} s, {10 * n}: {large:.4f} s, {large / small:.1f} times, "
            f"{first:.1f} and {second:.1f} times on either half of the way"
        )
