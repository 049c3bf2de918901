"""What tracing costs a GET: processor time without a configuration, and at sampling rates of 0 and 1.

    python benchmarks/bench_tracing.py
    python benchmarks/bench_tracing.py --instructions   counted by valgrind, for a busy machine

One process and no sockets, as in bench_audit.py. Spans go nowhere: how they are sent is OpenTelemetry's. The
exit status is 1 when a GET that is not sampled costs more than the goal.
"""

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys

import uvloop
from bench_audit import TARGET, get
from bench_journal import answered, gets, posted
from in_process import served

from pilothouse.endpoints.tracing import Tracing
from pilothouse.heap import relax_collector
from pilothouse.server.request import Response

ROUNDS = 60
GOAL = 0.5
"""Microseconds that a GET which is not sampled may cost more than without a configuration."""
GOAL_RATIO = 1.02
"""The same as a ratio of instructions."""
FEW, MANY = 500, 2000
"""GETs of two runs; the difference of their instructions is that of the GETs between them."""
OFF, ZERO, ALL = "without a configuration", "at a sampling rate of 0", "all sampled"


def ways() -> dict[str, Tracing]:
    off, zero, everything = Tracing(), Tracing(), Tracing()
    zero.use(0, lambda trace: None)
    everything.use(1_000_000, lambda trace: None)
    return {OFF: off, ZERO: zero, ALL: everything}


async def times() -> int:
    async with served() as server:
        await answered(server, posted(TARGET.rpartition("/")[0], {"metadata": {"name": "bench"}}))
        for _ in range(6):  # the journal is full
            await gets(server)
        relax_collector()
        took: dict[str, list[float]] = {name: [] for name in ways()}
        for turn in range(ROUNDS):
            order = list(ways().items())
            for name, tracing in order if turn % 2 else reversed(order):
                server.pipeline.stages.tracing = tracing
                took[name].append(await gets(server))
        bare = took[OFF]
        costs = {}
        for name, found in took.items():
            costs[name] = statistics.median([a - b for a, b in zip(found, bare, strict=True)])
            print(f"GET {name}: {statistics.median(found):.2f} us, +{costs[name]:.2f} us")
        return int(costs[ZERO] > GOAL)


async def some(way: str, count: int) -> int:
    """So many GETs in one of the ways, for valgrind to count."""
    async with served() as server:
        await answered(server, posted(TARGET.rpartition("/")[0], {"metadata": {"name": "bench"}}))
        server.pipeline.stages.tracing = ways()[way]
        relax_collector()
        handle, request = server.pipeline.handle, get()
        for _ in range(count):
            response = handle(request)
            assert type(response) is Response and response.on_done is not None
            response.on_done(600, None)
    return 0


def instructions_of(way: str) -> float:
    """Instructions of a GET."""
    found = []
    for count in (FEW, MANY):
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        command += [sys.executable, __file__, "--gets", str(count), "--way", way]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        [counted] = re.findall(r"I +refs: +([\d,]+)", done.stderr)
        found.append(int(counted.replace(",", "")))
    return (found[1] - found[0]) / (MANY - FEW)


def instructions() -> int:
    costs = {way: instructions_of(way) for way in (OFF, ZERO)}
    ratio = costs[ZERO] / costs[OFF]
    for way, cost in costs.items():
        print(f"GET {way}: {cost:,.0f} instructions")
    print(f"{ratio:.4f} times as many")
    return int(ratio > GOAL_RATIO)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--gets", type=int, default=0)
    parser.add_argument("--way", default=OFF)
    arguments = parser.parse_args()
    if arguments.instructions:
        return instructions()
    work = some(arguments.way, arguments.gets) if arguments.gets else times()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


if __name__ == "__main__":
    sys.exit(main())
