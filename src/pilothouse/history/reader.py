"""Reads kept changes, and puts together what the store held at an earlier revision."""

import sqlite3
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from pilothouse.caches import Cache, CacheBudget
from pilothouse.history._packing import unpack
from pilothouse.history._recent import Since
from pilothouse.history._states import (
    PastState,
    changed_of,
    state_before,
    undo_recent,
    unpacked_bytes,
    weight,
)
from pilothouse.history.author import UNKNOWN
from pilothouse.history.file import HistoryError, connect
from pilothouse.history.kept import KeptChange, KeptRows, unmoved
from pilothouse.history.recorder import Ciphers, HistoryRecorder
from pilothouse.history.thread import HistoryThread
from pilothouse.history.undoing import CHANGED_SINCE, SPANS, Undoing
from pilothouse.history.written import MOST, WrittenChange, of_rows
from pilothouse.offload import INLINE, Turns
from pilothouse.storage._entry import Entry
from pilothouse.storage.interface import Compacted, KeyValue, Page, Storage
from pilothouse.storage.keys import ROOT
from pilothouse.storage.sqlite.changes import last_of, revision_of
from pilothouse.storage.sqlite.file import BITS, LAST

NEVER = 1 << 62
"""An id that no row reaches."""

CHUNK = 500
"""Changes that one step looks at."""
LARGEST = 1 << 18
"""Bytes of the largest state that is remembered."""
MOST_BYTES = 4 << 20
"""Bytes of values that are in memory for one step, and one value more."""

CHANGES = (
    f"SELECT {KeptRows.COLUMNS} FROM changes c JOIN objects o ON o.id = c.object"
    " LEFT JOIN authors a ON a.id = c.author WHERE c.id < ? AND c.id > ? {where} ORDER BY c.id DESC"
)
WRITTEN = (
    "SELECT c.id, o.key, c.time, c.audit, a.author FROM changes c JOIN objects o ON o.id = c.object"
    " JOIN authors a ON a.id = c.author WHERE c.id > ? AND c.id <= ? AND a.author <> ? ORDER BY c.id"
)
FIRST_AFTER = f"""
WITH RECURSIVE search(low, high) AS (
    SELECT ((SELECT min(id) FROM changes) >> {BITS}) - 1, ((SELECT max(id) FROM changes) >> {BITS}) + 1
    UNION ALL
    SELECT
        CASE WHEN c.time > ?1 THEN low ELSE c.id >> {BITS} END,
        CASE WHEN c.time > ?1 THEN (low + high) / 2 ELSE high END
    FROM search CROSS JOIN changes c
    ON c.id = (SELECT id FROM changes WHERE id >= (low + high) / 2 << {BITS} ORDER BY id LIMIT 1)
    WHERE high - low > 1
)
SELECT id FROM changes WHERE id >= (SELECT high FROM search WHERE high - low <= 1) << {BITS}
ORDER BY id LIMIT 1
"""
"""Halves the revisions between two, of which all changes up to the one are not after a time, and those from
the other on are."""


def _unread(error: Exception) -> HistoryError:
    return HistoryError(f"the history can not be read: {error}")


def _any(change: KeptChange) -> bool:
    """Every change fits."""
    return True


