"""Tells changes of a status from others: by their authors, and by the values where the author is unknown."""

from collections.abc import Callable

import orjson

from pilothouse.history import author
from pilothouse.history._author import parts
from pilothouse.history._delta import difference
from pilothouse.history.paths import hidden
from pilothouse.storage.interface import StorageError
from pilothouse.storage.sqlite.changes import StoredChange

STATUS = "status"
MOST_KNOWN = 1024
"""Authors that are remembered."""


class Statuses:
    """Which changes are those of a status, of an object that stays. to_json makes JSON of a stored value."""

    def __init__(self, to_json: Callable[[str, bytes], bytes]) -> None:
        self._to_json = to_json
        self._known: dict[bytes, bool] = {}
        """Whether authors have written a status."""

    def __contains__(self, change: StoredChange) -> bool:
        if not change.author or change.new is None or not change.prev:
            return False
        found = self.is_by(change.author)
        if found is not None:
            return found
        try:
            return self._sets_status_alone(change)
        except (StorageError, ValueError):  # it cannot be decrypted
            return False

    def is_by(self, by: bytes) -> bool | None:
        """Whether an author has written a status; None where the author is unknown."""
        who = parts(by)[2]
        found = self._known.get(who)
        if found is None and who != author.UNKNOWN:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = self._known[who] = author.subresource_of(who) == STATUS
        return found

    def _sets_status_alone(self, change: StoredChange) -> bool:
        if change.old is None or change.new is None:
            return False
        old, new = (self._to_json(change.key, value) for value in (change.old, change.new))
        delta = difference(old, new, len(old) // 2)
        paths = [step[1] for step in orjson.loads(delta)] if delta is not None else []
        return any(path[0] == STATUS for path in paths) and all(
            path[0] == STATUS or hidden(path) for path in paths
        )


def same_minute(one: bytes, other: bytes) -> bool:
    """Whether two authors have written in the same minute."""
    return author.time_of(one) // 60_000 == author.time_of(other) // 60_000
