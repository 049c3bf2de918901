import asyncio

from pilothouse.storage.compaction import CompactionLoop
from pilothouse.storage.memory import MemoryStorage


def test_keeps_what_is_young() -> None:
    async def main() -> None:
        store = MemoryStorage()
        await store.start()
        kv = await store.create("/a", b"1")
        loop = CompactionLoop(store, interval=0.01, keep=0.05)
        loop.start()
        await asyncio.sleep(0.03)
        assert store.compacted == 1
        kv = await store.update("/a", b"2", kv.mod)
        await asyncio.sleep(0.15)
        assert store.compacted == kv.mod
        await store.close()
        await asyncio.sleep(0.03)
        await loop.close()

    asyncio.run(main())
