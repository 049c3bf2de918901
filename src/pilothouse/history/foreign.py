"""Follows a store to which other servers write as well, and keeps its changes until the history moves them.

The authors of this server's own writes are remembered until the watch tells of them. The others are unknown,
until their servers tell them (peers.py).
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pilothouse.history.author import HEAD, UNKNOWN
from pilothouse.history.file import HistoryError
from pilothouse.history.spool import LearntAuthor, Spool, SpooledChange
from pilothouse.history.thread import HistoryThread
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.offload import Turns
from pilothouse.storage.interface import (
    Compacted,
    Storage,
    StorageError,
    StorageEvent,
    Subscription,
    Unavailable,
)
from pilothouse.storage.keys import ROOT
from pilothouse.storage.sqlite.changes import last_of, revision_of

log = Logger(__name__)

GATHER = 0.05
"""Seconds for which changes are gathered; in this time the answer to an own write arrives, too."""
AGAIN = 1.0
"""Seconds after a failure."""
FORGET = 30.0
"""Seconds between two times at which the file drops what has been moved."""
MOST_KNOWN = 100_000
"""Authors of writes of which the watch has not told yet."""


class OthersStorage(Storage, Protocol):
    """A store that others write as well. `wrote` is told the key, the revision and the author of each write
    of this server, before its watch is."""

    wrote: Callable[[str, int, bytes], None] | None


class ForeignChanges(BackgroundTask):
    """Fills a spool from the watch of a store. open(), then begin(), then start()."""

    def __init__(
        self,
        storage: Storage,
        spool: Spool,
        *,
        recorded: Callable[[], int],
        given_up: Callable[[], bool] = lambda: False,
        without: Sequence[str] = (),
        turns: Turns | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """recorded: the id up to which the history has moved changes. given_up: whether it is so far behind
        that changes are dropped, for the file would grow without end. without: prefixes of keys that are left
        out."""
        self._storage = storage
        self._spool = spool
        self._recorded = recorded
        self._given_up = given_up
        self._without = tuple(without)
        self._clock = clock
        self._thread = HistoryThread("history-spool", turns)
        self._authors: dict[tuple[str, int], bytes] = {}
        self._told: list[tuple[StorageEvent, float]] = []
        self._error: StorageError | None = None
        self._more = asyncio.Event()
        self._forgotten = 0.0
        self._reached = 0
        self.unknown: Callable[[Sequence[tuple[int, str]]], None] | None = None
        """Told the revisions and keys of changes that the spool has without an author."""
        self._listeners: set[Callable[[list[StorageEvent]], None]] = set()
        self.revision = 0
        """The revision up to which the spool has all changes."""

    async def open(self) -> None:
        """Open the spool. HistoryError when that fails."""
        try:
            self.revision = await self._thread.run(self._spool.begin) or self._storage.revision
        except (sqlite3.Error, Unavailable) as error:
            raise HistoryError(f"{self._spool.file} can not be opened: {error}") from error

    def begin(self, recorded: int) -> None:
        """Follow the store from a revision on, or from a later one that the spool has."""
        if recorded > self._storage.revision:
            raise HistoryError(
                f"the history knows revision {recorded}, and the store is at {self._storage.revision}:"
                f" it belongs to another store, move {self._spool.directory}/history*.db away"
            )
        self.revision = max(recorded, self.revision if self.revision <= self._storage.revision else 0)

    async def close(self) -> None:
        """Follow no longer, and close the spool."""
        await super().close()
        with contextlib.suppress(AttributeError):  # it was not opened
            await self._thread.run(self._spool.end)
        self._thread.close()

    def wrote(self, key: str, revision: int, author: bytes) -> None:
        """Note the author of a write of this server."""
        if not author or key.startswith(self._without):
            return
        if revision > self.revision and key.startswith(ROOT):
            if len(self._authors) >= MOST_KNOWN:
                self._authors.clear()
            self._authors[key, revision] = author

    @property
    def moved(self) -> int:
        """The revision up to which the history has moved changes."""
        return revision_of(self._recorded())

    async def without_author(self) -> list[tuple[int, str]]:
        """The revisions and keys of the changes without an author that have not been moved."""
        found: list[tuple[int, str]] = await self._thread.run(self._spool.without_author, self._recorded())
        return found

    async def learn(self, authors: Sequence[LearntAuthor]) -> None:
        """Note the authors of writes of other servers."""
        await self._thread.run(self._spool.learn, authors)

    def follow(self, listener: Callable[[list[StorageEvent]], None]) -> Subscription:
        """Tell somebody of changes that the spool has."""
        self._listeners.add(listener)
        return Subscription(lambda: self._listeners.discard(listener))

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except Compacted as error:
                await self._skip(error.compacted)
            except (StorageError, sqlite3.Error) as error:
                log.warning("The history does not follow the store, it is tried again", err=error)
                await asyncio.sleep(AGAIN)

    async def _skip(self, compacted: int) -> None:
        """Go on behind what the store has forgotten."""
        log.error(
            "The history has a gap: the store has forgotten changes", after=self.revision, upto=compacted
        )
        await self._thread.run(self._spool.skip, self.revision, compacted)
        self.revision = compacted

    async def _follow(self) -> None:
        self._told, self._error, self._reached = [], None, self.revision
        watch = self._storage.watch(ROOT, self.revision + 1, self._note, self._end, on_progress=self._advance)
        try:
            while True:
                await self._more.wait()
                await asyncio.sleep(GATHER)
                self._more.clear()
                await self._keep()
                if self._error is not None:
                    raise self._error
        finally:
            watch.close()

    def _note(self, events: list[StorageEvent]) -> None:
        now = self._clock()
        self._told += [(event, now) for event in events if not event.kv.key.startswith(self._without)]
        self._advance(events[-1].kv.mod)

    def _advance(self, revision: int) -> None:
        """Note that there are no other changes up to a revision."""
        self._reached = max(self._reached, revision)
        self._more.set()

    def _end(self, error: StorageError) -> None:
        self._error = error
        self._more.set()

    async def _keep(self) -> None:
        """Keep what the watch has told."""
        told, self._told, reached = self._told, [], self._reached
        if reached > self.revision:
            changes = [SpooledChange(event, self._author(event, at)) for event, at in told]
            await self._thread.run(self._spool.add, changes, reached)
            self.revision = reached
            if self.unknown is not None:
                self.unknown([(one.event.kv.mod, one.event.kv.key) for one in changes if _is_unknown(one)])
            for listener in list(self._listeners) if told else ():
                listener([event for event, _ in told])
        now = self._clock()
        if now - self._forgotten > FORGET:
            self._forgotten = now
            if self._given_up():
                log.error("The history has given up changes that it could not move", upto=self.revision)
                await self._thread.run(self._spool.skip, revision_of(self._recorded()), self.revision)
                await self._thread.run(self._spool.forget, last_of(self.revision))
            else:
                await self._thread.run(self._spool.forget, self._recorded())

    def _author(self, event: StorageEvent, at: float) -> bytes:
        known = self._authors.pop((event.kv.key, event.kv.mod), None)
        return known or HEAD.pack(int(at * 1000), 0) + UNKNOWN


def _is_unknown(change: SpooledChange) -> bool:
    return change.author[HEAD.size :] == UNKNOWN
