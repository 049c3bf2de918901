"""Journals of all clusters that note what is written, and that are slow, wait or refuse when a test asks."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from pilothouse.clusters.records import RECORDS
from pilothouse.storage.interface import Op, Unavailable
from pilothouse.storage.keyspaces import rows
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.sqlite.backend import SqliteStorage


class Noting:
    """The part that both kinds have."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.turns = 0
        """Milliseconds that a write takes longer."""
        self.open = asyncio.Event()
        """Cleared, it holds up all writes."""
        self.open.set()
        self.refuses: Callable[[list[Op]], bool] = lambda ops: False
        """Whether a write is refused."""
        self.given: dict[str, list[int]] = defaultdict(list)
        """The revisions that each keyspace has given out."""
        self.records: list[str] = []
        """The UIDs of the records that were written."""
        self.reads: Counter[str] = Counter()
        """How often the rows below a prefix were read."""

    async def txn(self, ops: list[Op]) -> int:
        if self.refuses(ops):
            raise Unavailable("refused by the test")
        for uid, revision in {_of(op) for op in ops if op.key.startswith(rows.ROOT) and op.value}:
            self.given[uid].append(revision)
        self.records += [op.key.removeprefix(RECORDS) for op in ops if op.key.startswith(RECORDS)]
        await self.open.wait()
        for _ in range(self.turns):
            await asyncio.sleep(0.001)
        return await super().txn(ops)  # type: ignore[misc, no-any-return]

    async def range(self, prefix: str, **more: Any) -> Any:
        self.reads[prefix] += 1
        return await super().range(prefix, **more)  # type: ignore[misc]

    def check(self, uid: str) -> None:
        """No revision has been given out twice, and they grow."""
        given = self.given[uid]
        assert given == sorted(set(given)), uid


class MemoryJournal(Noting, MemoryStorage):
    """A journal that forgets."""


class SqliteJournal(Noting, SqliteStorage):
    """A journal in a folder."""


Journal = MemoryJournal | SqliteJournal


def _of(op: Op) -> tuple[str, int]:
    assert op.value is not None
    keyspace = op.key.removeprefix(rows.ROOT).partition("/")[0].removesuffix(rows.REVISION)
    return keyspace, rows.unpacked("", op.value).mod
