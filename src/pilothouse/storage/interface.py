"""The contract of every store: keys, values and revisions as in etcd v3.

All keys share one revision counter that never goes back. A value is bytes; the store knows nothing of JSON.
Whatever a method acknowledges is durable. tests/storage/contract.py holds every implementation to this.
"""

from collections.abc import Callable
from dataclasses import field
from typing import Protocol

from pilothouse.gotext import quote
from pilothouse.process.record import record
from pilothouse.storage._pairs import KeyValue, Op, StorageEvent

__all__ = [
    "Behind",
    "Compacted",
    "Full",
    "FutureRevision",
    "KeyExists",
    "KeyValue",
    "LimitReached",
    "Op",
    "Page",
    "RevisionConflict",
    "Storage",
    "StorageError",
    "StorageEvent",
    "Subscription",
    "Unavailable",
    "UnreadableError",
]


class StorageError(Exception):
    """Base of what a store raises; registry/store.py is the one place that turns it into a Status."""


class KeyExists(StorageError):
    """create() of a key that is there; `current` is what is there."""

    def __init__(self, current: KeyValue) -> None:
        super().__init__(current.key)
        self.current = current


class RevisionConflict(StorageError):
    """A compare-and-set whose expected revision is not the key's; `current` is None when the key is gone."""

    def __init__(self, key: str, current: KeyValue | None) -> None:
        super().__init__(key)
        self.current = current


class Compacted(StorageError):
    """A read or watch at a revision whose history is gone; `compacted` is the first one that can be read."""

    def __init__(self, compacted: int) -> None:
        super().__init__(f"required revision has been compacted (oldest is {compacted})")
        self.compacted = compacted


class FutureRevision(StorageError):
    """A read at a revision the store has not reached; `current` is the newest."""

    def __init__(self, current: int) -> None:
        super().__init__("required revision is a future revision")
        self.current = current


class Unavailable(StorageError):
    """The store cannot be reached, is closed, or is out of space; the message says which."""


class Full(Unavailable):
    """The store has no space for a write. What only deletes is still accepted."""


class LimitReached(Full):
    """The store may not hold more; the message says of what."""


class Behind(Unavailable):
    """The store answers, but its watches have not delivered all changes in time."""


class UnreadableError(StorageError):
    """A stored value cannot be read: its encryption key is not available, or it is damaged or no object."""

    def __init__(self, kv: KeyValue, why: str) -> None:
        super().__init__(why)
        self.kv = kv

    def in_list(self) -> "UnreadableError":
        """The error for a list or a watch, whose message names the key."""
        return UnreadableError(self.kv, f"unable to transform key {quote(self.kv.key)}: {self}")


@record
class Page:
    """A range read: pairs in key order at `revision`; `count` is how many there are from the start key on,
    of no meaning when that was not asked for."""

    items: list[KeyValue]
    revision: int
    more: bool = False
    count: int = 0


@record
class Subscription:
    """A running watch: close() ends it; no callback comes after that."""

    close: Callable[[], None] = field(default=lambda: None)


class Storage(Protocol):
    """The operations of a store. Keys are text (`/registry/pods/default/a`).

    `others_write` says that other processes write to it as well: what its watches have delivered may be stale
    until current_revision() has returned, and other servers may serve what it holds.
    """

    others_write: bool

    @property
    def revision(self) -> int:
        """The newest revision this process knows to be committed."""

    @property
    def compacted(self) -> int:
        """Reads at and watches from revisions below this one raise Compacted."""

    @property
    def busy(self) -> bool:
        """Whether a write of this process is on its way; a store that does not know says no."""

    @property
    def full(self) -> bool:
        """Whether the store has no space, as far as is known: then writes raise Full unless they delete."""

    async def start(self) -> None:
        """Open; raises Unavailable when it cannot be opened (locked by another process, unreachable)."""

    async def close(self) -> None:
        """Finish what was accepted, then close. Later calls raise Unavailable."""

    async def current_revision(self) -> int:
        """The newest committed revision, linearizable (for etcd a quorum read, shared by all who wait).

        When it returns, every watch has got all changes up to that revision.
        Raises Behind when that takes too long."""

    async def get(self, key: str, revision: int = 0) -> KeyValue | None:
        """One key, now or as of a revision (Compacted, FutureRevision)."""

    async def range(
        self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, counted: bool = True
    ) -> Page:
        """Keys with a prefix, from `start` on ("" = all), at most `limit` (0 = all), at one revision.

        `counted` asks for the page's count, which may cost as much as reading all that is left."""

    async def create(self, key: str, value: bytes, ttl: int = 0, author: bytes = b"") -> KeyValue:
        """Write a key that must not exist, else KeyExists.

        `author` tells who writes, here and below (history/author.py); stores need not keep it."""

    async def update(
        self, key: str, value: bytes, expect: int, ttl: int = 0, author: bytes = b""
    ) -> KeyValue:
        """Write a key whose mod revision is `expect`, else RevisionConflict."""

    async def delete(self, key: str, expect: int, last: bytes | None = None, author: bytes = b"") -> KeyValue:
        """Remove a key whose mod revision is `expect`, else RevisionConflict;
        answers with the last value and `mod` = the delete's revision. With
        `last` that value is written first, under a revision of its own."""

    async def txn(self, ops: list[Op]) -> int:
        """All or nothing, one revision for all; RevisionConflict names the first key that did not fit."""

    def watch(
        self,
        prefix: str,
        revision: int,
        on_events: Callable[[list[StorageEvent]], None],
        on_error: Callable[[StorageError], None],
        *,
        prev_kv: bool = True,
        on_progress: Callable[[int], None] | None = None,
    ) -> Subscription:
        """Every change with mod >= `revision`, in order, in batches of whole revisions, on the loop's thread.

        Raises Compacted at once when the history is gone; `on_error` ends the watch later (Compacted,
        Unavailable). An event is delivered no later than the write that caused it is acknowledged. With
        prev_kv False the store need not look up what was before: `prev` and the `kv` of a delete may carry no
        value. `on_progress` hears of revisions up to which nothing (more) has changed under the prefix; a
        store that nobody else writes to need not call it."""

    async def compact(self, revision: int) -> None:
        """Forget history below `revision`; current values stay."""

    async def size(self) -> int:
        """Bytes that the data takes."""
