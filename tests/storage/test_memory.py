import asyncio
from pathlib import Path
from typing import Any

import orjson
from storage.contract import StoreContract

from pilothouse.storage.interface import Op
from pilothouse.storage.memory import MemoryStorage


async def test_values_do_not_hold_on_to_the_room_that_they_were_written_in(runner: asyncio.Runner) -> None:
    store, given = MemoryStorage(), orjson.dumps({"a": "x" * 1000})
    await store.start()
    stored = await store.create("/registry/a", given)
    assert stored.value == given and stored.value is not given
    await store.close()


async def test_revisions_and_deadlines_may_have_been_chosen_before(runner: asyncio.Runner) -> None:
    store = MemoryStorage(lambda: 100.0)
    await store.start()
    made = await store.create("/registry/a", b"{}")
    seen: list[Any] = []
    store.watch("/registry/", made.mod + 1, seen.extend, seen.append)
    store._commit([Op("/registry/b", b"{}", 0, 5), Op("/registry/a", None)], made.mod + 7, (3000, 0))
    await asyncio.sleep(0)
    assert store.revision == made.mod + 7
    b = await store.get("/registry/b")
    assert b is not None
    assert (b.mod, b.create, b.lease) == (made.mod + 7, made.mod + 7, 3000)
    assert await store.get("/registry/a") is None
    assert (await store.create("/registry/c", b"{}")).mod == made.mod + 8
    await store.close()


class TestMemory(StoreContract):
    def make(self, directory: Path) -> MemoryStorage:
        return MemoryStorage()
