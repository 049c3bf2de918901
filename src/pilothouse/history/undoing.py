"""Puts objects together as they were, from what they are and the changes since."""

import sqlite3
from collections.abc import Callable

from pilothouse.history._packing import unpack
from pilothouse.history.delta import text_before
from pilothouse.history.file import ChangeKind, HistoryError
from pilothouse.storage.interface import KeyValue
from pilothouse.storage.sqlite.changes import revision_of

MOST_BYTES = 4 << 20
"""Bytes of kept values that are in memory for one step, and those of one key more."""
CHANGED_SINCE = (
    "SELECT o.key, c.id, c.kind, CASE WHEN c.id > :after THEN c.value END"
    " FROM objects o CROSS JOIN changes c ON c.object = o.id WHERE o.key >= :first AND o.key < :end"
    " AND c.id >= ifnull((SELECT max(id) FROM changes WHERE object = o.id AND id <= :after), 0)"
    " AND c.id <= ifnull((SELECT min(id) FROM changes WHERE object = o.id AND id > :after AND id <= :upto"
    " AND kind <> 1), :upto) ORDER BY o.key, c.id"
)
"""Of each key the last change before, and those since up to the first one that keeps the whole object."""

Changed = dict[str, tuple[int, list[tuple[int, bytes | None]]]]
"""By key the id of the last change before some, 0 for none; and the kinds and kept values of these."""

ToJSON = Callable[[str, bytes], bytes]
"""Makes JSON of what is stored under a key."""


class Undoing:
    """Makes the pairs of keys between two that there were before the changes with ids between two.

    value_of: the JSON of a key after these, None without one. reach: the oldest revision that is known. Used
    on the thread of `db`.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        value_of: Callable[[str], bytes | None],
        keys: tuple[str, str],
        ids: tuple[int, int],
        reach: int,
    ) -> None:
        self._db = db
        self._value_of = value_of
        self._first, self._end = keys
        self._after, self._upto = ids
        self._reach = reach
        self.then: dict[str, KeyValue | None] = {}
        """The pairs of the keys that have been changed, None for those that were not there."""

    def all(self) -> dict[str, KeyValue | None]:
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
        self._first, key, size, before = "", "", 0, 0
        rows: list[tuple[int, bytes | None]] = []
        for name, id, kind, value in self._db.execute(CHANGED_SINCE, args):
            if name != key:
                if size > MOST_BYTES:
                    self._first = name
                    break
                key, before, rows = name, 0, []
            if id <= self._after:
                before = id
                continue
            if not rows:
                found[key] = before, rows
            rows.append((kind, value))
            size += len(value or b"")
        return found

    def undo(self, changed: Changed, decrypt: ToJSON | None = None) -> None:
        """Undo the changes of some keys, which decrypt() reads."""
        for key, (before, rows) in changed.items():
            if decrypt is not None:
                rows = [(kind, value and decrypt(key, value)) for kind, value in rows]
            value = self._undone(key, rows)
            mod = revision_of(before) or min(self._reach, revision_of(self._after))
            self.then[key] = None if value is None else KeyValue(key, value, mod)

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
