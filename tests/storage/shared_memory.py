"""A store in memory that servers of a test divide, by a clock that the test moves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from pilothouse.storage.claims import Claim, Lost, Taken
from pilothouse.storage.interface import KeyValue, Op, Page, StorageError, Unavailable
from pilothouse.storage.memory import MemoryStorage


class _Holder(NamedTuple):
    """A claim: its server, and its revision."""

    server: "SharedMemoryStorage"
    revision: int


class SharedMemory(MemoryStorage):
    """The part that the servers have in common. Leases last `seconds` of `now`."""

    def __init__(self, seconds: float = 6.0) -> None:
        super().__init__()
        self.now = 0.0
        self.seconds = seconds
        self.holders: dict[str, _Holder] = {}
        self.claimed: dict[str, str] = {}
        """The addresses of the servers that have claimed a name and not released it."""
        self.last = 0
        """The revision of the last claim."""

    def holder(self, name: str) -> _Holder | None:
        """The claim of a name; one whose server's lease has ended is none."""
        found = self.holders.get(name)
        return found if found is not None and found.server.until > self.now else None


class SharedMemoryStorage(MemoryStorage):
    """The store as one server sees it. Its lease begins with `renew`."""

    others_write = True

    def __init__(self, shared: SharedMemory, address: str) -> None:
        super().__init__()
        self.shared = shared
        self.address = address
        self.until = 0.0
        self.on_lapse: Callable[[], None] = lambda: None
        self.groups: list[list[Op]] = []
        """The transactions that were written."""
        self.gate = asyncio.Event()
        """Cleared, it holds up all transactions."""
        self.gate.set()
        self.faults: list[StorageError] = []
        """The next transactions are refused with these."""
        self.unanswered: list[tuple[list[Op], Claim | None]] = []
        self.loses = ""
        """Whether the next transaction has no answer, as "kept" or as "late": `arrive` writes that."""
        self.on_claim: Callable[[], Awaitable[object]] | None = None
        """Called once, before the next claim."""
        self._held = False

    async def start(self) -> None:
        await super().start()
        await self.shared.start()
        self.renew()

    def renew(self) -> None:
        """Have a lease from now on."""
        self.until, self._held = self.shared.now + self.shared.seconds, True

    def holds_lease(self) -> bool:
        if self.until > self.shared.now:
            return True
        if self._held:
            self._held = False
            self.on_lapse()
        return False

    async def claim(self, name: str) -> Claim:
        if not self.holds_lease():
            raise Unavailable("this server has no lease")
        if self.on_claim is not None:
            first, self.on_claim = self.on_claim, None
            await first()
        known = self.shared.holder(name)
        if known is not None and known.server is not self:
            raise Taken(name, known.server.address)
        self.shared.last += 1
        self.shared.holders[name] = _Holder(self, self.shared.last)
        before = self.shared.claimed.get(name, "")
        self.shared.claimed[name] = self.address
        return Claim(name, self.shared.last, before)

    async def claimant(self, name: str) -> str:
        known = self.shared.holder(name)
        return "" if known is None or known.server is self else known.server.address

    async def release(self, claim: Claim) -> None:
        known = self.shared.holder(claim.name)
        if known is not None and known.revision == claim.revision:
            del self.shared.holders[claim.name], self.shared.claimed[claim.name]

    async def txn(self, ops: list[Op], claim: Claim | None = None) -> int:
        await self.gate.wait()
        if self.faults:
            raise self.faults.pop(0)
        if self.loses:
            loses, self.loses = self.loses, ""
            if loses == "late":
                self.unanswered.append((ops, claim))
            else:
                await self._write(ops, claim)
            raise Unavailable("no answer")
        return await self._write(ops, claim)

    async def arrive(self) -> None:
        """Write what had no answer; Lost when its claim has ended meanwhile."""
        ops, claim = self.unanswered.pop()
        await self._write(ops, claim)

    async def _write(self, ops: list[Op], claim: Claim | None) -> int:
        if claim is not None:
            known = self.shared.holder(claim.name)
            if known is None or known.revision != claim.revision:
                raise Lost("the claim has ended")
        self.groups.append(ops)
        return await self.shared.txn(ops)

    # What is read

    async def get(self, key: str, revision: int = 0) -> KeyValue | None:
        return await self.shared.get(key, revision)

    async def range(self, prefix: str, **more: Any) -> Page:
        return await self.shared.range(prefix, **more)

    async def size(self) -> int:
        return await self.shared.size()
