"""Divides the seats of a server between its priority levels by what they need (KEP-1040, borrowing).

Each level gets the same multiple of what it needs, within bounds: less than its lower bound would take what
is its own, more than its upper bound what it may not borrow.
"""

from bisect import bisect_left
from functools import lru_cache

from pilothouse.process.frozen import frozen
from pilothouse.process.record import record

LEAST = 0.001
"""Seats that a level is taken to need at least, so that one that needs none gets some of what is left."""

TOLERANCE = 1e-7

DECAY = 0.977
"""The share of an earlier demand that remains after each period of 10 s: half of it after five minutes."""


@frozen
class Need:
    """The seats that a level must have at least, may have at most, and needs."""

    lower: float
    upper: float
    target: float


@record
class Demand:
    """The seats that a level has wanted: over the last period, and smoothed over earlier ones."""

    average: float = 0.0
    deviation: float = 0.0
    highest: int = 0
    smoothed: float = 0.0

    def update(self, seconds: float, average: float, deviation: float, highest: int) -> None:
        """Take in a period. The smoothed demand rises at once and falls slowly."""
        self.highest = highest
        if seconds <= 0:
            return
        self.average, self.deviation = average, deviation
        wanted = average + deviation
        self.smoothed = max(wanted, DECAY * self.smoothed + (1 - DECAY) * wanted)


@lru_cache(maxsize=64)
def allocate(total: int, needs: tuple[Need, ...]) -> tuple[tuple[float, ...], float]:
    """The seats of each level, which add up to `total`, and the multiple of its need that a level gets.

    ValueError when the bounds do not allow it. Levels that nobody uses have the same needs in each logical
    cluster, again and again.
    """
    if total < 0:
        raise ValueError("a negative number of seats cannot be divided")
    targets = [max(need.target, LEAST) for need in needs]
    for need, target in zip(needs, targets, strict=True):
        if not 0 <= need.lower <= min(need.upper, target):
            raise ValueError(f"the bounds of a level contradict each other: {need}")
    if not sum(need.lower for need in needs) - TOLERANCE <= total <= sum(n.upper for n in needs) + TOLERANCE:
        raise ValueError(f"the bounds of the levels do not allow {total} seats together")
    if not total:
        return (0.0,) * len(needs), 0.0

    def shares(multiple: float) -> list[float]:
        pairs = zip(needs, targets, strict=True)
        return [min(need.upper, max(need.lower, multiple * target)) for need, target in pairs]

    bounds = [bound for need in needs for bound in (need.lower, need.upper)]
    corners = sorted({bound / targets[i // 2] for i, bound in enumerate(bounds)})
    # Between two corners the sum of the shares grows evenly, so the answer is found by a line.
    at = bisect_left(corners, total - TOLERANCE, key=lambda corner: sum(shares(corner)))
    if at == 0 or at == len(corners):
        multiple = corners[min(at, len(corners) - 1)]
    else:
        low, high = corners[at - 1], corners[at]
        less, more = sum(shares(low)), sum(shares(high))
        multiple = low + (total - less) * (high - low) / (more - less)
    return tuple(shares(multiple)), multiple
