"""Group commit: the loop's thread collects writes, so that one commit carries those of many writers.

A commit costs the same however little it carries. While one is on its way to the disk writes wait for the
next; and writers that were just answered are given a moment to come back, for most write again at once. Who
writes alone never waits.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

LIMIT = 512
"""Writes of one commit at most."""

LINGER = 0.001
"""Seconds without another write after which no more are expected."""

PATIENCE = 0.005
"""Seconds that writes wait for others at most."""

Write = TypeVar("Write")


class GroupCommit(Generic[Write]):
    """Groups writes into commits: `commit` is called with the writes of each group, at most `limit`.

    The code that carries a group out calls done() once for it.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, commit: Callable[[list[Write]], None], limit: int = LIMIT
    ) -> None:
        self._limit = limit
        self._loop = loop
        self._commit = commit
        self._waiting: list[Write] = []
        self._running = 0
        self._writers = 0
        """How many writes are expected:
        as many as the last commit answered, and as many as waited meanwhile."""
        self._answered = 0.0
        self._seen = 0
        self._timer: asyncio.Handle | None = None
        self._soon = False

    @property
    def busy(self) -> bool:
        """Whether a write is on its way."""
        return bool(self._waiting or self._running)

    def add(self, write: Write) -> None:
        """Add a write to the next group."""
        self._waiting.append(write)
        if not self._running and not self._soon:
            self._consider()

    def done(self, answered: int) -> None:
        """A group of that many writes was committed or refused."""
        self._running -= 1
        self._writers = answered + len(self._waiting)
        self._answered = self._loop.time()
        if self._waiting and not self._running:
            self._consider()

    def flush(self) -> None:
        """Commit the writes that wait."""
        self._soon = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while group := self._waiting:
            self._waiting = group[self._limit :]
            self._running += 1
            self._commit(group if not self._waiting else group[: self._limit])

    def _consider(self) -> None:
        """Flush at the end of this turn of the loop when nobody else is expected, else wait a moment."""
        if len(self._waiting) >= self._writers or self._loop.time() - self._answered > PATIENCE:
            self._soon = True
            self._loop.call_soon(self.flush)
        elif self._timer is None:
            self._linger()

    def _linger(self) -> None:
        self._seen = len(self._waiting)
        self._timer = self._loop.call_later(LINGER, self._lingered)

    def _lingered(self) -> None:
        if len(self._waiting) > self._seen and self._loop.time() - self._answered < PATIENCE:
            self._linger()
        else:
            self.flush()
