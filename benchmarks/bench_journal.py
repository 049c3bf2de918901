"""Measure what the journal of requests costs a GET and a create:
processor time with and without it, in turns.

    python benchmarks/bench_journal.py

One process and no sockets, as in bench_audit.py. The exit status is 1 when a GET costs more than the goal.
"""

import asyncio
import json
import statistics
import sys
import time

import once
import uvloop
from bench_audit import TARGET, get
from in_process import answer, served

from pilothouse.assembly.server import Server
from pilothouse.process.heap import relax_collector
from pilothouse.server.request import Request, Response

ROUNDS, GETS, PODS = once.rounds(40), 2000, 60
GOAL = 2.0
"""Microseconds that a GET may cost more than without the journal."""
POD = {"metadata": {"generateName": "p-"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def posted(path: str, body: object) -> Request:
    request = get()
    request.method, request.target, request.path = "POST", path, path
    request.body = json.dumps(body).encode()
    return request


async def answered(server: Server, request: Request) -> None:
    response = await answer(server, request)
    assert response.status in (200, 201) and response.on_done is not None, response.body
    response.on_done(600, None)


async def gets(server: Server) -> float:
    """Microseconds of processor time a GET."""
    handle, request = server.pipeline.handle, get()
    started = time.process_time()
    for _ in range(GETS):
        response = handle(request)
        assert type(response) is Response and response.on_done is not None
        response.on_done(600, None)
    return (time.process_time() - started) / GETS * 1e6


async def pods(server: Server) -> float:
    """Microseconds of processor time a pod that is created."""
    started = time.process_time()
    for _ in range(PODS):
        await answered(server, posted("/api/v1/namespaces/default/pods", POD))
    return (time.process_time() - started) / PODS * 1e6


async def main() -> int:
    async with served(plans=False) as server:
        observer = server.pipeline.stages.observer
        journal = observer.journal
        await answered(server, posted(TARGET.rpartition("/")[0], {"metadata": {"name": "bench"}}))
        account = get()
        account.target = account.path = "/api/v1/namespaces/default/serviceaccounts/default"
        while (await answer(server, account)).status != 200:  # a controller makes it
            await asyncio.sleep(0.01)
        for _ in range(6):  # the journal is full: each request pushes out another one
            await gets(server)
        relax_collector()
        worst = 0.0
        for name, run in (("GET", gets), ("create of a pod", pods)):
            costs: list[float] = []
            bare: list[float] = []
            for turn in range(ROUNDS):
                took = {}
                for kept in (True, False) if turn % 2 else (False, True):
                    observer.journal = journal if kept else None
                    server.cluster.handlers.verbs.explained = kept
                    took[kept] = await run(server)
                costs.append(took[True] - took[False])
                bare.append(took[False])
            cost = statistics.median(costs)
            print(f"{name}: {statistics.median(bare):.1f} us, with the journal +{cost:.2f} us")
            worst = cost if name == "GET" else worst
        return int(worst > GOAL)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(once.code(runner.run(main())))
