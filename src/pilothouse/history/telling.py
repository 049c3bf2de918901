"""Makes what is kept of a change, from the values that are stored before and after it."""

from collections.abc import Callable

from pilothouse.history._author import parts
from pilothouse.history._telling import told
from pilothouse.history.file import ChangeKind, RecordedChange
from pilothouse.logs import Logger
from pilothouse.storage.interface import StorageError
from pilothouse.storage.sqlite.changes import StoredChange

log = Logger(__name__)

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
        if (not change.prev and change.deleted) or (change.prev and stored is None):
            return None
        try:
            return told(change, stored, share, self._to_json, self._clock)
        except (StorageError, ValueError) as error:
            kind = self._unreadable(change, stored, error)
        at, audit_id, who = parts(change.author) if change.author else (0, "", b"")
        time_ms = at or int(self._clock() * 1000)
        return RecordedChange(
            change.id,
            change.key,
            kind,
            time_ms=time_ms,
            author=who,
            audit_id=audit_id,
            value=b"",
            prev=change.prev,
        )

    def _unreadable(self, change: StoredChange, stored: bytes | None, error: Exception) -> ChangeKind:
        """The kind of a change of which a value cannot be read. The error, while its key may still come."""
        if self._waits(change.key, [value for value in (stored, change.new) if value]):
            raise error
        if not self._unread:
            self._unread = True
            log.error("A change is kept without values, which can not be read", key=change.key, err=error)
        return ChangeKind.UNREADABLE if change.new is not None else ChangeKind.UNREADABLE_DELETED
