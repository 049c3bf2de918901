"""Makes what is kept of a change, from the values that are stored before and after it."""

from collections.abc import Callable

from pilothouse.history._author import parts
from pilothouse.history._delta import difference
from pilothouse.history.file import ChangeKind, RecordedChange
from pilothouse.logs import Logger
from pilothouse.storage.interface import StorageError
from pilothouse.storage.sqlite.changes import StoredChange

log = Logger(__name__)

CREATED, CHANGED, REPLACED, DELETED = (  # PERF: Python 3.11 looks each member of an enumeration up for long
    ChangeKind.CREATED,
    ChangeKind.CHANGED,
    ChangeKind.REPLACED,
    ChangeKind.DELETED,
)
HALF, LONG = 0.5, 1e6
"""The share of an object's bytes from which on it is kept instead of the difference; and of what waits, which
always has a difference."""


class ChangeTeller:
    """Tells changes. to_json makes JSON of a stored value; `waits` says of values that cannot be read whether
    their keys may still come."""

    def __init__(
        self,
        to_json: Callable[[str, bytes], bytes],
        waits: Callable[[str, list[bytes]], bool],
        clock: Callable[[], float],
    ) -> None:
        self._to_json = to_json
        self._waits = waits
        self._clock = clock
        self._unread = False

    def told(self, change: StoredChange, stored: bytes | None, share: float) -> RecordedChange | None:
        """The change as it is kept, when it starts from a stored value; None of one that cannot be told.
        share: of the object's bytes, which the difference may have; else the whole object is kept."""
        id, key, prev, deleted, written, _, _ = change
        if (not prev and deleted) or (prev and stored is None):
            return None
        at, audit_id, who = parts(written) if written else (0, "", b"")
        kind, value = CREATED, b""
        if stored is not None:
            try:
                kind, value = self._value(change, stored, share)
            except (StorageError, ValueError) as error:
                kind = self._unreadable(change, stored, error)
        return RecordedChange._make((id, key, kind, at or int(self._clock() * 1000), who, audit_id, value))

    def _value(self, change: StoredChange, stored: bytes, share: float) -> tuple[ChangeKind, bytes]:
        """The kind of a change, and what is kept of it. StorageError, ValueError: a value cannot be read."""
        old = self._to_json(change.key, stored)
        if change.new is None:
            return DELETED, old
        delta = difference(old, self._to_json(change.key, change.new), int(len(old) * share))
        return (REPLACED, old) if delta is None else (CHANGED, delta)

    def _unreadable(self, change: StoredChange, stored: bytes | None, error: Exception) -> ChangeKind:
        """The kind of a change of which a value cannot be read. The error, while its key may still come."""
        if self._waits(change.key, [value for value in (stored, change.new) if value]):
            raise error
        if not self._unread:
            self._unread = True
            log.error("A change is kept without values, which can not be read", key=change.key, err=error)
        return ChangeKind.UNREADABLE if change.new is not None else ChangeKind.UNREADABLE_DELETED
