"""How events are gathered before a back end gets them: sizes of batches, waits, and a limit of their rate."""

import time
from collections.abc import Callable

from pilothouse.process.frozen import frozen

BATCH, BLOCKING, STRICT = "batch", "blocking", "blocking-strict"
"""The modes of a back end. `batch` never waits; `blocking` waits for the
event to be stored; `blocking-strict` refuses the request when the event of
its beginning cannot be stored (apiserver pkg/server/options/audit.go)."""

MODES = (BATCH, BLOCKING, STRICT)

BUFFERED = "buffered"
"""The name under which the metrics count events that had no room in a buffer."""


@frozen(kw_only=True)
class Batching:
    """The --audit-*-batch-* flags of one back end (plugin/pkg/audit/buffered). Times are seconds.

    buffer: events that may wait. most: events of a batch.
    wait: how long a batch that is not full waits for more.
    rate, burst: batches a second, and how many may follow each other at once; 0 = as many as there are.
    """

    buffer: int = 10000
    most: int = 1
    wait: float = 0.0
    rate: float = 0.0
    burst: int = 0


class Throttle:
    """A token bucket for batches."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens = float(burst)
        self._at = clock()

    def delay(self) -> float:
        """Take the next token; the seconds until it is there."""
        if not self._rate:
            return 0.0
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._at) * self._rate, self._burst) - 1
        self._at = now
        return max(0.0, -self._tokens / self._rate)
