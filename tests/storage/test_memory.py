import asyncio
from pathlib import Path

import orjson
from storage.contract import StoreContract

from pilothouse.storage.memory import MemoryStorage


async def test_values_do_not_hold_on_to_the_room_that_they_were_written_in(runner: asyncio.Runner) -> None:
    store, given = MemoryStorage(), orjson.dumps({"a": "x" * 1000})
    await store.start()
    stored = await store.create("/registry/a", given)
    assert stored.value == given and stored.value is not given
    await store.close()


class TestMemory(StoreContract):
    def make(self, directory: Path) -> MemoryStorage:
        return MemoryStorage()
