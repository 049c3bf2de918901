"""Puts objects together as they were, from what they are and the changes since."""

import sqlite3
from collections.abc import Callable, Mapping
from types import MappingProxyType

from pilothouse.history._recent import Since
from pilothouse.history._states import PastState, changed_between, changed_since, undo
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
OBJECTS = (
    "SELECT o.id, o.key, c.id, c.time FROM objects o LEFT JOIN changes c"
    " ON c.id = (SELECT max(id) FROM changes WHERE object = o.id AND id <= :after)"
    " WHERE o.key >= :first AND o.key < :end ORDER BY o.key"
)
"""Each key, and the last change before."""
CHANGED_BETWEEN = (
    "SELECT object, id, kind, time, value FROM changes WHERE id > :after AND id <= :upto ORDER BY id"
)
"""The changes since of all keys."""
DENSE = 8
"""Revisions for each key that has been changed, up to which all changes are read in the order of ids: a row
takes half of the time then."""
SPANS = (
    "SELECT o.key, ifnull((SELECT max(id) FROM changes WHERE object = o.id AND id <= :after), 0),"
    " (SELECT min(id) FROM changes WHERE object = o.id AND id > :after AND id <= :upto) AS until"
    " FROM objects o WHERE o.key >= :first AND o.key < :end AND until"
)
"""Of each key that has been changed since, the ids of the changes before and behind."""


class Undoing:
    """Makes the states of keys between two before the changes with ids between two.

    now_of: the Entry of a key after these, or its JSON as a KeyValue, None without one. reach: the oldest
    revision that is known. known: states that are at hand. changed: how many of the keys have been changed
    since, at least. Used on the thread of `db`.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        now_of: Callable[[str], Entry | KeyValue | None],
        keys: tuple[str, str],
        ids: tuple[int, int],
        reach: int,
        known: Mapping[str, PastState] = MappingProxyType({}),
        changed: int = 0,
    ) -> None:
        self._db = db
        self._now_of = now_of
        self._first, self._end = keys
        self._after, self._upto = ids
        self._reach = reach
        self._known = known
        self._dense = revision_of(self._upto) - revision_of(self._after) <= DENSE * changed
        self.then: dict[str, PastState] = {}
        """The states of the keys that have been changed."""

    def all(self) -> dict[str, PastState]:
        """Undo all changes that have not been undone by now, which are not encrypted."""
        while changed := self.read():
            self.undo(changed)
        return self.then

    def read(self) -> dict[str, Since]:
        """The changes of the next keys that have been changed; empty when there are no others."""
        if not self._first:
            return {}
        args = {"first": self._first, "end": self._end, "after": self._after, "upto": self._upto}
        if self._dense:
            self._dense = False
            objects, rows = self._db.execute(OBJECTS, args), self._db.execute(CHANGED_BETWEEN, args)
            between = changed_between(objects, rows, MOST_BYTES)
            if between is not None:
                self._first = ""
                return between
        rows = self._db.execute(CHANGED_SINCE, args)
        found, self._first = changed_since(rows, self._after, MOST_BYTES)
        return found

    def undo(self, changed: dict[str, Since], decrypt: Callable[[str, bytes], bytes] | None = None) -> None:
        """Undo the changes of some keys, which decrypt() reads."""
        oldest = min(self._reach, revision_of(self._after))
        undo(changed, self._known, self.then, self._now_of, decrypt, oldest)
