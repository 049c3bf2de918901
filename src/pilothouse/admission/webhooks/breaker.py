"""Keeps a webhook that does not answer from using up the time of every request (kubernetes#128162)."""

import time
from collections.abc import Callable

FAILURES = 3
"""Time-outs in a row after which a webhook is not called for a while."""
FIRST, LONGEST = 5.0, 60.0
"""Seconds for which it is not called: at first, and at the most.
They double with each call that is tried in vain."""


class Breaker:
    """Whether one webhook is called; for webhooks whose failurePolicy is Ignore.

    Only calls that have used up all the time that the webhook's configuration gives them count: a client that
    allows its own request less time changes nothing for others. When the pause is over one request tries; the
    others go on without the webhook until that one has its answer.
    """

    __slots__ = ("_clock", "_failures", "_pause", "_trying", "_until")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = FIRST
        self._until = 0.0
        self._trying = False

    def refusal(self) -> str:
        """Why the webhook is not called now, "" when it is:
        then `answered`, `timed_out` or `gave_up` follows."""
        if self._failures < FAILURES:
            return ""
        left = self._until - self._clock()
        if left > 0 or self._trying:
            return (
                f"the last {self._failures} calls have timed out, so it is not called for {max(left, 0):.0f}s"
            )
        self._trying = True
        return ""

    def answered(self) -> None:
        """The webhook has answered, or at least failed in time."""
        self._failures, self._pause, self._trying = 0, FIRST, False

    def timed_out(self) -> None:
        """A call has used up its time."""
        self._failures += 1
        if self._failures < FAILURES:
            return
        if self._trying:
            self._pause = min(self._pause * 2, LONGEST)
        self._trying = False
        self._until = self._clock() + self._pause

    def gave_up(self) -> None:
        """The call was ended for another reason: it says nothing about the webhook."""
        self._trying = False
