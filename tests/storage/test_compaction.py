import pytest
from logged import pairs
from virtual_time import VirtualLoop

from pilothouse.storage.compaction import KEY, CompactionLoop
from pilothouse.storage.interface import Compacted, Full, Op, Unavailable
from pilothouse.storage.memory import MemoryStorage


class Storage(MemoryStorage):
    """One that refuses to compact while it is `away`, and transactions while it is `out_of_space`."""

    away = out_of_space = False

    async def txn(self, ops: list[Op]) -> int:
        if self.out_of_space:
            raise Full("mvcc: database space exceeded")
        return await super().txn(ops)

    async def compact(self, revision: int) -> None:
        if self.away:
            raise Unavailable("the store is away")
        await super().compact(revision)


async def test_history_is_kept_for_one_interval_and_gone_after_two(virtual: VirtualLoop) -> None:
    store = Storage()
    await store.start()
    loop = CompactionLoop(store, 10)
    loop.start()
    await virtual.advance(5)
    first = await store.create("/a", b"1")
    await virtual.advance(14)  # one turn since
    await store.update("/a", b"2", first.mod)
    assert (await store.range("/", revision=first.mod)).items == [first]
    await virtual.advance(2)  # the second turn
    assert store.compacted > first.mod
    with pytest.raises(Compacted):
        await store.range("/", revision=first.mod)
    await loop.close()
    await store.close()


async def test_a_store_that_nobody_writes_to_forgets_as_well(virtual: VirtualLoop) -> None:
    store = Storage()
    await store.start()
    only = await store.create("/a", b"1")
    loop = CompactionLoop(store, 10)
    loop.start()
    await virtual.advance(21)
    with pytest.raises(Compacted):
        await store.get("/a", only.mod)
    assert await store.get("/a") == only
    value = await store.get(KEY)
    assert value is not None and int(value.value) == store.compacted > only.mod
    await loop.close()
    await store.close()


async def test_a_compaction_that_fails_is_tried_again(
    virtual: VirtualLoop, caplog: pytest.LogCaptureFixture
) -> None:
    store = Storage()
    await store.start()
    loop = CompactionLoop(store, 10)
    loop.start()
    await virtual.advance(11)
    seen = store.revision
    store.away = True
    await virtual.advance(10)
    (line,) = caplog.records
    assert line.getMessage() == "Compaction failed, it is tried again"
    assert (pairs(line)["revision"], str(pairs(line)["err"])) == (seen, "the store is away")
    store.away = False
    await virtual.advance(10)
    assert store.compacted == seen
    await loop.close()
    await store.close()


async def test_a_full_store_is_compacted(virtual: VirtualLoop) -> None:
    store = Storage()
    await store.start()
    kv = await store.create("/a", b"1")
    await store.update("/a", b"2", kv.mod)
    store.out_of_space = True
    loop = CompactionLoop(store, 10)
    loop.start()
    await virtual.advance(21)
    assert store.compacted == store.revision == kv.mod + 1
    await loop.close()
    await store.close()