class HistoryReader:
    """Reads the history file on a thread of its own, and the store for what is newer."""

    def __init__(
        self,
        recorder: HistoryRecorder,
        path: Any,
        storage: Storage,
        *,
        to_json: Callable[[str, bytes], bytes],
        ciphers: Ciphers | None = None,
        turns: Turns | None = None,
        caches: CacheBudget | None = None,
    ) -> None:
        """`storage` is the one below encryption; to_json also decrypts. caches: their budget."""
        self._recorder = recorder
        self._path = path
        self._storage = storage
        self._to_json = to_json
        self._ciphers = ciphers
        self._kept = KeptRows()
        self._states: Cache[str, PastState] = Cache(
            "past states",
            caches or CacheBudget(),
            largest=LARGEST,
            weigh=weight,
        )
        """Of keys that are not encrypted, the state that was asked for last."""
        self._searched = -1, 0
        """The last time for which a change was searched, and its id: later changes come behind it."""
        self._foreign_writes = 0
        self._thread = HistoryThread("history-reader", turns)
        self._db: sqlite3.Connection

    @property
    def reach(self) -> int:
        """The oldest revision that can be read."""
        return self._recorder.reach

    async def open(self) -> None:
        """Open the file, which the recorder has made."""
        self._db = await self._thread.run(lambda: connect(self._path, read_only=True))

    async def close(self) -> None:
        """Close the file."""
        await self._thread.run(self._db.close)
        self._thread.close()

    async def _read(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return await self._thread.run(call, *args)
        except (sqlite3.Error, ValueError) as error:
            raise _unread(error) from error

    async def _read_short(self, call: Callable[..., Any], *args: Any) -> Any:
        """Like _read(), of a call that reads a few pages of the file."""
        try:
            return await self._thread.run_short(call, *args)
        except (sqlite3.Error, ValueError) as error:
            raise _unread(error) from error

    # --- objects

    async def get(
        self, key: str, revision: int, latest: Entry | None = None, latest_at: int = 0, *, at_ms: int = 0
    ) -> KeyValue | None:
        """The value of a key at a revision or a time, as JSON. Compacted when that is too long ago.

        latest: the object as it was at a later revision, where that is at hand.
        """
        return (await self.state(key, revision, latest, latest_at, at_ms=at_ms)).kv

    async def state(
        self, key: str, revision: int, latest: Entry | None = None, latest_at: int = 0, *, at_ms: int = 0
    ) -> PastState:
        """Like get(); its entry is `latest` itself where the key has not changed since."""
        state = self._remembered(key, revision, at_ms)
        if state is None and latest is not None:
            state = await self._at_once(latest, latest_at, revision, at_ms)
        if state is not None:
            return state
        revision = revision or await self.revision_at(at_ms)
        if latest is not None and self.reach <= revision:
            state = await self._from_latest(latest, latest_at, revision)
        return await self._from_store(key, revision) if state is None else state

    def _settled(self, latest: Entry, latest_at: int) -> int:
        """The revision from which kept changes lead back from the latest state of a key; 0 where they do not
        begin there."""
        recorded = self._recorder.recorded
        if latest.rev <= recorded <= latest_at and self._storage.compacted <= recorded:
            return recorded
        return 0

    async def _at_once(self, latest: Entry, latest_at: int, revision: int, at_ms: int) -> PastState | None:
        """The state by the changes that are in memory, or, where nothing is encrypted, by one look at the
        file; None where kept changes do not lead there from the latest one."""
        recorded = self._settled(latest, latest_at)
        if not recorded:
            return None
        asked = latest.key, recorded, revision, at_ms
        found = self._since_in_memory(*asked)
        if found is None and self._ciphers is None:
            found = await self._read_short(self._since_in_file, *asked)
        if found is None:
            return None
        since, after = found
        undoing = latest, since, min(self.reach, revision_of(after))
        state: PastState | None
        if len(latest.value) + unpacked_bytes(since) > INLINE:
            state = await self._read(state_before, *undoing)
        else:
            try:
                state = state_before(*undoing)
            except ValueError as error:
                raise _unread(error) from error
        if state is None:
            return PastState(latest)
        self._remember({latest.key: state})
        return state

    async def _from_latest(self, latest: Entry, latest_at: int, revision: int) -> PastState | None:
        """The state, encrypted or not, as the latest one or by the changes before it; None where they do not
        lead there."""
        if latest.rev <= revision <= latest_at:
            return PastState(latest)
        recorded = self._settled(latest, latest_at)
        if revision >= recorded:
            return None
        key = latest.key
        then = await self.states({key: latest}.get, (key,), (key, key + "\0"), (revision, recorded), 0)
        return then[key] if key in then else PastState(latest)

    async def _from_store(self, key: str, revision: int) -> PastState:
        """The state, by what the store had when the newest kept change had been made."""
        page = await self._page(key, key + "\0", revision, 0)
        return PastState(kv=page.items[0] if page.items else None)

    def _remembered(self, key: str, revision: int, at_ms: int) -> PastState | None:
        """The state of a key at a revision or a time, where that was asked for before."""
        self._forget_purged()
        state = self._states[key]
        if state is None:
            return None
        if revision:
            holds = self.reach <= revision and state.since <= revision < state.until
        else:
            holds = self._recorder.since_ms <= at_ms and state.since_ms <= at_ms < state.until_ms
        return state if holds else None

    def _forget_purged(self) -> None:
        """Forget what is remembered when another process has written to the file: it may have purged some."""
        if self._foreign_writes != self._recorder.foreign_writes:
            self._foreign_writes = self._recorder.foreign_writes
            self.forget()

    def forget(self) -> None:
        """Forget the states that are remembered."""
        self._states.clear()

    def _remember(self, states: dict[str, PastState]) -> None:
        if self._ciphers is None:
            self._states.put_all({key: state for key, state in states.items() if state.since})

    def _since_in_memory(
        self, key: str, recorded: int, revision: int, at_ms: int
    ) -> tuple[Since, int] | None:
        """Like _since_in_file(), where the changes are in memory."""
        recent = self._recorder.recent
        ids = self._ids(recorded, revision, at_ms, recent.first_after)
        since = recent.of(key, *ids) if ids else None
        return (since, ids[0]) if since is not None and ids else None

    def _since_in_file(self, key: str, recorded: int, revision: int, at_ms: int) -> tuple[Since, int] | None:
        """The changes of a key after a revision or a time, up to another revision, and the id of the last row
        before; None where that is not known here."""
        ids = self._ids(recorded, revision, at_ms, self._first_after)
        if ids is None:
            return None
        args = {"first": key, "end": key + "\0", "after": ids[0], "upto": ids[1]}
        return changed_of(self._db.execute(CHANGED_SINCE, args).fetchall(), ids[0]), ids[0]

    def _ids(
        self, recorded: int, revision: int, at_ms: int, first_after: Callable[[int], int]
    ) -> tuple[int, int] | None:
        """The ids of the last rows of a revision or a time, and of a later revision; None where the first one
        is not known. first_after: the id of the first change after a time, 0 where that is not known."""
        if at_ms >= self._recorder.since_ms and not revision:
            revision = revision_of(first_after(at_ms)) - 1
        return (last_of(revision), last_of(recorded)) if self.reach <= revision < recorded else None

    async def range(self, prefix: str, *, start: str = "", limit: int = 0, revision: int) -> Page:
        """The keys under a prefix as they were at a revision, as JSON; their number is unknown."""
        return await self._page(max(prefix, start), prefix + LAST, revision, limit)

    async def between(self, first: str, end: str, limit: int, revision: int) -> Page:
        """The keys from `first` up to `end`, at most `limit`, as they were at a revision, as JSON."""
        return await self._page(first, end, revision, limit)

    async def _page(self, first: str, end: str, revision: int, limit: int) -> Page:
        if revision < self.reach:
            raise Compacted(self.reach)
        items: list[KeyValue] = []
        while True:
            recorded = self._recorder.recorded
            at = max(recorded, self._storage.compacted)
            if max(recorded, revision) < at:
                raise HistoryError("the history is behind the store, whose changes it needs: try again later")
            base = await self._base(first, end, max(at, revision), limit)
            upto = base.items[-1].key + "\0" if base.more else end
            if revision < at:
                items += await self._before(base.items, (first, upto), revision, recorded)
            else:
                items += await self._read(self._as_json, base.items)
            if limit and len(items) > limit:
                return Page(items[:limit], revision, more=True, count=-1)
            if not base.more:
                return Page(items, revision, count=-1)
            first = upto

    async def _base(self, first: str, end: str, revision: int, limit: int) -> Page:
        """The pairs of the store when the newest kept change had been made."""
        if end == first + "\0":  # one key
            found = await self._storage.get(first, revision)
            page = Page([found] if found else [], revision)
        else:
            prefix = end[: -len(LAST)]
            page = await self._storage.range(
                prefix, start=first, limit=limit and limit + 1, revision=revision, counted=False
            )
        await self._prepare((kv.key, kv.value) for kv in page.items)
        return page

    async def _prepare(self, values: Iterable[tuple[str, bytes | None]]) -> None:
        """Fetch the keys with which some values are decrypted."""
        if self._ciphers is not None:
            await self._ciphers.prepare([KeyValue(key, value, 1) for key, value in values if value])

    def _as_json(self, pairs: list[KeyValue]) -> list[KeyValue]:
        return [self._json_of(kv) for kv in pairs]

    def _json_of(self, kv: KeyValue) -> KeyValue:
        return KeyValue(kv.key, self._to_json(kv.key, kv.value), kv.mod, kv.create)

    async def _before(
        self, base: list[KeyValue], keys: tuple[str, str], revision: int, recorded: int
    ) -> list[KeyValue]:
        """The pairs of keys between two at a revision, as JSON; `base` are those at a later one."""
        now = {kv.key: kv for kv in base}

        def now_of(key: str) -> KeyValue | None:
            kv = now.get(key)
            return None if kv is None else self._json_of(kv)

        newer = sum([kv.mod > revision for kv in base])
        then = await self.states(now_of, now, keys, (revision, recorded), newer)
        same = await self._read(self._as_json, [kv for kv in base if kv.key not in then])
        changed = [kv for state in then.values() if (kv := state.kv) is not None]
        return sorted(same + changed, key=attrgetter("key"))

    async def states(
        self,
        now_of: Callable[[str], Entry | KeyValue | None],
        present: Iterable[str],
        keys: tuple[str, str],
        revisions: tuple[int, int],
        changed: int,
    ) -> dict[str, PastState]:
        """The states at the first of two revisions, of the keys between two that have been changed until the
        other one. now_of: a key at that one, as it is served or as JSON. present: those that are there then.
        changed: how many have been changed, at least."""
        ids = last_of(revisions[0]), last_of(revisions[1])
        self._forget_purged()
        recent, known = self._recorder.recent, dict[str, PastState]()
        if recent.after <= ids[0]:
            known = {key: state for key in present if (state := self._states[key]) is not None}
            oldest = min(self.reach, revisions[0])
            then: dict[str, PastState] | None = await self._read(
                lambda: undo_recent(recent, keys, ids, known, now_of, oldest)
            )
            if then is not None:
                self._remember({key: state for key, state in then.items() if known.get(key) is not state})
                return then
            known = {}
        if self._states:
            spans = await self._read(self._spans, keys, ids)
            for key, since, until in spans:
                state = self._states[key]
                if state is not None and (state.since, state.until) == (
                    revision_of(since),
                    revision_of(until),
                ):
                    known[key] = state
            if len(known) == len(spans):
                return known
        undoing = Undoing(self._db, now_of, keys, ids, self.reach, known=known, changed=changed)
        if self._ciphers is not None:
            while changes := await self._read(undoing.read):
                await self._prepare(
                    (key, value) for key, one in changes.items() for value in one.values or ()
                )
                await self._read(undoing.undo, changes, self._ciphers.decrypt)
        found: dict[str, PastState] = await self._read(undoing.all)
        self._remember({key: state for key, state in found.items() if key not in known} if known else found)
        return found

    def _spans(self, keys: tuple[str, str], ids: tuple[int, int]) -> list[tuple[str, int, int]]:
        """Of the keys between two that have been changed between two ids, the ids of the changes before and
        behind."""
        args = {"first": keys[0], "end": keys[1], "after": ids[0], "upto": ids[1]}
        found: list[tuple[str, int, int]] = self._db.execute(SPANS, args).fetchall()
        return found

    def undoable(self, revision: int, latest_at: int) -> int:
        """The revision from which one gets back to an earlier one, by changes that are kept; 0 where that has
        to begin with the store. latest_at: the newest revision of which the state is at hand."""
        recorded = self._recorder.recorded
        if self.reach <= revision < recorded <= latest_at and self._storage.compacted <= recorded:
            return recorded
        return 0

    def _opened(self, key: str, kept: bytes) -> bytes:
        return unpack(kept if self._ciphers is None else self._ciphers.decrypt(key, kept))

    # --- changes

    async def changes(
        self, first: str, end: str, *, within: str = "", before: int = 0, after: int = 0, limit: int = 0
    ) -> list[KeptChange]:
        """Changes of keys from `first` up to `end` that have a text in them, the newest first: of ids between
        two, at most `limit`."""
        found: list[KeptChange] = []
        while True:
            chunk, before = await self.chunk(first, end, within=within, before=before, after=after)
            found += chunk
            if not before or 0 < limit <= len(found):
                return found[: limit or None]

    async def change(self, id: int) -> KeptChange | None:
        """One change, None where it is not kept."""
        found = await self.changes(ROOT, ROOT + LAST, before=id + 1, after=id - 1, limit=1) if id else []
        return found[0] if found else None

    async def chunk(
        self,
        first: str,
        end: str,
        *,
        within: str = "",
        before: int = 0,
        after: int = 0,
        fits: Callable[[KeptChange], bool] = _any,
    ) -> tuple[list[KeptChange], int]:
        """Like changes(), of as many as one step may look at, those that fit; and the id of the last one that
        was looked at, 0 when there are no others.

        `fits` is called on other threads, with changes that have no value yet.
        """
        recorded = last_of(self._recorder.recorded)
        before = before or NEVER
        if before > recorded + 1:
            waiting, last = await self._recorder.waiting(
                first, end, within, max(after, recorded), before, CHUNK
            )
            found = [change for change in map(unmoved, waiting) if fits(change)]
            return found, last or (recorded + 1 if after <= recorded else 0)
        asked = (first, end), within, (after, before), fits
        if self._ciphers is None:
            found, cut, last = await self._read(lambda: self._kept_rows(*self._rows(*asked)))
            return found, cut or last
        rows, last = await self._read(self._rows, *asked)
        await self._prepare((row[1], row[6]) for row in rows)
        found, cut, _ = await self._read(self._kept_rows, rows, last)
        return found, cut or last

    def _rows(
        self, keys: tuple[str, str], within: str, ids: tuple[int, int], fits: Callable[[KeptChange], bool]
    ) -> tuple[list[Any], int]:
        (first, end), (after, before) = keys, ids
        where, args = " AND o.key >= ? AND o.key < ?", [first, end]
        if end == first + "\0":  # by the index of one object's changes
            where, args = " AND c.object = (SELECT id FROM objects WHERE key = ?)", [first]
        if within:
            where, args = where + " AND instr(o.key, ?)", [*args, within]
        rows: list[Any] = []
        size, last = 0, 0
        for looked, row in enumerate(self._db.execute(CHANGES.format(where=where), (before, after, *args))):
            if looked >= CHUNK or size > MOST_BYTES:
                return rows, last
            last = row[0]
            size += len(row[6] or b"")  # of all: where a step ends tells nothing of what fits
            if fits is _any or fits(self._kept.change(row, b"")):
                rows.append(row)
        return rows, 0

    def _kept_rows(self, rows: list[Any], last: int) -> tuple[list[KeptChange], int, int]:
        """The changes of some rows; the id of the last one where not all could be opened at once, else 0;
        and `last`."""
        found: list[KeptChange] = []
        size = 0
        for row in rows:
            if size > MOST_BYTES:
                return found, found[-1].id, last
            found.append(self._kept.change(row, self._opened(row[1], row[6]) if row[6] is not None else b""))
            size += len(found[-1].value)
        return found, 0, last

    async def written(self, after: int, upto: int) -> list[WrittenChange]:
        """The first changes with ids above `after` and at most `upto` whose authors are known, in whole
        revisions."""
        recorded = last_of(self._recorder.recorded)
        found: list[WrittenChange] = []
        if after < recorded:
            ids = after, min(upto, recorded)
            found = await self._read(lambda: of_rows(self._db.execute(WRITTEN, (*ids, UNKNOWN))))
        if len(found) < MOST and upto > recorded:
            found += await self._recorder.written(max(after, recorded), upto)
        return found

    async def revision_at(self, time_ms: int) -> int:
        """The revision that was the newest one at a time. Compacted when that is too long ago."""
        if time_ms < self._recorder.since_ms:
            raise Compacted(self.reach)
        after: int = await self._read(self._first_after, time_ms)
        after = after or await self._recorder.first_waiting_after(time_ms)
        return revision_of(after) - 1 if after else self._storage.revision

    def _first_after(self, time_ms: int) -> int:
        """The id of the first kept change after a time, 0 for none.

        PERF: who looks around in the past reads many objects as of one time, and the search takes 40 us.
        """
        if self._searched[0] == time_ms:
            return self._searched[1]
        row = self._db.execute(FIRST_AFTER, (time_ms,)).fetchone()
        if row is None:
            return 0
        self._searched = time_ms, row[0]
        return int(row[0])
