"""Keyspaces are stores of their own, and as durable as their journal."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from storage.contract import StoreContract

from pilothouse.storage.base_state import EMPTY, BaseState
from pilothouse.storage.interface import (
    Full,
    KeyExists,
    KeyValue,
    Op,
    RevisionConflict,
    Storage,
    Unavailable,
)
from pilothouse.storage.keyspaces.keyspace import KeyspaceLimits, KeyspaceStorage
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.sqlite._commit import WriteJob
from pilothouse.storage.sqlite.backend import SqliteStorage

P = "/registry/pods/"
BASE = BaseState([KeyValue(P + "a", b"1", 5, 5), KeyValue(P + "b", b"2", 7, 6)], 7)


class Alone(KeyspaceStorage):
    """A keyspace that opens and closes its journal."""

    def __init__(self, journal: Storage, *args: Any) -> None:
        super().__init__(journal, "one", *args)
        self._store = journal

    async def start(self) -> None:
        await self._store.start()
        await super().start()

    async def close(self) -> None:
        await super().close()
        await self._store.close()


class TestKeyspaceInMemory(StoreContract):
    def make(self, directory: Path) -> Alone:
        return Alone(MemoryStorage())


class TestKeyspaceInSQLite(StoreContract):
    def make(self, directory: Path) -> Alone:
        return Alone(SqliteStorage(directory, keys_in_memory=False))


@contextlib.asynccontextmanager
async def journaled(directory: Path) -> AsyncIterator[SqliteStorage]:
    journal = SqliteStorage(directory, keys_in_memory=False)
    await journal.start()
    yield journal
    await journal.close()


async def opened(journal: Storage, name: str = "one", *args: Any) -> KeyspaceStorage:
    store = KeyspaceStorage(journal, name, *args)
    await store.start()
    return store


async def state(store: KeyspaceStorage) -> list[KeyValue]:
    return (await store.range("")).items


async def test_what_was_written_is_there_when_it_is_opened_again(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    async with journaled(tmp_path) as journal:
        store = await opened(journal, "one", BASE)
        made = await store.create(P + "c", b"3")
        changed = await store.update(P + "a", b"11", 5)
        assert (made.mod, changed.mod, changed.create) == (8, 9, 5)
        await store.delete(P + "b", 7, last=b"22")
        await store.delete(P + "c", 8)
        before = await state(store), store.revision
        await store.close()
        again = await opened(journal, "one", BASE)
        assert (await state(again), again.revision) == before == ([changed], 12)
        assert again.compacted == 12 and again.held == 2


async def test_keyspaces_do_not_see_each_other(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with journaled(tmp_path) as journal:
        one, two = await opened(journal, "one", BASE), await opened(journal, "on", BASE)
        seen: list[Any] = []
        two.watch("", two.revision + 1, seen.append, seen.append)
        await one.delete(P + "a", 5)
        await one.create(P + "c", b"3")
        assert not seen and two.revision == 7 and one.revision == 9
        assert [kv.key for kv in await state(two)] == [P + "a", P + "b"]
        await one.close()
        again = await opened(journal, "on", BASE)
        assert await state(again) == await state(two) == list(BASE.current.values())


async def test_writes_of_many_go_into_one_commit(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with journaled(tmp_path) as journal:
        stores = [await opened(journal, str(number)) for number in range(20)]
        commits: list[int] = []
        commit = journal._writer.put

        def counted(writes: list[WriteJob]) -> None:
            commits.append(len(writes))
            commit(writes)

        journal._group._commit = counted
        await asyncio.gather(*(store.create(P + "a", b"1") for store in stores))
        assert sum(commits) == 20 and len(commits) <= 2


async def test_a_write_waits_for_the_one_before_it(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with journaled(tmp_path) as journal:
        store = await opened(journal)
        first, second = await asyncio.gather(
            store.create(P + "a", b"1"), store.create(P + "a", b"2"), return_exceptions=True
        )
        assert isinstance(first, KeyValue) and isinstance(second, KeyExists) and second.current == first
        answers = await asyncio.gather(
            *(store.update(P + "a", b"%d" % number, first.mod) for number in range(5)), return_exceptions=True
        )
        assert [type(one) for one in answers] == [KeyValue] + [RevisionConflict] * 4
        assert store.revision == 3


async def test_a_caller_that_leaves_loses_no_write(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with journaled(tmp_path) as journal:
        store = await opened(journal)
        task = asyncio.ensure_future(store.create(P + "a", b"1"))
        await asyncio.sleep(0)
        task.cancel()
        await store.close()
        assert [kv.value for kv in await state(await opened(journal))] == [b"1"]


async def test_nothing_is_applied_that_the_journal_refuses(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with journaled(tmp_path) as journal:
        store = await opened(journal)
        seen: list[Any] = []
        store.watch("", 2, seen.append, seen.append)
        await journal.close()
        with pytest.raises(Unavailable):
            await store.create(P + "a", b"1")
        assert await store.get(P + "a") is None and not seen and not store._pending
        await store.close()


async def test_limits(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with journaled(tmp_path) as journal:
        store = await opened(journal, "one", BASE, KeyspaceLimits(keys=3, bytes=10))
        made = await store.create(P + "c", b"3")
        with pytest.raises(Full, match="3 objects"):
            await store.create(P + "d", b"3")
        with pytest.raises(Full, match="10 bytes"):
            await store.update(P + "c", b"123456789", made.mod)
        await store.txn([Op(P + "a", None), Op(P + "d", b"4")])
        await store.update(P + "d", b"", store.revision)
        assert store.held == 2 and store.count == 3


async def test_limits_count_writes_that_are_on_their_way(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with journaled(tmp_path) as journal:
        for limits in (KeyspaceLimits(keys=5), KeyspaceLimits(bytes=5)):
            store = await opened(journal, f"{limits}", EMPTY, limits)
            writes = [store.create(f"{P}{number}", b"x") for number in range(20)]
            refused = [one for one in await asyncio.gather(*writes, return_exceptions=True) if one]
            assert sum(isinstance(one, Full) for one in refused) == 15
            assert store.count == store.held == 5
            [kv] = (await store.range(P, limit=1)).items
            await store.delete(kv.key, kv.mod)
            await store.create(P + "again", b"x")
            await store.close()


async def test_keys_expire(virtual: Any, runner: asyncio.Runner) -> None:
    journal = MemoryStorage()
    await journal.start()
    store = await opened(journal, "one", EMPTY, None, virtual.time)
    kept = await store.create(P + "a", b"1", ttl=10)
    await store.create(P + "b", b"2", ttl=30)
    await store.update(P + "a", b"2", kept.mod, ttl=20)
    await virtual.advance(15)
    assert [kv.key for kv in await state(store)] == [P + "a", P + "b"]
    await store.close()
    store = await opened(journal, "one", EMPTY, None, virtual.time)
    await virtual.advance(6)
    assert [kv.key for kv in await state(store)] == [P + "b"]
    await virtual.advance(20)
    assert await state(store) == []
    await store.close()
