"""Measure what tracing costs a GET: processor time without a configuration, and at sampling rates of 0 and 1.

    python benchmarks/bench_tracing.py

One process and no sockets, as in bench_audit.py. Spans go nowhere: how they are sent is OpenTelemetry's. The
exit status is 1 when a GET that is not sampled costs more than the goal.
"""

import asyncio
import statistics
import sys

import once
import uvloop
from bench_audit import TARGET
from bench_journal import answered, gets, posted
from in_process import served

from pilothouse.endpoints.journal.tracer import Tracer
from pilothouse.process.heap import relax_collector

ROUNDS = once.rounds(60)
GOAL = 0.5
"""Microseconds that a GET which is not sampled may cost more than without a configuration."""


def ways() -> dict[str, Tracer]:
    off, zero, everything = Tracer(), Tracer(), Tracer()
    zero.use(0, lambda trace: None)
    everything.use(1_000_000, lambda trace: None)
    return {"without a configuration": off, "at a sampling rate of 0": zero, "all sampled": everything}


async def main() -> int:
    async with served(plans=False) as server:
        await answered(server, posted(TARGET.rpartition("/")[0], {"metadata": {"name": "bench"}}))
        for _ in range(6):  # the journal is full
            await gets(server)
        relax_collector()
        took: dict[str, list[float]] = {name: [] for name in ways()}
        for turn in range(ROUNDS):
            order = list(ways().items())
            for name, tracer in order if turn % 2 else reversed(order):
                server.pipeline.stages.observer.tracer = tracer
                took[name].append(await gets(server))
        bare = took["without a configuration"]
        costs = {}
        for name, times in took.items():
            costs[name] = statistics.median([a - b for a, b in zip(times, bare, strict=True)])
            ratio = 1 + costs[name] / statistics.median(bare)
            print(f"GET {name}: {statistics.median(times):.2f} us, +{costs[name]:.2f} us, {ratio:.3f} times")
        return int(costs["at a sampling rate of 0"] > GOAL)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(once.code(runner.run(main())))
