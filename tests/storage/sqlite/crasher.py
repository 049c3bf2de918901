"""Writes continuously, prints a line for every acknowledged write, and is killed by the backend's tests.

Arguments: the directory, the name of the run, and "relaxed" or "strict" (--lease-durability).
"""

import asyncio
import sys

from pilothouse.storage.interface import RevisionConflict
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.opened import NODE_LEASES

PREFIXES = ("/registry/pods/", NODE_LEASES, "/registry/leases/kube-system/", "/registry/events/")


async def work(store: SqliteStorage, run: str, worker: int) -> None:
    key = f"{PREFIXES[worker % len(PREFIXES)]}w{worker}"
    current = await store.get(key)
    number = 0
    while True:
        number += 1
        value = f"{run} {worker} {number} ".encode() + b"x" * (number % 9000)
        if current is None:
            current = await store.create(key, value)
        elif number % 7 == 0 and not key.startswith(NODE_LEASES):
            gone = await store.delete(key, current.mod)
            current = None
            print(f"{gone.mod} {key} -", flush=True)
            continue
        else:
            try:
                current = await store.update(key, value, current.mod)
            except RevisionConflict as error:
                current = error.current
                continue
        print(f"{current.mod} {key} {value.decode().rpartition(' ')[0]}", flush=True)
        if number % 50 == 0 and worker == 0:
            await store.compact(store.revision - 20)


async def main() -> None:
    store = SqliteStorage(sys.argv[1], relaxed=NODE_LEASES if sys.argv[3] == "relaxed" else "")
    await store.start()
    print("ready", flush=True)
    await asyncio.gather(*(work(store, sys.argv[2], i) for i in range(8)))


asyncio.run(main())
