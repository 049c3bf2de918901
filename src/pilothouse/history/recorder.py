"""Moves what happens in the store to the history file, in small steps beside the requests.

It stays a minute behind the store, so that it sees which changes of a status are followed by others. The
store compacts nothing that has not been moved (`compactable`), so a server that is killed loses no change.
"""

import asyncio
import contextlib
import random
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from pilothouse.history import author
from pilothouse.history._recent import RecentChanges
from pilothouse.history.file import HistoryError, HistoryFile, RecordedChange
from pilothouse.history.metrics import HistoryMetrics
from pilothouse.history.places import Place
from pilothouse.history.policy import BEHIND, SETTLED, HistoryPolicy, Keep
from pilothouse.history.statuses import Statuses
from pilothouse.history.telling import HALF, LONG, ChangeTeller
from pilothouse.history.thread import HistoryThread
from pilothouse.history.times import timestamp
from pilothouse.history.written import WrittenChange, of_waiting
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.offload import Turns
from pilothouse.storage.interface import KeyValue, StorageError
from pilothouse.storage.sqlite.changes import (
    ChangeReader,
    StoredChange,
    first_of,
    last_of,
    revision_of,
)

log = Logger(__name__)

NOTHING, CHANGES = Keep.NOTHING, Keep.CHANGES
STEP = 128
"""Changes that are moved in one step, during which other threads may wait for the interpreter."""
PAUSE = 0.02
"""Seconds between two steps."""
POLL = 2.0
"""Seconds between two looks at a store in which all has been moved."""
GIVEN_UP = 7200.0
"""Seconds after which the store compacts what could not be moved: its file would grow without end."""
MOST_GAPS = 5
"""Gaps that are told of."""
WAITED_FOR = 3600.0
"""Seconds for which it waits for the key of a value; later, the change is kept without it."""
WHOLE = 1 / 64
"""The chance of a change that the whole object is kept, so that old states need no long way back.
No writer can tell which it will be."""
MOST_KNOWN = 4096
"""Folders of keys of which it is remembered how much is kept."""


class Ciphers(Protocol):
    """Encryption at rest (storage/encryption)."""

    def encrypt(self, key: str, value: bytes) -> bytes: ...
    def decrypt(self, key: str, data: bytes) -> bytes: ...
    async def prepare(self, items: Sequence[KeyValue]) -> None: ...
    def unknown(self, items: Iterable[KeyValue]) -> Mapping[bytes, object]: ...


