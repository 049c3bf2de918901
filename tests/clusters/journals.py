"""A look at the journal of all clusters: what is written there, slower than usual if a test wants it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from clusters.rig import ClusterRig

from pilothouse.clusters.records import RECORDS
from pilothouse.storage.interface import Op
from pilothouse.storage.keyspaces import rows


class Journal:
    """Notes which revisions each keyspace has given out."""

    def __init__(self, rig: ClusterRig, seconds: float = 0.0) -> None:
        self._real: Any = rig.directory.journal.txn
        self._seconds = seconds
        self.given: dict[str, list[int]] = defaultdict(list)
        self.records: list[str] = []
        """The UIDs of the records that were written."""

    async def txn(self, ops: list[Op]) -> Any:
        for uid, revision in {_of(op) for op in ops if op.key.startswith(rows.ROOT) and op.value}:
            self.given[uid].append(revision)
        self.records += [op.key.removeprefix(RECORDS) for op in ops if op.key.startswith(RECORDS)]
        if self._seconds:
            await asyncio.sleep(self._seconds)
        return await self._real(ops)

    def check(self, uid: str) -> None:
        """No revision has been given out twice, and they grow."""
        given = self.given[uid]
        assert given == sorted(set(given)), uid


def _of(op: Op) -> tuple[str, int]:
    assert op.value is not None
    keyspace = op.key.removeprefix(rows.ROOT).partition("/")[0].removesuffix(rows.REVISION)
    return keyspace, rows.unpacked("", op.value).mod


@contextmanager
def watched(rig: ClusterRig, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.0) -> Iterator[Journal]:
    """The rig's journal, each write of which takes so long."""
    journal = Journal(rig, seconds)
    with monkeypatch.context() as patch:
        patch.setattr(rig.directory.journal, "txn", journal.txn)
        yield journal
