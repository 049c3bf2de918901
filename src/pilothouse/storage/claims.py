"""Claims: how servers divide what is in a store that they share (decision 13).

A claim is one server's until that server releases it or its lease ends. Writes can be bound to a claim: they
happen only while it is held.
"""

from collections.abc import Callable
from typing import Protocol

from pilothouse.process.frozen import frozen
from pilothouse.storage.interface import Op, Storage, StorageError, Unavailable


@frozen
class Claim:
    """A name that this server has claimed, at a revision that no other claim has.

    before: the address of the server that had claimed it last and never released it, "" for none.
    """

    name: str
    revision: int
    before: str = ""


class Taken(StorageError):
    """Another server has claimed the name; `address` tells where it is."""

    def __init__(self, name: str, address: str) -> None:
        super().__init__(f"{name} is claimed by the server at {address}")
        self.address = address


class Lost(Unavailable):
    """The claim to which a write was bound has ended. Nothing was written."""


class Rejected(Unavailable):
    """The store does not take such a write. Nothing was written."""


class SharedStorage(Storage, Protocol):
    """A store that servers divide. `address` is where others reach this server.

    `on_lapse` is called when the lease of this server has ended, and its claims with it.
    """

    address: str
    on_lapse: Callable[[], None]

    def holds_lease(self) -> bool:
        """Whether this server's lease is good; on_lapse has been called when it is not."""

    async def claim(self, name: str) -> Claim:
        """Claim a name; Taken when another server has. A claim of this server ends, and a new one begins."""

    async def claimant(self, name: str) -> str:
        """The address of the other server that has claimed a name, "" when none has."""

    async def release(self, claim: Claim) -> None:
        """End a claim; does nothing when it has ended."""

    async def txn(self, ops: list[Op], claim: Claim | None = None) -> int:
        """Like Storage.txn, while a claim is held: Lost when it is not. Rejected and Full say that nothing
        was written; after any other Unavailable it may have been, or may yet be."""