class HistoryRecorder(BackgroundTask):
    """Fills a history file. start() before requests are served; `revision` tells how far the store is.

    to_json makes JSON of what is stored under a key. draw: makes numbers from 0 to 1 that nobody foresees.
    """

    def __init__(
        self,
        source: ChangeReader,
        file: HistoryFile,
        policy: HistoryPolicy,
        *,
        place_of: Callable[[str], Place],
        to_json: Callable[[str, bytes], bytes],
        revision: Callable[[], int],
        ciphers: Ciphers | None = None,
        metrics: HistoryMetrics | None = None,
        clock: Callable[[], float] = time.time,
        settled: float = SETTLED,
        turns: Turns | None = None,
        draw: Callable[[], float] | None = None,
    ) -> None:
        self._source = source
        self._file = file
        self._policy = policy
        self._place_of = place_of
        self._statuses = Statuses(to_json)
        self._teller = ChangeTeller(to_json, self._waits, clock)
        self._revision = revision
        self._ciphers = ciphers
        self._clock = clock
        self._settled = settled
        self._draw = draw or random.Random().random
        self._known: dict[str, Keep] = {}
        self._seen: deque[tuple[float, int]] = deque()
        """How far the store was at some moments since what has been moved."""
        self._read_to = self._again_to = 0
        """The id up to which rows have been read, and that up to which they are read for a second time."""
        self._bases: dict[str, tuple[int, int]] = {}
        """The keys of which the latest changes of the status were left out: the row from which the next kept
        change starts, and the first that was left out."""
        self._failing = self._behind = False
        self._thread = HistoryThread("history", turns)
        self.run = self._thread.run
        """The outcome of a call on the thread of the history's file."""
        self.metrics = metrics or HistoryMetrics()

    @property
    def recorded(self) -> int:
        """The revision up to which all has been moved."""
        return revision_of(self._file.recorded)

    @property
    def reach(self) -> int:
        """The oldest revision whose state is known."""
        return revision_of(self._file.trimmed)

    @property
    def since_ms(self) -> int:
        """The time from which on states are known, in milliseconds since 1970."""
        return self._file.since_ms

    @property
    def recent(self) -> RecentChanges:
        """The changes that were kept last."""
        return self._file.recent

    @property
    def foreign_writes(self) -> int:
        """How often another process has written to the file, as far as that is known."""
        return self._file.foreign_writes

    @property
    def lag(self) -> float:
        """Seconds by which it is late."""
        recorded = self._file.recorded
        first = next((seen for seen, id in self._seen if id > recorded), None)
        return 0.0 if first is None else max(0.0, self._clock() - first - self._settled)

    @property
    def condition(self) -> str:
        """A sentence about what is wrong with the history, "" when nothing is."""
        lag = self.lag
        if lag <= BEHIND:
            return ""
        return f"the history is {lag:.0f} s behind: of changes of a status it keeps the last ones only"

    def gaps(self, since_ms: int, until_ms: int) -> list[str]:
        """Sentences about the latest gaps between two times."""
        return [
            f"the history has a gap from {timestamp(gap.began_ms)} to {timestamp(gap.ended_ms)}: changes"
            f" between the resourceVersions {revision_of(gap.first)} and {revision_of(gap.last)} are unknown"
            for gap in self._file.gaps[-MOST_GAPS:]
            if gap.began_ms <= until_ms and gap.ended_ms >= since_ms
        ]

    @property
    def has_given_up(self) -> bool:
        """Whether changes that have not been moved may be dropped."""
        return self.lag > GIVEN_UP

    def compactable(self) -> int:
        """The revision up to which the store may compact."""
        return self._revision() if self.has_given_up else self.recorded

    async def open(self) -> None:
        """Open the files, and move what the store no longer shows. HistoryError when that fails."""
        await self.run(self._open)
        shown = last_of(await self.run(self._source.compacted))
        while self._read_to < shown:  # after a restore, or a loss of power, the store begins anew
            await self.step(shown)

    def _open(self) -> None:
        self._file.open()
        try:
            self._source.open()
        except sqlite3.Error as error:
            self._file.close()
            raise HistoryError(f"the store can not be read for the history: {error}") from error
        if not self._file.recorded:
            self._file.begin_at(last_of(self._revision()), int(self._clock() * 1000))
        self._read_to, self._again_to = self._file.recorded, self._file.last()

    async def close(self) -> None:
        """Move nothing more; what is left is moved after the next start."""
        await super().close()
        with contextlib.suppress(AttributeError):  # it was not opened
            await self.run(self._source.close)
            await self.run(self._file.close)
        self._thread.close()

    async def _run(self) -> None:
        while True:
            try:
                busy = await self.step(self._target())
                self._tell_of_success()
                self._tell_of_lag()
            except (StorageError, sqlite3.Error, ValueError) as error:
                busy = False
                self._tell_of_failure(error)
            await asyncio.sleep(PAUSE if busy else POLL)

    def _target(self) -> int:
        """The id up to which changes may be moved now."""
        now, newest = self._clock(), last_of(self._revision())
        if not self._seen or self._seen[-1][1] != newest:
            self._seen.append((now, newest))
        while len(self._seen) > 1 and self._seen[1][1] <= self._file.recorded:
            self._seen.popleft()
        self.metrics.lag.set(self.lag)
        settled = [id for seen, id in self._seen if seen <= now - self._settled]
        return max(settled, default=self._file.recorded)

    def _tell_of_success(self) -> None:
        if self._failing:
            self._failing = False
            log.info("The history is written again", file=self._file.path)

    def _tell_of_lag(self) -> None:
        behind = self.lag > BEHIND
        if behind and not self._behind:
            log.warning(
                "The history is behind, of changes of a status it keeps the last ones", seconds=self.lag
            )
        self._behind = behind

    def _tell_of_failure(self, error: Exception) -> None:
        self.metrics.failures.inc()
        if not self._failing:
            self._failing = True
            log.error("The history can not be written, it is tried again", file=self._file.path, err=error)

    async def first_waiting_after(self, time_ms: int) -> int:
        """The id of the first change after a time of those that have not been moved yet, 0 for none."""
        found: int = await self.run(self._source.first_after, self._file.recorded, time_ms, author.time_of)
        return found

    async def written(self, after: int, upto: int) -> list[WrittenChange]:
        """The first changes with ids between two that wait in the store, and whose authors are known."""

        def found() -> list[WrittenChange]:
            rows = self._source.authors(after, upto)
            return of_waiting(row for row in rows if not row[2].endswith(author.UNKNOWN))

        made: list[WrittenChange] = await self.run(found)
        return made

    async def waiting(
        self, first: str, end: str, within: str, after: int, before: int, limit: int
    ) -> tuple[list[RecordedChange], int]:
        """The last changes of keys between two that have a text in them, of ids between two, that are to be
        kept and have not been moved, the newest first. `limit` are looked at, at most; the other value is the
        id of the last one, 0 when there are no others."""
        changes, more = await self.run(self._source.latest, first, end, after, before, limit)
        await self._prepare(changes)
        made = await self.run(self._waiting, [one for one in changes if within in one.key])
        return made, changes[-1].id if more else 0

    def _waiting(self, changes: list[StoredChange]) -> list[RecordedChange]:
        first, last = self._source.gap()
        wanted = (one for one in changes if not first < one.id <= last and self._keep(one.key) is not NOTHING)
        made = (self._teller.told(one, one.old, LONG) for one in wanted)
        return [one for one in made if one is not None]

    async def _prepare(self, changes: list[StoredChange]) -> None:
        """Fetch the keys with which the values of some changes are decrypted."""
        if self._ciphers is not None:
            values = [KeyValue(one.key, value, 1) for one in changes for value in (one.old, one.new) if value]
            await self._ciphers.prepare(values)

    # --- one step

    async def step(self, upto: int) -> bool:
        """Move some changes with ids up to `upto`; whether there may be more to do."""
        if self._read_to < upto:
            changes, done = await self.run(self._read, upto)
            await self._prepare(changes)
            try:
                await self.run(self._move, changes, done, upto)
            except BaseException:
                self._again_to = max(self._again_to, self._read_to)
                self._read_to = self._file.recorded
                self._bases.clear()
                raise
            self._read_to = done
            if done < upto:
                self.metrics.lag.set(self.lag)
                return True
        before = int((self._clock() - self._policy.keep_for) * 1000)
        return bool(await self.run(self._trim, before))

    def _read(self, upto: int) -> tuple[list[StoredChange], int]:
        self._file.look_around()
        first, last = self._source.gap()
        if first <= self._read_to < last:  # older states cannot be put together any more
            self._file.skip(last, int(self._clock() * 1000))
            self._read_to = last
            self._bases.clear()
        elif self._read_to < first < upto:
            upto = first
        if self._read_to >= upto:
            return [], self._read_to
        return self._source.read(self._read_to, upto, STEP)

    def _trim(self, before_ms: int) -> bool:
        self._file.look_around()
        trimmed = self._file.trim(before_ms, self._policy.max_bytes)
        self.metrics.size.set(self._file.size())
        self.metrics.lag.set(self.lag)
        return trimmed

    def _move(self, changes: list[StoredChange], done: int, upto: int) -> None:
        kept, again, draw = [], self._again_to, self._draw
        keeps = [self._keep(change.key) for change in changes]
        passed, left_out = self._passed(changes, keeps, done, upto), 0
        for change, keep in zip(changes, keeps, strict=True):
            if change.id <= again and keep is not NOTHING:
                self._move_again(change)
            elif keep is NOTHING:
                left_out += 1
            elif change.id in passed:
                self._bases.setdefault(change.key, (change.prev, change.id))
                left_out += 1
            else:
                if self._bases:
                    change = self._from_base(change)
                made = self._teller.told(change, change.old, 0.0 if draw() < WHOLE else HALF)
                if made is not None:
                    kept.append(made)
        if self._bases:  # after a kill, what was left out and not made up for yet is read again
            _, oldest = next(iter(self._bases.values()))
            done = min(done, first_of(revision_of(oldest)) - 1)
        self._file.record(kept, done)
        self.metrics.kept.inc(by=len(kept))
        if left_out:
            self.metrics.left_out.inc(by=left_out)

    def _passed(self, changes: list[StoredChange], keeps: list[Keep], done: int, upto: int) -> set[int]:
        """The ids of the changes of a status that are left out: of these, the last one of a minute is kept.
        It starts from before those left out."""
        found: set[int] = set()
        last: dict[str, tuple[int, int]] = {}
        followed: dict[str, int] = {}
        late, statuses = self.lag > BEHIND, self._statuses
        for change, keep in zip(reversed(changes), reversed(keeps), strict=True):
            if keep is CHANGES:
                minute, next_one = statuses.minute(change), followed.get(change.key)
                followed[change.key] = minute
                if minute >= 0 and next_one is None:
                    last[change.key] = change.id, minute
                elif minute >= 0 and (minute == next_one or (late and next_one != -1)):
                    found.add(change.id)
        if last and done < upto:
            for key, by in self._source.following(list(last), done, upto + 1):
                id, minute = last[key]
                next_minute = statuses.minute_of(by)
                if next_minute is None and (after := self._source.next(key, done, upto + 1)) is not None:
                    next_minute = statuses.minute(after)
                if minute == next_minute or (late and next_minute not in (None, -1)):
                    found.add(id)
        return found

    def _move_again(self, change: StoredChange) -> None:
        """Find out what became of a change that was looked at before a kill or a failure."""
        if self._file.has(change.id):
            self._bases.pop(change.key, None)
        elif change.prev:
            self._bases.setdefault(change.key, (change.prev, change.id))

    def _waits(self, key: str, values: list[bytes]) -> bool:
        """Whether the keys of values that cannot be read may still come."""
        items = [KeyValue(key, value, 1) for value in values]
        return self._ciphers is not None and bool(self._ciphers.unknown(items)) and self.lag < WAITED_FOR

    def _keep(self, key: str) -> Keep:
        folder = key.rpartition("/")[0]
        found = self._known.get(folder)
        if found is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            place = self._place_of(key)
            found = self._known[folder] = self._policy.keep(place.resource, place.namespace)
        return found

    def _from_base(self, change: StoredChange) -> StoredChange:
        """The change as one that starts from the value before those that were left out before it."""
        base = self._bases.pop(change.key, None)
        return change if base is None else change._replace(prev=base[0], old=self._source.value(base[0]))
