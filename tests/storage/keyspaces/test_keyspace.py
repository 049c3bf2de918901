"""Keyspaces are stores of their own, and as durable as their journal."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from storage.contract import StoreContract

from pilothouse.storage.interface import Full, KeyValue, Op, Storage, Unavailable
from pilothouse.storage.keyspaces.base import BaseState
from pilothouse.storage.keyspaces.keyspace import KeyspaceStorage, Limits
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.sqlite.backend import SqliteStorage

P = "/registry/pods/"
BASE = BaseState([KeyValue(P + "a", b"1", 5, 5), KeyValue(P + "b", b"2", 7, 6)], 7)


class Alone(KeyspaceStorage):
    """A keyspace that opens and closes its journal."""

    def __init__(self, journal: Storage, *args: Any) -> None:
        super().__init__(journal, "one", *args)

    async def start(self) -> None:
        await self._journal.start()
        await super().start()

    async def close(self) -> None:
        await super().close()
        await self._journal.close()


class TestKeyspaceInMemory(StoreContract):
    def make(self, directory: Path) -> Alone:
        return Alone(MemoryStorage())


class TestKeyspaceInSQLite(StoreContract):
    def make(self, directory: Path) -> Alone:
        return Alone(SqliteStorage(directory))


async def opened(journal: Storage, name: str = "one", *args: Any) -> KeyspaceStorage:
    store = KeyspaceStorage(journal, name, *args)
    await store.start()
    return store


@pytest.fixture
async def journal(tmp_path: Path) -> Any:
    store = SqliteStorage(tmp_path)
    await store.start()
    yield store
    await store.close()


async def state(store: KeyspaceStorage) -> list[KeyValue]:
    return (await store.range("")).items
