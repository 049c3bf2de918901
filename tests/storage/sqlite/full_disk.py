"""Fills a small file system through a store, then makes space;
run by test_reserve.py in a mount namespace of its own.

Arguments: the directory, and "relaxed" or "strict" (--lease-durability).
"""

import asyncio
import sys
from pathlib import Path

from pilothouse.storage.interface import Full, KeyValue
from pilothouse.storage.sqlite.backend import SqliteStorage

P = "/registry/configmaps/default/"


async def _fill(store: SqliteStorage, run: str) -> list[KeyValue]:
    made: list[KeyValue] = []
    while True:
        try:
            made.append(await store.create(f"{P}{run}{len(made)}", b"x" * 500_000))
            made[-1] = await store.update(made[-1].key, b"x" * 50_000, made[-1].mod)
        except Full as error:
            assert "database space exceeded" in str(error)
            return made


async def main(directory: Path, relaxed: str) -> None:
    """Fill, delete, restart while full, delete on, compact; then all writes are accepted again."""
    store = SqliteStorage(directory, relaxed=relaxed)
    await store.start()
    made = await _fill(store, "a")
    print("made", len(made))
    for kv in made[: len(made) // 2]:
        await store.delete(kv.key, kv.mod)
    results = await asyncio.gather(
        store.create(P + "new", b"x"),
        store.delete(made[-1].key, made[-1].mod, last=b"last"),
        store.update(made[-2].key, b"x", made[-2].mod),
        return_exceptions=True,
    )
    assert [isinstance(one, Full) for one in results] == [True, False, True], results
    await store.close()
    store = SqliteStorage(directory, relaxed=relaxed)
    await store.start()
    assert (await store.range(P)).count == len(made) - len(made) // 2 - 1
    for kv in made[len(made) // 2 : -2]:
        await store.delete(kv.key, kv.mod)
    await store.compact(store.revision)
    await store.update(made[-2].key, b"x", made[-2].mod)
    again = await _fill(store, "b")
    print("again", len(again))
    assert len(again) > len(made) // 2
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), P if sys.argv[2] == "relaxed" else ""))
