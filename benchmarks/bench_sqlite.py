"""Writes per second and CPU per write of the store: `python benchmarks/bench_sqlite.py [DIRECTORY]`."""

import asyncio
import resource
import tempfile
import time

import once

from pilothouse.storage.sqlite.backend import SqliteStorage

VALUE = b"x" * 6000


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(store: SqliteStorage, clients: int, seconds: float) -> None:
    count = 0
    until = time.perf_counter() + seconds

    async def client(number: int) -> None:
        nonlocal count
        kv = await store.create(f"/registry/pods/{clients}/{number}", VALUE)
        while time.perf_counter() < until:
            kv = await store.update(kv.key, VALUE, kv.mod)
            count += 1

    used, began = cpu(), time.perf_counter()
    await asyncio.gather(*(client(i) for i in range(clients)))
    used, took = cpu() - used, time.perf_counter() - began
    print(
        f"{clients:4} clients: {count / took:7.0f} updates/s, {used / max(count, 1) * 1e6:6.1f} us CPU each"
    )


async def main(directory: str) -> None:
    store = SqliteStorage(directory)
    await store.start()
    for clients in (1, 10, 100):
        await measure(store, clients, 0.1 if once.ASKED else 1.0)
    used, began, revision = cpu(), time.perf_counter(), store.revision
    await store.compact(revision)
    print(
        f"compaction of {revision} revisions: {time.perf_counter() - began:.2f} s, {cpu() - used:.2f} s CPU"
    )
    await store.close()
    began = time.perf_counter()
    store = SqliteStorage(directory)
    await store.start()
    print(f"start: {(time.perf_counter() - began) * 1e3:.1f} ms, {await store.size() >> 20} MiB")
    await store.close()


if __name__ == "__main__":
    if given := once.arguments():
        asyncio.run(main(given[0]))
    else:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(main(made))
