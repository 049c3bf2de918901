"""Changes as they are kept, read from the file or made of what waits in the store."""

from typing import Any, NamedTuple

from pilothouse.history.author import LARGEST_KNOWN, MOST_KNOWN, Author, author_of
from pilothouse.history.file import ChangeKind, RecordedChange, audit_id_of
from pilothouse.storage.sqlite.changes import revision_of

KINDS = tuple(ChangeKind)


class KeptChange(NamedTuple):
    """A change as it is kept. value: as ChangeKind says, b"" where nothing is kept. author: None where it is
    unknown. audit: the ID as it is kept."""

    id: int
    key: str
    kind: ChangeKind
    time_ms: int
    author: Author | None
    audit: bytes | str | None
    value: bytes

    @property
    def audit_id(self) -> str:
        """The ID of the audit events of its request."""
        return audit_id_of(self.audit)

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
        return self.kind in (ChangeKind.DELETED, ChangeKind.UNREADABLE_DELETED)

    @property
    def is_readable(self) -> bool:
        """Whether the values could be decrypted when it was kept."""
        return self.kind not in (ChangeKind.UNREADABLE, ChangeKind.UNREADABLE_DELETED)

    @property
    def is_whole(self) -> bool:
        """Whether the whole object before the change is kept, and not the difference."""
        return self.kind is ChangeKind.REPLACED


def unmoved(change: RecordedChange) -> KeptChange:
    """A change that waits in the store, as it will be kept."""
    author = author_of(change.author) if change.author else None
    id, key, kind, time_ms, _, audit_id, value, _ = change
    return KeptChange(id, key, kind, time_ms, author=author, audit=audit_id, value=value)


class KeptRows:
    """Makes changes of rows; it remembers authors."""

    COLUMNS = "c.id, o.key, c.kind, c.time, a.author, c.audit, c.value"

    def __init__(self) -> None:
        self._authors: dict[bytes, Author] = {}

    def change(self, row: Any, value: bytes) -> KeptChange:
        """The change of a row of COLUMNS, with the opened value."""
        id, key, kind, time_ms, who, audit, _ = row
        author = self._authors.get(who) if who else None
        if who and author is None:
            author = author_of(who)
            if len(who) <= LARGEST_KNOWN:
                if len(self._authors) >= MOST_KNOWN:
                    self._authors.clear()
                self._authors[who] = author
        return KeptChange._make((id, key, KINDS[kind], time_ms, author, audit, value))
