"""Updates of leases of nodes that are answered before the disk has them, and what a power cut takes."""

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from storage.contract import StoreContract

from pilothouse.storage.interface import Compacted, KeyValue, Op, StorageEvent
from pilothouse.storage.sqlite import check, snapshot
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.file import BITS
from pilothouse.storage.sqlite.opened import NODE_LEASES
from pilothouse.storage.sqlite.relaxed import RelaxedUpdates

NODE = NODE_LEASES + "node-1"
ELECTION = "/registry/leases/kube-system/kube-scheduler"
POD = "/registry/pods/default/a"
NORMAL, FULL = 1, 2
"""Values of PRAGMA synchronous: a commit is appended to the log; the log is synced as well."""


class TestBothKinds(StoreContract):
    """Keys of both kinds side by side."""

    def make(self, directory: Path) -> SqliteStorage:
        return SqliteStorage(directory, relaxed="/registry/pods/a")


class Levels:
    """The writer's database, or its cursor; tells for each commit whether it was synced."""

    def __init__(self, db: sqlite3.Connection, of: Any, seen: list[tuple[str, int]]) -> None:
        self._db, self._of, self._seen = db, of, seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement.startswith("INSERT"):
            (level,) = self._db.execute("PRAGMA synchronous").fetchone()
            self._seen.append((statement.partition(" (")[0].partition(" VALUES")[0], level))
        return self._of.execute(statement, *values)


def run(directory: Path, body: Callable[[SqliteStorage], Awaitable[None]], prefix: str = NODE_LEASES) -> None:
    async def main() -> None:
        store = SqliteStorage(directory, relaxed=prefix)
        await store.start()
        try:
            await body(store)
        finally:
            await store.close()

    asyncio.run(main())


def watched(store: SqliteStorage) -> list[tuple[str, int]]:
    """The statements by which the writer inserts from now on, with their level of sync."""
    seen: list[tuple[str, int]] = []
    writer: Any = store._writer
    writer._cursor = Levels(writer._db, writer._cursor, seen)
    writer._db = Levels(writer._db, writer._db, seen)
    return seen


def number(db: sqlite3.Connection, name: str) -> int | None:
    found = db.execute("SELECT number FROM meta WHERE name = ?", (name,)).fetchone()
    return found[0] if found else None


def test_only_updates_of_leases_of_nodes_are_not_synced(tmp_path: Path) -> None:
    async def body(store: SqliteStorage) -> None:
        seen = watched(store)
        node, election = await store.create(NODE, b"1"), await store.create(ELECTION, b"1")
        pod = await store.create(POD, b"1")
        assert [level for _, level in seen] == [FULL] * 3
        seen.clear()
        node = await store.update(NODE, b"2", node.mod)
        assert seen == [("INSERT OR REPLACE INTO meta", FULL), ("INSERT INTO history", NORMAL)]
        seen.clear()
        election = await store.update(ELECTION, b"2", election.mod)
        node = await store.update(NODE, b"3", node.mod)
        pod = await store.update(POD, b"2", pod.mod)
        assert [level for _, level in seen] == [FULL, NORMAL, FULL]
        seen.clear()
        node, pod = await asyncio.gather(
            store.update(NODE, b"4", node.mod), store.update(POD, b"3", pod.mod)
        )  # in one commit
        await store.txn([Op(NODE, b"5", node.mod)])
        kv = await store.get(NODE)
        assert kv is not None
        await store.delete(NODE, kv.mod)
        assert [level for _, level in seen] == [FULL] * 3

    run(tmp_path, body)


def test_without_the_option_everything_is_synced(tmp_path: Path) -> None:
    async def body(store: SqliteStorage) -> None:
        seen = watched(store)
        node = await store.create(NODE, b"1")
        await store.update(NODE, b"2", node.mod)
        assert seen == [("INSERT INTO history", FULL)] * 2

    run(tmp_path, body, prefix="")


def test_a_store_that_was_closed_goes_on_where_it_was(tmp_path: Path) -> None:
    last: list[KeyValue] = []

    async def write(store: SqliteStorage) -> None:
        kv = await store.create(NODE, b"1")
        last.append(await store.update(NODE, b"2", kv.mod))

    async def read(store: SqliteStorage) -> None:
        assert (store.revision, store.compacted) == (last[0].mod, 1)
        assert await store.get(NODE) == last[0]

    run(tmp_path, write)
    with sqlite3.connect(tmp_path / "state.db") as db:
        assert number(db, "reserved") is None
    run(tmp_path, read)


