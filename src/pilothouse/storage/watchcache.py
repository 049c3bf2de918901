"""Every object under `/registry/` in memory, kept up to date by one watch of the store, by resource.

An embedded store tells of a commit before its writer is answered: then reads of the cache are linearizable.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

from pilothouse.logs import Logger
from pilothouse.storage._entry import Entry
from pilothouse.storage._intake import Intake
from pilothouse.storage._objects import Listing
from pilothouse.storage._watchcache import ResourceCache
from pilothouse.storage._watchers import Watcher
from pilothouse.storage.base_state import EMPTY, BaseState
from pilothouse.storage.interface import (
    Compacted,
    KeyValue,
    Storage,
    StorageError,
    StorageEvent,
    Subscription,
    UnreadableError,
)
from pilothouse.storage.keys import ROOT
from pilothouse.waiting import in_task

__all__ = ["Cacher", "Entry", "Listing", "ResourceCache", "UnreadableError", "Watcher"]

log = Logger(__name__)

PAGE = 1000
"""Keys that are read from the store at a time."""

HISTORY = 1000
"""Revisions before the newest that are replayed at start: clients of a restarted server can resume."""

SLOTS = 60
"""Seconds between two bookmarks of a watcher; each watcher is in one of as many slots."""

RETRY = (1.0, 10.0)
"""Seconds between two attempts to read unreadable values: the first pause, and the longest."""

LOGGED = 20
"""How many unreadable keys the log names at a time."""

Extract = Callable[[dict[str, Any]], dict[str, str]]


def _no_fields(obj: dict[str, Any]) -> dict[str, str]:
    return {}


class Cacher(Intake):
    """The caches of all resources. `transform(key, bytes)` turns what is stored into JSON (decryption), after
    `prepare(pairs)` has fetched what that needs.

    A value that cannot be read is remembered by its key, so that it does not look deleted: reads of the
    object fail, and so do lists and watches of its resource. Reading the value is retried at growing
    intervals: `retry` has the first and the longest one in seconds.
    """

    def __init__(
        self,
        storage: Storage,
        transform: Callable[[str, bytes], bytes] | None = None,
        prepare: Callable[[Sequence[KeyValue]], Awaitable[None]] | None = None,
        *,
        retry: tuple[float, float] = RETRY,
        base: BaseState = EMPTY,
        plain: bool = False,
    ) -> None:
        """`base` is the state that the store has in common with others. `plain`: JSON as this server writes
        it needs no `transform`, unless the object is being deleted."""
        super().__init__(transform, base.entries, base.revision if base.current else 0, plain)
        self.ready = False
        self.progress = 0
        """How often the store told that nothing else has changed up to a revision."""
        self.initializations = 0
        """How often the caches were filled from the store: at the start, and when its watch had ended."""
        self.loop: asyncio.AbstractEventLoop
        self._storage = storage
        self._base = base
        self._prepare = prepare
        self._distances = retry
        self._retry: asyncio.Task[None] | None = None
        self.unclaimed = ResourceCache(self, ROOT, _no_fields, (), 0)
        self._loaded = 0
        self._subscription: Subscription | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._slots: dict[int, set[Watcher]] = {}
        self._slot = 0
        self._timer: asyncio.TimerHandle | None = None
        self._recovery: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load all objects into the caches of the registered resources and follow the store."""
        self.loop = asyncio.get_running_loop()
        newest = await self._storage.current_revision()
        base = min(max(self._storage.compacted, newest - HISTORY, 1), newest)
        loaded = self._in_common(newest)
        try:
            loaded = loaded or await self._load(base)
        except Compacted:  # another server has compacted meanwhile
            base = newest
            loaded = await self._load(base)
        if self._base.current and newest == self._base.revision and not self.unreadable:
            self._base.ordered = [entry for entries in loaded.values() for entry in entries]
        for cache in (self.unclaimed, *self.by_prefix.values()):
            entries = loaded.pop(cache.prefix, [])
            cache.load(entries)
            cache.count_store(len(entries), len(entries))
            cache.forget_history(base)
        self.revision = self._loaded = base
        self.initializations += 1
        self._follow()
        await self._storage.current_revision()  # makes a shared store report the progress of its watch
        await self.wait_for(newest)
        self.ready = True
        self._tell(*self.unreadable.values())

    def _in_common(self, revision: int) -> dict[str, list[Entry]]:
        """All objects of the state that the store has in common with others, where it has nothing else yet
        and another one has read them."""
        if revision != self._base.revision or self.by_prefix or not self._base.ordered:
            return {}
        return {ROOT: self._base.ordered}

    def is_in_common(self, prefix: str) -> bool:
        """Whether nothing of a resource has changed since the state that the store has in common with
        others."""
        cache = self.by_prefix.get(prefix)
        return (
            cache is not None
            and cache.last_change == self._loaded == self._base.revision
            and bool(self._base.current)
            and not self.unreadable
        )

    async def close(self) -> None:
        """Stop following the store and end all watches."""
        self.ready = False
        if self._timer is not None:
            self._timer.cancel()
        if self._subscription is not None:
            self._subscription.close()
        for task in (self._recovery, self._retry):
            if task is not None:
                task.cancel()
        self.end_watches()
        for _, future in self._waiters:
            future.cancel()

    def end_watches(self) -> None:
        """End every watch cleanly: the server is shutting down."""
        for cache in self.by_prefix.values():
            cache.end_watches()

    def resource(self, prefix: str, extract: Extract, indexed_fields: tuple[str, ...] = ()) -> ResourceCache:
        """The cache of the resource stored under `prefix` (`/registry/pods/`), made on first use.

        `extract` gives an object's selectable fields; those in `indexed_fields` have an index.
        """
        found = self.by_prefix.get(prefix)
        if found is None:
            found = ResourceCache(self, prefix, extract, indexed_fields, self._loaded)
            self.find(prefix).move(prefix, found)
            if self._loaded:  # its objects were read with all others
                found.count_store(found.count, found.count)
            self.by_prefix[prefix] = found
        return found

    def resources(self) -> Iterable[ResourceCache]:
        """The caches of the resources that are served, whose prefixes tell them apart."""
        return self.by_prefix.values()

    def drop(self, prefix: str) -> None:
        """Forget a resource that is no longer served. Its watches end, its objects stay in the store."""
        cache = self.by_prefix.pop(prefix, None)
        if cache is not None:
            cache.end_watches()
            cache.move(prefix, self.unclaimed)

    async def wait_for(self, revision: int, timeout: float | None = None) -> bool:
        """Wait until the cache has reached `revision`; False after `timeout` seconds."""
        if self.revision >= revision:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (revision, future)
        self._waiters.append(waiter)
        try:
            await in_task()
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            return False
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return True

    def joined(self, watcher: Watcher) -> None:
        """Called by a resource when a watch starts."""
        watcher.slot = random.randrange(SLOTS)
        self._slots.setdefault(watcher.slot, set()).add(watcher)
        if self._timer is None:
            self._timer = self.loop.call_later(1, self._tick)

    def left(self, watcher: Watcher) -> None:
        """Called by a resource when a watch has ended."""
        slot = self._slots.get(watcher.slot, set())
        slot.discard(watcher)
        if not slot:
            self._slots.pop(watcher.slot, None)

    def end_slow_watches(self) -> None:
        """End the watches for whose clients events wait, so that they resume later: memory is short."""
        for slot in list(self._slots.values()):
            for watcher in [watcher for watcher in slot if watcher.queued]:
                watcher.give_up()

    def _tick(self) -> None:
        """Once a second while there are watchers: send bookmarks to one slot of them,
        and continue those whose sinks were full."""
        self._timer = self.loop.call_later(1, self._tick) if self._slots else None
        self._slot = (self._slot + 1) % SLOTS
        for watcher in list(self._slots.get(self._slot, ())):
            watcher.recheck()
            if watcher.bookmarks and self.ready:
                watcher.bookmark(self.revision)

    async def _load(self, revision: int) -> dict[str, list[Entry]]:
        """The objects by the prefixes of their caches; a page is forgotten before the next is read."""
        loaded: dict[str, list[Entry]] = {}
        self.unreadable.clear()
        async for page in self._pages(revision):
            for kv in page:
                try:
                    loaded.setdefault(self.find(kv.key).prefix, []).append(self.entry(kv))
                except UnreadableError as error:
                    self.hide(error)
        return loaded

    async def _read(self, revision: int) -> list[KeyValue]:
        return [kv async for page in self._pages(revision) for kv in page]

    async def _pages(self, revision: int) -> AsyncIterator[list[KeyValue]]:
        start = ""
        while True:
            page = await self._storage.range(ROOT, start=start, limit=PAGE, revision=revision, counted=False)
            yield page.items
            if not page.more:
                return
            start = page.items[-1].key + "\0"

    def hide(self, error: UnreadableError) -> None:
        """Remember a pair that cannot be read; the object's last known state stays in the cache."""
        self.unreadable[error.kv.key] = error
        if self.ready:
            self._tell(error)
        cache = self.find(error.kv.key)
        cache.undecoded += 1
        cache.end_watches()
        if self._retry is None:
            self._retry = self.loop.create_task(self._try_again())

    def _tell(self, *errors: UnreadableError) -> None:
        """Log unreadable values, unless many are known already."""
        for error in errors[: max(LOGGED - len(self.unreadable) + len(errors), 0)]:
            if error.__cause__ is None:
                log.error("A stored value cannot be read", key=error.kv.key, err=error)
            else:
                log.exception("A stored value cannot be read", err=error.__cause__, key=error.kv.key)

    async def _try_again(self) -> None:
        delay, longest = self._distances
        while self.unreadable:
            await asyncio.sleep(delay)
            delay = min(2 * delay, longest)
            try:
                if self._prepare is not None:
                    await self._prepare([error.kv for error in self.unreadable.values()])
                self._reveal()
            except Exception:
                log.exception("Stored values that could not be read were not tried again")
        self._retry = None

    def _reveal(self) -> None:
        """Add values that have become readable.
        Their revisions are past, so the history of their resources starts again."""
        touched = {}
        for kv in sorted((error.kv for error in self.unreadable.values()), key=attrgetter("mod")):
            try:
                entry = self.entry(kv)
            except UnreadableError as error:
                self.unreadable[kv.key] = error
                continue
            del self.unreadable[kv.key]
            cache = self.find(kv.key)
            cache.apply(kv.key, entry, kv.mod)
            touched[cache.prefix] = cache
        for cache in touched.values():
            log.info("Stored values can be read again", prefix=cache.prefix)
            cache.forget_history(self.revision)

    def _follow(self) -> None:
        self._subscription = self._storage.watch(
            "",
            self.revision + 1,
            self._on_events,
            self._on_error,
            prev_kv=False,
            on_progress=self._on_progress,
        )

    def _on_progress(self, revision: int) -> None:
        """Advance to a revision up to which no key of ours has changed."""
        self.progress += 1
        self.revision = max(self.revision, revision)
        self._wake()

    def _on_events(self, events: list[StorageEvent]) -> None:
        self.take_all(events)
        if self._waiters:
            self._wake()

    def _wake(self) -> None:
        for revision, future in self._waiters:
            if revision <= self.revision and not future.done():
                future.set_result(None)

    def _on_error(self, error: StorageError) -> None:
        self.ready = False
        if self._recovery is None or self._recovery.done():
            log.warning("The watch of the store ended, it is started again", err=error)
            self._recovery = self.loop.create_task(self._recover())

    async def _recover(self) -> None:
        """Read everything again and send the watchers the changes that were missed."""
        delay = 0.05
        while True:
            try:
                revision = await self._storage.current_revision()
                self._reconcile(await self._read(revision), revision)
                self._follow()
            except StorageError as error:
                log.warning("The store cannot be read", err=error)
            else:
                self.ready = True
                self._tell(*self.unreadable.values())
                return
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)

    def _reconcile(self, items: list[KeyValue], revision: int) -> None:
        gone = {key for cache in (self.unclaimed, *self.by_prefix.values()) for key in cache.keys}
        gone.update(self.unreadable)
        changed = []
        for kv in items:
            gone.discard(kv.key)
            known = self.find(kv.key).get(kv.key)
            if known is None or known.rev != kv.mod:
                changed.append(kv)
        changed.sort(key=lambda kv: kv.mod)
        for kv in changed:
            self.take(kv)
        for key in sorted(gone):
            self.take(KeyValue(key, b"", revision), deleted=True)
        self.revision = self._loaded = max(self.revision, revision)
        for cache in (self.unclaimed, *self.by_prefix.values()):
            cache.forget_history(revision)
            cache.count_store(cache.count, cache.count)
        self.initializations += 1
        self._wake()
