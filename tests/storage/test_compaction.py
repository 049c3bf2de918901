import pytest
from logged import pairs
from virtual_time import VirtualLoop

from pilothouse.storage.compaction import CompactionLoop
from pilothouse.storage.interface import Unavailable
from pilothouse.storage.memory import MemoryStorage


class Storage(MemoryStorage):
    """One that refuses to compact while it is `away`."""

    away = False

    async def compact(self, revision: int) -> None:
        if self.away:
            raise Unavailable("the store is away")
        await super().compact(revision)


async def test_keeps_what_is_young(virtual: VirtualLoop, caplog: pytest.LogCaptureFixture) -> None:
    store = Storage()
    await store.start()
    first = await store.create("/a", b"1")
    loop = CompactionLoop(store, interval=10, keep=50)
    loop.start()
    await virtual.advance(45)
    assert store.compacted == 1
    await virtual.advance(10)
    assert store.compacted == first.mod
    second = await store.update("/a", b"2", first.mod)
    await virtual.advance(50)  # it was seen at 60
    assert store.compacted == first.mod
    await virtual.advance(10)
    assert store.compacted == second.mod
    third = await store.update("/a", b"3", second.mod)
    store.away = True
    await virtual.advance(65)
    (line,) = {(r.getMessage(), pairs(r)["revision"], str(pairs(r)["err"])) for r in caplog.records}
    assert line == ("Compaction failed, it is tried again", 4, "the store is away")
    store.away = False
    await virtual.advance(10)
    assert store.compacted == third.mod
    await loop.close()
    await store.close()
