"""A store that forgets everything when the process ends: for tests and throw-away servers."""

import asyncio
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pilothouse.api.json import compact
from pilothouse.api.values.clock import SYSTEM, CallLater, ServerClock, on_loop
from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.storage.compaction import upkeep
from pilothouse.storage.feed import Expiry, Feed, Subscriber
from pilothouse.storage.interface import (
    Compacted,
    FutureRevision,
    KeyExists,
    KeyValue,
    Op,
    Page,
    RevisionConflict,
    StorageError,
    StorageEvent,
    Subscription,
    Unavailable,
)

__all__ = ["MemoryStorage", "open_storage", "upkeep"]


def _mod(event: StorageEvent) -> int:
    return event.kv.mod


class MemoryStorage:
    """A map with a log of its changes; every call is answered at once, on the loop's thread."""

    others_write = False

    def __init__(self, clock: Callable[[], float] = time.time, call_later: CallLater = on_loop) -> None:
        self._current: dict[str, KeyValue] = {}
        self._keys: list[str] = []
        self._history: list[StorageEvent] = []
        self._revision = 1
        self._compacted = 1
        self._open = False
        self._feed = Feed()
        self._expiry = Expiry(self._expire, clock, call_later)

    def load(self, pairs: Sequence[KeyValue], revision: int) -> None:
        """Begin with these pairs, before the start; what was before cannot be read."""
        self._current = {kv.key: kv for kv in pairs}
        self._keys = sorted(self._current)
        self._revision = self._compacted = revision
        self._expiry.load([(kv.lease, kv.key, kv.mod) for kv in pairs if kv.lease])

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def full(self) -> bool:
        return False

    @property
    def busy(self) -> bool:
        return False

    @property
    def compacted(self) -> int:
        return self._compacted

    async def start(self) -> None:
        self._open = True
        self._expiry.start(asyncio.get_running_loop())

    async def close(self) -> None:
        if self._open:
            self._open = False
            self._expiry.close()
            self._feed.close(Unavailable("the store is closed"))

    async def current_revision(self) -> int:
        self._check_open()
        return self._revision

    async def get(self, key: str, revision: int = 0) -> KeyValue | None:
        self._check_readable(revision)
        if revision:
            for event in self._history[bisect_left(self._history, revision + 1, key=_mod) :]:
                if event.kv.key == key:
                    return event.prev
        return self._current.get(key)

    async def range(
        self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, counted: bool = True
    ) -> Page:
        self._check_readable(revision)
        keys, state = self._keys, self._current
        if revision and revision != self._revision:
            state = dict(state)
            for event in reversed(self._history[bisect_left(self._history, revision + 1, key=_mod) :]):
                if event.prev is None:
                    state.pop(event.kv.key, None)
                else:
                    state[event.kv.key] = event.prev
            keys = sorted(state)
        first = bisect_left(keys, max(prefix, start))
        last = first
        while last < len(keys) and keys[last].startswith(prefix):
            last += 1
        end = min(last, first + limit) if limit else last
        return Page([state[k] for k in keys[first:end]], revision or self._revision, end < last, last - first)

    async def create(self, key: str, value: bytes, ttl: int = 0, author: bytes = b"") -> KeyValue:
        self._check_open()
        if current := self._current.get(key):
            raise KeyExists(current)
        return self._commit([Op(key, value, 0, ttl)])[0].kv

    async def update(
        self, key: str, value: bytes, expect: int, ttl: int = 0, author: bytes = b""
    ) -> KeyValue:
        self._check_open()
        self._check(Op(key, value, expect))
        current = self._current.get(key)
        if current is None:
            raise RevisionConflict(key, None)
        return self._commit([Op(key, value, expect, ttl)])[0].kv

    async def delete(self, key: str, expect: int, last: bytes | None = None, author: bytes = b"") -> KeyValue:
        self._check_open()
        self._check(Op(key, None, expect))
        if key not in self._current:
            raise RevisionConflict(key, None)
        if last is not None:
            self._commit([Op(key, last)])
        return self._commit([Op(key, None)])[0].kv

    async def txn(self, ops: list[Op]) -> int:
        self._check_open()
        if len({op.key for op in ops}) != len(ops):
            raise ValueError("a transaction may write a key only once")
        for op in ops:
            self._check(op)
        self._commit(ops)
        return self._revision

    def watch(
        self,
        prefix: str,
        revision: int,
        on_events: Callable[[list[StorageEvent]], None],
        on_error: Callable[[StorageError], None],
        *,
        prev_kv: bool = True,
        on_progress: Callable[[int], None] | None = None,
    ) -> Subscription:
        self._check_open()
        if revision < self._compacted:
            raise Compacted(self._compacted)
        subscriber = Subscriber(prefix, revision, on_events, on_error, prev_kv)
        old = self._history[bisect_left(self._history, revision, key=_mod) :]
        if old:
            subscriber.hold()
            asyncio.get_running_loop().call_soon(self._replay, subscriber, old)
        return self._feed.add(subscriber)

    async def compact(self, revision: int) -> None:
        self._check_open()
        if revision > self._revision:
            raise FutureRevision(self._revision)
        if revision > self._compacted:
            self._compacted = revision
            del self._history[: bisect_left(self._history, revision, key=_mod)]

    async def size(self) -> int:
        return sum(len(kv.key) + len(kv.value) for kv in self._current.values())

    def _check_open(self) -> None:
        if not self._open:
            raise Unavailable("the store is closed")

    def _check_readable(self, revision: int) -> None:
        self._check_open()
        if revision > self._revision:
            raise FutureRevision(self._revision)
        if 0 < revision < self._compacted:
            raise Compacted(self._compacted)

    def _check(self, op: Op) -> None:
        current = self._current.get(op.key)
        if op.expect is not None and op.expect != (current.mod if current else 0):
            raise RevisionConflict(op.key, current)

    def _commit(self, ops: Sequence[Op], revision: int = 0, leases: Sequence[int] = ()) -> list[StorageEvent]:
        """Apply checked writes under one new revision and tell the watchers; the revision and the deadlines
        may have been chosen before."""
        revision = revision or self._revision + 1
        events = []
        for at, op in enumerate(ops):
            prev = self._current.get(op.key)
            if op.value is None:
                if prev is None:
                    continue
                kv = KeyValue(op.key, prev.value, revision, prev.create)
                del self._current[op.key]
                del self._keys[bisect_left(self._keys, op.key)]
            else:
                lease = leases[at] if leases else self._expiry.deadline(op.ttl) if op.ttl else 0
                value = compact(op.value)
                kv = KeyValue(op.key, value, revision, prev.create if prev else revision, lease)
                self._current[op.key] = kv
                if prev is None:
                    insort(self._keys, op.key)
                if lease:
                    self._expiry.add(lease, op.key, revision)
            events.append(StorageEvent(op.value is None, kv, prev))
        if events:
            self._revision = revision
            self._history += events
            self._feed.publish(events)
        return events

    def _expire(self, key: str, mod: int) -> None:
        current = self._current.get(key)
        if current is not None and current.mod == mod:
            self._commit([Op(key, None, mod)])

    @staticmethod
    def _replay(subscriber: Subscriber, old: list[StorageEvent]) -> None:
        wanted = [e for e in old if e.kv.key.startswith(subscriber.prefix)]
        subscriber.deliver(wanted)
        subscriber.release()


def open_storage(
    options: StoreOptions, directory: Path, routes: Mapping[str, str], clock: ServerClock = SYSTEM
) -> MemoryStorage:
    """The store, not started (storage/backends.py)."""
    return MemoryStorage(clock.time, clock.call_later)
