"""Tells changes of a status from others: by their authors, and by the values where the author is unknown."""

from collections.abc import Callable

import orjson

from pilothouse.history import author
from pilothouse.history._author import minute_of_status, parts
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

    def minute(self, change: StoredChange) -> int:
        """The minute since 1970 in which a change was made, if it is one of a status; else -1."""
        if not change.author or change.new is None or not change.prev:
            return -1
        found = self.minute_of(change.author)
        if found is not None:
            return found
        try:
            alone = self._sets_status_alone(change)
        except (StorageError, ValueError):  # it cannot be decrypted
            alone = False
        return author.time_of(change.author) // 60_000 if alone else -1

    def minute_of(self, by: bytes) -> int | None:
        """Like minute(), by the author of a change of an object that stays; None where he is unknown."""
        found = minute_of_status(by, self._known)
        if found is None and (who := parts(by)[2]) != author.UNKNOWN:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[who] = author.subresource_of(who) == STATUS
            found = minute_of_status(by, self._known)
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
