"""Processor time of the store's thread for updates of leases: `bench_leases.py [DIRECTORY]`.

At 10,000 updates a second one commit carries 50: a group waits up to five milliseconds for others while
writers come back (storage/group_commit.py). On a slower disk it carries more. So the groups have a fixed
size here. Beside the leases stand objects of 3 KB, one of which is updated with every tenth group. All
history is compacted, so a figure has everything that an update costs the thread sooner or later. The second
figures are those of --lease-durability=relaxed, with which the thread does the same and waits less.
"""

import asyncio
import sys
import tempfile
import time

import once

from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.opened import NODE_LEASES

RATE = 10_000
"""Updates a second that the goal is about."""
GOAL = 0.25
"""Of a core."""
LEASES = 2000
OBJECTS = 10_000
COMPACTED = 10_000
"""Updates between two compactions."""
GROUPS = (50, 200)
PODS = "/registry/pods/default/pod-"
LEASE = b'{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","spec":{"holderIdentity":"%s"}}' % (
    b"x" * 400
)
POD = b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"%s"}}' % (b"x" * 3000)


async def created(store: SqliteStorage, prefix: str, value: bytes, count: int) -> dict[str, int]:
    """Create keys; the revision of each."""
    made: dict[str, int] = {}
    for start in range(0, count, 500):
        some = range(start, min(start + 500, count))
        for kv in await asyncio.gather(*(store.create(f"{prefix}{one:05}", value) for one in some)):
            made[kv.key] = kv.mod
    return made


async def measure(store: SqliteStorage, group: int, updates: int) -> float:
    """Seconds of the store's thread for one update."""
    leases = await created(store, f"{NODE_LEASES}node-{group}-", LEASE, once.rounds(LEASES))
    pods = await created(store, f"{PODS}{group}-", POD, once.rounds(OBJECTS))

    async def update(revisions: dict[str, int], key: str, value: bytes) -> None:
        revisions[key] = (await store.update(key, value, revisions[key])).mod

    clock = time.pthread_getcpuclockid(store._writer._thread.ident or 0)
    names, others = list(leases), list(pods)
    begun, done, compacted = time.clock_gettime(clock), 0, store.revision
    for turn in range(max(updates // group, 1)):
        some = {names[(turn * group + place) % len(names)] for place in range(group)}
        writes = [update(leases, key, LEASE) for key in some]
        if turn % 10 == 0:
            writes.append(update(pods, others[turn % len(others)], POD))
        await asyncio.gather(*writes)
        done += len(some)
        if done // COMPACTED > (done - len(some)) // COMPACTED:
            before, compacted = compacted, store.revision
            await store.compact(before)
    return (time.clock_gettime(clock) - begun) / done


async def main(directory: str) -> int:
    """Print the times, with and without durable leases; 1 when durable ones miss the goal."""
    missed = 0
    for durability, relaxed in (("strict", ""), ("relaxed", NODE_LEASES)):
        store = SqliteStorage(f"{directory}/{durability}", relaxed=relaxed)
        await store.start()
        for group in GROUPS:
            took = await measure(store, group, once.rounds(40_000))
            missed |= durability == "strict" and took * RATE > GOAL
            print(
                f"{durability:7}, groups of {group:3}: {took * 1e6:5.1f} us an update,"
                f" {took * RATE:.3f} of a core at {RATE:,}/s"
            )
        await store.close()
    return once.code(missed)


if __name__ == "__main__":
    if given := once.arguments():
        sys.exit(asyncio.run(main(given[0])))
    with tempfile.TemporaryDirectory() as made:
        sys.exit(asyncio.run(main(made)))
