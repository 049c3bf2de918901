"""Puts objects together as they were, from what they are and the changes since."""

import sqlite3
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pilothouse.api._json import strip
from pilothouse.history._packing import unpack
from pilothouse.history.delta import text_before
from pilothouse.history.file import ChangeKind, HistoryError
from pilothouse.storage._entry import Entry
from pilothouse.storage.interface import KeyValue
from pilothouse.storage.sqlite.changes import revision_of

MOST_BYTES = 4 << 20
"""Bytes of kept values that are in memory for one step, and those of one key more."""
CHANGED_SINCE = (
    "SELECT o.key, c.id, c.kind, c.time, CASE WHEN c.id > :after THEN c.value END"
    " FROM objects o CROSS JOIN changes c ON c.object = o.id WHERE o.key >= :first AND o.key < :end"
    " AND c.id >= ifnull((SELECT max(id) FROM changes WHERE object = o.id AND id <= :after), 0)"
    " AND c.id <= ifnull((SELECT min(id) FROM changes WHERE object = o.id AND id > :after AND id <= :upto"
    " AND kind <> 1), :upto) ORDER BY o.key, c.id"
)
"""Of each key the last change before, and those since up to the first one that keeps the whole object."""
SPANS = (
    "SELECT o.key, ifnull((SELECT max(id) FROM changes WHERE object = o.id AND id <= :after), 0),"
    " (SELECT min(id) FROM changes WHERE object = o.id AND id > :after AND id <= :upto) AS until"
    " FROM objects o WHERE o.key >= :first AND o.key < :end AND until"
)
"""Of each key that has been changed since, the ids of the changes before and behind."""


class PastState:
    """A key as it was from one change to the next: the revisions and times of these, in milliseconds. kv: as
    JSON, None where the key was not there. since: 0 where that change is not kept. size: of the value."""

    __slots__ = ("_entry", "_kv", "since", "since_ms", "size", "until", "until_ms")

    def __init__(self, kv: KeyValue | None, revisions: tuple[int, int], times: tuple[int, int]) -> None:
        self._kv = kv
        self._entry: Entry | None = None
        self.since, self.until = revisions
        self.since_ms, self.until_ms = times
        self.size = len(kv.value) if kv is not None else 0

    @property
    def kv(self) -> KeyValue | None:
        """The pair, None where the key was not there."""
        entry = self._entry
        if entry is not None:
            return KeyValue(entry.key, strip(entry.value), entry.rev, entry.create_rev)
        return self._kv

    @property
    def entry(self) -> Entry | None:
        """The same as it is served; it takes the place of the pair."""
        kv = self._kv
        if kv is not None:
            self._entry, self._kv = Entry(kv.key, kv.value, kv.mod, kv.create), None
        return self._entry


class Since(NamedTuple):
    """The changes of a key that are undone: their kinds and kept values. before, first: the ids and times of
    the one that came before, zeros for none, and of the first of them."""

    before: tuple[int, int]
    first: tuple[int, int]
    rows: list[tuple[int, bytes | None]]


Changed = dict[str, Since]


class Undoing:
    """Makes the states of keys between two before the changes with ids between two.

    value_of: the JSON of a key after these, None without one. reach: the oldest revision that is known.
    known: states that are at hand. Used on the thread of `db`.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        value_of: Callable[[str], bytes | None],
        keys: tuple[str, str],
        ids: tuple[int, int],
        reach: int,
        known: Mapping[str, PastState] = MappingProxyType({}),
    ) -> None:
        self._db = db
        self._value_of = value_of
        self._first, self._end = keys
        self._after, self._upto = ids
        self._reach = reach
        self._known = known
        self.then: dict[str, PastState] = {}
        """The states of the keys that have been changed."""

    def all(self) -> dict[str, PastState]:
        """Undo all changes that have not been undone by now, which are not encrypted."""
        while changed := self.read():
            self.undo(changed)
        return self.then

    def read(self) -> Changed:
        """The next keys that have been changed; empty when there are no others."""
        found: Changed = {}
        if not self._first:
            return found
        args = {"first": self._first, "end": self._end, "after": self._after, "upto": self._upto}
        self._first, key, size, before = "", "", 0, (0, 0)
        after = self._after
        rows: list[tuple[int, bytes | None]] = []
        for name, id, kind, time_ms, value in self._db.execute(CHANGED_SINCE, args):
            if name != key:
                if size > MOST_BYTES:
                    self._first = name
                    break
                key, before, rows = name, (0, 0), []
            if id <= after:
                before = id, time_ms
                continue
            if not rows:
                found[key] = Since(before, (id, time_ms), rows)
            rows.append((kind, value))
            if value is not None:
                size += len(value)
        return found

    def undo(self, changed: Changed, decrypt: Callable[[str, bytes], bytes] | None = None) -> None:
        """Undo the changes of some keys, which decrypt() reads."""
        oldest = min(self._reach, revision_of(self._after))
        for key, ((before, since_ms), (first, until_ms), rows) in changed.items():
            if key in self._known:
                self.then[key] = self._known[key]
                continue
            if decrypt is not None:
                rows = [(kind, value and decrypt(key, value)) for kind, value in rows]
            value, since = self._undone(key, rows), revision_of(before)
            kv = None if value is None else KeyValue(key, value, since or oldest)
            self.then[key] = PastState(kv, (since, revision_of(first)), (since_ms, until_ms))

    def _undone(self, key: str, rows: list[tuple[int, bytes | None]]) -> bytes | None:
        """The value before some changes, which are in the order in which they were made."""
        kind, kept = rows[-1]
        if kind in (ChangeKind.UNREADABLE, ChangeKind.UNREADABLE_DELETED):
            raise HistoryError(f"the value of {key} could not be decrypted when its change was kept")
        if kind == ChangeKind.CHANGED:
            value = self._value_of(key)
        else:
            value = None if kind == ChangeKind.CREATED or kept is None else unpack(kept)
            rows.pop()
        if not rows:
            return value
        if value is None:
            raise HistoryError(f"the history of {key} has a gap")
        return text_before(value, [kept or b"" for _, kept in reversed(rows)])
