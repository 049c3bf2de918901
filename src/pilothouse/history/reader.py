"""Reads kept changes, and puts together what the store held at an earlier revision."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import orjson

from pilothouse.history.author import Author, author_of
from pilothouse.history.delta import undo
from pilothouse.history.file import ChangeKind, HistoryError, RecordedChange, audit_id_of, connect
from pilothouse.history.packing import unpack
from pilothouse.history.recorder import Ciphers, HistoryRecorder
from pilothouse.storage.interface import Compacted, KeyValue, Page, Storage
from pilothouse.storage.sqlite.changes import last_of, revision_of

LAST = "\U0010ffff"
NEVER = 1 << 62
"""An id that no row reaches."""

OF_OBJECT = "SELECT id, kind, value FROM changes WHERE object = ? AND id > ? AND id <= ? ORDER BY id"
CHANGED_SINCE = (
    "SELECT key, id FROM objects WHERE key >= ? AND key < ? AND EXISTS (SELECT 1 FROM changes"
    " WHERE object = objects.id AND changes.id > ? AND changes.id <= ?) ORDER BY key"
)
LATEST = "SELECT max(id) FROM changes WHERE object = ? AND id <= ?"
COLUMNS = "c.id, o.key, c.kind, c.time, a.author, c.audit, c.value"
CHANGES = (
    f"SELECT {COLUMNS} FROM changes c JOIN objects o ON o.id = c.object"
    " LEFT JOIN authors a ON a.id = c.author WHERE c.id < ? AND c.id > ? {where} ORDER BY c.id DESC LIMIT ?"
)


class KeptChange(NamedTuple):
    """A change as it is kept. value: as ChangeKind says, b"" where nothing is kept. author: None where it is
    unknown."""

    id: int
    key: str
    kind: ChangeKind
    time_ms: int
    author: Author | None
    audit_id: str
    value: bytes

    @property
    def revision(self) -> int:
        """The resourceVersion that the change gave the object."""
        return revision_of(self.id)

    @property
    def creates(self) -> bool:
        """Whether the object came to be."""
        return self.kind is ChangeKind.CREATED

    @property
    def deletes(self) -> bool:
        """Whether the object went."""
        return self.kind is ChangeKind.DELETED

    @property
    def is_whole(self) -> bool:
        """Whether the whole object before the change is kept, and not the difference."""
        return self.kind is ChangeKind.REPLACED


def _unmoved(change: RecordedChange) -> KeptChange:
    author = author_of(change.author) if change.author else None
    id, key, kind, time_ms, _, audit_id, value = change
    return KeptChange(id, key, kind, time_ms, author=author, audit_id=audit_id, value=value)


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
    ) -> None:
        """`storage` is the one below encryption; to_json also decrypts."""
        self._recorder = recorder
        self._path = path
        self._storage = storage
        self._to_json = to_json
        self._ciphers = ciphers
        self._threads = ThreadPoolExecutor(1, "history-reader")
        self._db: sqlite3.Connection

    @property
    def reach(self) -> int:
        """The oldest revision that can be read."""
        return self._recorder.reach

    async def open(self) -> None:
        """Open the file, which the recorder has made."""
        self._db = await self._run(lambda: connect(self._path, read_only=True))

    async def close(self) -> None:
        """Close the file."""
        await self._run(self._db.close)
        self._threads.shutdown(wait=False)

    def _run(self, call: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    async def _read(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return await self._run(call, *args)
        except (sqlite3.Error, ValueError) as error:
            raise HistoryError(f"the history can not be read: {error}") from error

    # --- objects

    async def get(self, key: str, revision: int) -> KeyValue | None:
        """The value of a key at a revision, as JSON. Compacted when that is too long ago."""
        page = await self._page(key, key + "\0", revision, 0)
        return page.items[0] if page.items else None

    async def range(self, prefix: str, *, start: str = "", limit: int = 0, revision: int) -> Page:
        """The keys under a prefix as they were at a revision, as JSON; their number is unknown."""
        return await self._page(max(prefix, start), prefix + LAST, revision, limit)

    async def between(self, first: str, end: str, revision: int) -> Page:
        """The keys from `first` up to `end` as they were at a revision, as JSON."""
        return await self._page(first, end, revision, 0)

    async def _page(self, first: str, end: str, revision: int, limit: int) -> Page:
        if revision < self.reach:
            raise Compacted(self.reach)
        items: list[KeyValue] = []
        while True:
            recorded = self._recorder.recorded
            at = max(recorded, self._storage.compacted)
            base = await self._base(first, end, max(at, revision), limit)
            upto = base.items[-1].key + "\0" if base.more else end
            changed = {}
            if revision < at:
                changed = await self._read(self._changed, first, upto, last_of(revision), last_of(recorded))
                await self._prepare((key, row[2]) for key, (_, rows) in changed.items() for row in rows)
            items += await self._read(self._merged, base.items, changed, revision)
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

    def _changed(self, first: str, end: str, after: int, upto: int) -> dict[str, tuple[int, list[Any]]]:
        """By key, the changes of a time up to the first that keeps the whole object, and the row of the last
        one before that time."""
        found = {}
        for key, object_id in self._db.execute(CHANGED_SINCE, (first, end, after, upto)).fetchall():
            rows = []
            for row in self._db.execute(OF_OBJECT, (object_id, after, upto)):
                rows.append(row)
                if row[1] != ChangeKind.CHANGED:
                    break
            (before,) = self._db.execute(LATEST, (object_id, after)).fetchone()
            found[key] = before or 0, rows
        return found

    def _merged(
        self, base: list[KeyValue], changed: dict[str, tuple[int, list[Any]]], revision: int
    ) -> list[KeyValue]:
        found = {kv.key: kv for kv in base}
        items = []
        for key in sorted({*found, *changed}):
            now = found.get(key)
            value = None if now is None else self._to_json(key, now.value)
            if key not in changed:
                assert now is not None and value is not None
                items.append(KeyValue(key, value, now.mod, now.create))
                continue
            before, rows = changed[key]
            value = self._undone(key, value, rows)
            if value is not None:
                items.append(KeyValue(key, value, revision_of(before) or min(self.reach, revision)))
        return items

    def _undone(self, key: str, value: bytes | None, rows: list[Any]) -> bytes | None:
        """The value before some changes, which are in the order in which they were made."""
        rows = list(rows)
        _, kind, kept = rows[-1]
        if kind == ChangeKind.CREATED:
            value = None
            rows.pop()
        elif kind != ChangeKind.CHANGED:
            value = self._opened(key, kept)
            rows.pop()
        if not rows:
            return value
        if value is None:
            raise HistoryError(f"the history of {key} has a gap")
        obj = orjson.loads(value)
        for _, _, kept in reversed(rows):
            obj = undo(obj, orjson.loads(self._opened(key, kept)))
        return orjson.dumps(obj)

    def _opened(self, key: str, kept: bytes) -> bytes:
        return unpack(kept if self._ciphers is None else self._ciphers.decrypt(key, kept))

    # --- changes

    async def changes(
        self, first: str, end: str, *, within: str = "", before: int = 0, after: int = 0, limit: int = 0
    ) -> list[KeptChange]:
        """Changes of keys from `first` up to `end` that have a text in them, the newest first: of ids between
        two, at most `limit`."""
        recorded = last_of(self._recorder.recorded)
        before = before or NEVER
        found: list[KeptChange] = []
        if before > recorded:
            waiting = await self._recorder.waiting(first, end, within, max(after, recorded), before, limit)
            found = [_unmoved(one) for one in waiting]
        if not limit or len(found) < limit:
            rest = limit and limit - len(found)
            ids = after, min(before, recorded + 1)
            rows = await self._read(self._changes, (first, end), within, ids, rest)
            await self._prepare((row[1], row[6]) for row in rows)
            found += await self._read(lambda: [self._kept(row) for row in rows])
        return found

    def _changes(self, keys: tuple[str, str], within: str, ids: tuple[int, int], limit: int) -> list[Any]:
        (first, end), (after, before) = keys, ids
        where, args = " AND o.key >= ? AND o.key < ?", [first, end]
        if end == first + "\0":  # by the index of one object's changes
            where, args = " AND c.object = (SELECT id FROM objects WHERE key = ?)", [first]
        if within:
            where, args = where + " AND instr(o.key, ?)", [*args, within]
        query = CHANGES.format(where=where)
        return self._db.execute(query, (before, after, *args, limit or -1)).fetchall()

    def _kept(self, row: Any) -> KeptChange:
        id, key, kind, time_ms, who, audit, value = row
        return KeptChange(
            id,
            key,
            ChangeKind(kind),
            time_ms,
            author=author_of(who) if who else None,
            audit_id=audit_id_of(audit),
            value=self._opened(key, value) if value is not None else b"",
        )

    async def revision_at(self, time_ms: int) -> int:
        """The revision that was the newest one at a time. Compacted when that is too long ago."""
        if time_ms < self._recorder.since_ms:
            raise Compacted(self.reach)
        after: int = await self._read(self._first_after, time_ms)
        after = after or await self._recorder.first_waiting_after(time_ms)
        return revision_of(after) - 1 if after else self._storage.revision

    def _first_after(self, time_ms: int) -> int:
        """The id of the first kept change after a time, 0 for none."""
        (low,), (high,) = (
            self._db.execute(f"SELECT {which}(id) FROM changes").fetchone() for which in ("min", "max")
        )
        if low is None:
            return 0
        low, high = low - 1, high + 1
        while high - low > 1:
            middle = (low + high) // 2
            row = self._db.execute(
                "SELECT id, time FROM changes WHERE id >= ? ORDER BY id LIMIT 1", (middle,)
            ).fetchone()
            if row is None or row[1] > time_ms:
                high = middle
            else:
                low = row[0]
        row = self._db.execute("SELECT id FROM changes WHERE id >= ? ORDER BY id LIMIT 1", (high,)).fetchone()
        return row[0] if row else 0
