"""Measure how long a scrape of 23,000 series holds the event loop at a time, and what it costs in all.

    python benchmarks/bench_scrape.py [SERIES]

In each format, for one process and for one of two workers. Another task takes turns with the scrape; the
processor time between two of its turns is measured. The exit status is 1 when the loop is held for over 5 ms.
"""

import asyncio
import pathlib
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable

import once

from pilothouse.api.values.identity import RequestInfo
from pilothouse.endpoints.documents.scrape import gzipped
from pilothouse.endpoints.request.metrics import RequestMetrics
from pilothouse.metrics.exposition import OPENMETRICS, PROTOBUF, TEXT
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.registry.resource import Resource
from pilothouse.workers.metrics import Workers

SERIES = 23_000
GOAL = 0.005
ROUNDS = once.rounds(5)
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
CODES = (200, 404, 409)


def filled(series: int) -> tuple[MetricsRegistry, int]:
    """The metrics of requests with so many series at least, and how many there are."""
    registry = MetricsRegistry()
    metrics = registry.add(RequestMetrics())
    shown = number = 0
    while shown < series:
        for _ in range(10):
            name = f"widgets{number}"
            resource = Resource(
                group="example.com",
                version="v1",
                plural=name,
                kind="W",
                singular="w",
                namespaced=True,
                verbs=VERBS,
            )
            for verb in VERBS:
                info = RequestInfo(
                    f"/apis/example.com/v1/{name}",
                    verb,
                    is_resource=True,
                    prefix="apis",
                    group="example.com",
                    version="v1",
                    resource=name,
                )
                for code in CODES:
                    metrics.observe(info, resource, code, 0.01, 100, 1000, {}, {}, 0)
            number += 1
        text = asyncio.run(registry.expose())
        shown = sum(not line.startswith(b"#") for line in text.splitlines())
    return registry, shown


async def held(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """The longest time for which some work holds the loop, and its processor time in all, in seconds."""
    longest, ended = 0.0, False

    async def other() -> None:
        nonlocal longest
        last = time.thread_time()
        while not ended:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    turns = asyncio.create_task(other())
    await asyncio.sleep(0)
    begun = time.thread_time()
    await work()
    spent = time.thread_time() - begun
    ended = True
    await turns
    return longest, spent


async def measure(name: str, work: Callable[[], Awaitable[object]]) -> float:
    rounds = [await held(work) for _ in range(ROUNDS)]
    longest, spent = max(longest for longest, _ in rounds), min(spent for _, spent in rounds)
    print(f"{name:14} holds the loop for {longest * 1e3:5.2f} ms at most, takes {spent * 1e3:6.1f} ms in all")
    return longest


async def alone(registry: MetricsRegistry) -> float:
    formats = {"text": TEXT, "OpenMetrics": OPENMETRICS, "protobuf": PROTOBUF}
    worst = [await measure(name, lambda f=each: registry.pieces(f)) for name, each in formats.items()]  # type: ignore[misc]
    pieces = await registry.pieces()
    begun = time.perf_counter()
    packed = len(gzipped(pieces))
    seconds = time.perf_counter() - begun
    print(f"{'gzip':14} {sum(map(len, pieces)):,} bytes become {packed:,} in {seconds * 1e3:.1f} ms")
    return max(worst)


async def together(registry: MetricsRegistry, other: MetricsRegistry) -> float:
    with tempfile.TemporaryDirectory() as directory:
        paths = [pathlib.Path(directory, name) for name in "01"]
        workers = [
            Workers(path, {"metrics": each}) for path, each in zip(paths, (registry, other), strict=True)
        ]
        for one in workers:
            one.start()
        while not all(path.with_name(f"{path.name}.sock").exists() for path in paths):
            await asyncio.sleep(0.01)
        worst = await measure("two workers", registry.pieces)
        for one in workers:
            await one.close()
        return worst


def main() -> int:
    given = once.arguments()
    wanted = int(given[0]) if given else SERIES // (100 if once.ASKED else 1)
    (registry, shown), (other, _) = filled(wanted), filled(wanted)
    print(f"{shown:,} series; the goal is to hold the loop for {GOAL * 1e3:.0f} ms at most")
    worst = max(asyncio.run(alone(registry)), asyncio.run(together(registry, other)))
    return once.code(int(worst > GOAL))


if __name__ == "__main__":
    sys.exit(main())