def test_revisions_are_reserved_before_they_are_given_out(tmp_path: Path) -> None:
    async def body(store: SqliteStorage) -> None:
        store._writer._relaxed = RelaxedUpdates(NODE_LEASES, step=5)
        node, pod = await store.create(NODE, b"1"), await store.create(POD, b"1")
        seen = watched(store)
        other = sqlite3.connect(tmp_path / "state.db")
        for turn in range(40):
            node = await store.update(NODE, b"1", node.mod)
            assert (number(other, "reserved") or 0) >= node.mod
            if turn % 10 == 0:
                pod = await store.update(POD, b"1", pod.mod)
        other.close()
        reservations = [level for what, level in seen if what.endswith("meta")]
        assert reservations == [FULL] * len(reservations)
        assert 7 <= len(reservations) <= 9

    run(tmp_path, body)


def test_revisions_are_reserved_for_writes_only(tmp_path: Path) -> None:
    """On a full disk a group may be left without any."""

    async def body(store: SqliteStorage) -> None:
        store._writer.put([])
        await store.create(POD, b"1")
        with sqlite3.connect(tmp_path / "state.db") as db:
            assert number(db, "reserved") is None

    run(tmp_path, body)


@pytest.mark.parametrize("bump", [0, 1])
def test_a_snapshot_of_a_running_store_is_restored_behind_what_was_given_out(
    tmp_path: Path, bump: int
) -> None:
    given_out: list[int] = []

    async def write(store: SqliteStorage) -> None:
        node = await store.create(NODE, b"{}")
        node = await store.update(NODE, b"{}", node.mod)
        await asyncio.to_thread(snapshot.save, tmp_path / "a", tmp_path / "file")
        for _ in range(20):
            node = await store.update(NODE, b"{}", node.mod)
        given_out.append(node.mod)

    async def read(store: SqliteStorage) -> None:
        assert store.revision == store.compacted > given_out[0]

    run(tmp_path / "a", write)
    snapshot.restore(tmp_path / "file", tmp_path / "b", bump)
    run(tmp_path / "b", read, prefix="")


@pytest.mark.parametrize("prefix", ["", NODE_LEASES])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.77, 1.0])
def test_a_power_cut_takes_the_last_updates_and_no_revision_comes_back(
    tmp_path: Path, kept: float, prefix: str
) -> None:
    """The log is cut anywhere behind the last commit that was synced."""
    log, cut = tmp_path / "a" / "state.db-wal", tmp_path / "b"
    acknowledged: list[KeyValue] = []

    async def lose(store: SqliteStorage) -> None:
        node = await store.create(NODE, b"0")
        node = await store.update(NODE, b"1", node.mod)
        await store.create(POD, b"1")
        acknowledged.append(node)
        synced = log.stat().st_size
        for turn in range(2, 30):
            node = await store.update(NODE, b"%d" % turn, node.mod)
            acknowledged.append(node)
        shutil.copytree(log.parent, cut)
        length = log.stat().st_size
        assert length > synced
        with (cut / log.name).open("r+b") as file:
            file.truncate(synced + int(kept * (length - synced)))

    async def read(store: SqliteStorage) -> None:
        seen: list[StorageEvent] = []
        given_out = acknowledged[-1].mod
        assert store.revision == store.compacted > given_out
        node = await store.get(NODE)
        assert node in acknowledged
        if kept in (0, 1):
            assert node == acknowledged[int(kept) * -1]
        assert await store.get(POD) is not None
        with pytest.raises(Compacted):
            store.watch("", given_out, seen.extend, lambda error: None)
        store.watch("", store.revision + 1, seen.extend, lambda error: None)
        assert node is not None
        after = await store.update(NODE, b"later", node.mod)
        assert after.mod == store.compacted + 1
        assert seen == [StorageEvent(False, after, node)]

    run(tmp_path / "a", lose)
    run(cut, read, prefix)
    with sqlite3.connect(cut / "state.db") as db:
        assert [said for said in check.problems(db) if "value" not in said] == []
        assert number(db, "reserved") is None
        (newest,) = db.execute("SELECT max(id) >> ? FROM history", (BITS,)).fetchone()
        assert newest > acknowledged[-1].mod
