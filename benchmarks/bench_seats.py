"""Measure what priority and fairness and the memory budget cost a request that need not wait,
in processor time.

    python benchmarks/bench_seats.py

One process without sockets: what is timed is the pipeline with its answer from the watch cache. "Without" is
a gate that classifies requests and counts nobody, and no budget of memory; they are measured in turns. The
exit status is 1 when the goal is missed.
"""

import asyncio
import json
import statistics
import sys
import time

import once
import uvloop
from in_process import answer, served

from pilothouse import errors
from pilothouse.api.values.identity import RequestInfo, User
from pilothouse.assembly.server import Server
from pilothouse.endpoints.pipeline import Pipeline
from pilothouse.flowcontrol._seats import Flow, Ticket
from pilothouse.flowcontrol.gate import FlowControl, Gate
from pilothouse.flowcontrol.memory import MemoryBudget
from pilothouse.flowcontrol.width import Query
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Request, Response

COLLECTION = "/api/v1/namespaces/default/configmaps"
ROUNDS, REQUESTS = once.rounds(60), 600
GOAL = 2.0
"""Microseconds that a GET may cost more with seats than without."""

CASES = {
    "GET, exempt": ("admin", "GET", f"{COLLECTION}/bench"),
    "GET, with queues": ("jane", "GET", f"{COLLECTION}/bench"),
    "LIST, with queues": ("jane", "GET", COLLECTION),
    "LIST by label": ("jane", "GET", f"{COLLECTION}?labelSelector=a%3Db"),
}
"""Token, method and target."""


class Open:
    """The gate without seats: `takes` has nobody enter, though the flow is looked up."""

    def __init__(self, control: FlowControl) -> None:
        self._flow = control.flow

    def flow(self, user: User, info: RequestInfo) -> Flow | None:
        """Look the flow up, as for the headers."""
        self._flow(user, info)
        return None

    def enter(self, flow: Flow, user: User, info: RequestInfo, query: Query, size: int) -> Ticket:
        """No request enters."""
        raise AssertionError

    def resource(self, info: RequestInfo) -> Resource | None:
        """No request is refused."""
        return None

    def refusal(self, ticket: Ticket) -> errors.TooManyRequests:
        """No request is refused."""
        raise AssertionError


def request(user: str, method: str, target: str, body: bytes = b"") -> Request:
    headers = {
        "authorization": f"Bearer {user}",
        "accept": "application/json",
        "user-agent": "kubectl/v1.36.0",
    }
    return Request(method, target, headers, list(headers.items()), body, ("127.0.0.1", 40000))


def spent(pipeline: Pipeline, case: Request) -> float:
    """Microseconds of processor time for one request."""
    handle = pipeline.handle
    started = time.process_time()
    for _ in range(REQUESTS):
        response = handle(case)
        assert type(response) is Response and response.on_done is not None
        response.on_done(600, None)
    return (time.process_time() - started) / REQUESTS * 1e6


async def measured(server: Server) -> bool:
    """Print what each case costs; whether the goal is met."""
    control, pipeline = server.cluster.handlers.flowcontrol, server.pipeline
    assert control is not None
    gates: dict[str, tuple[Gate, MemoryBudget | None]] = {
        "without": (Open(control), None),
        "seats": (control, None),
        "memory": (control, server.cluster.handlers.memory),
    }
    met = True
    for name, (user, method, target) in CASES.items():
        case = request(user, method, target)
        times: dict[str, list[float]] = {gate: [] for gate in gates}
        for turn in range(ROUNDS):
            for gate in sorted(gates, reverse=bool(turn % 2)):
                pipeline.stages.gate, pipeline.stages.memory = gates[gate]
                times[gate].append(spent(pipeline, case))
            await asyncio.sleep(0)
        bare = statistics.median(times["without"])
        seats, both = (
            statistics.median([a - b for a, b in zip(times[gate], times["without"], strict=True)])
            for gate in ("seats", "memory")
        )
        judged = name.startswith("GET")
        met &= not judged or both <= GOAL
        goal = f"  (goal {GOAL})" if judged else ""
        print(f"  {name:20} {bare:6.1f} us  seats +{seats:.2f} us  with memory +{both:.2f} us{goal}")
    return met


async def main() -> int:
    flags = ("--authorization-mode=AlwaysAllow", "--max-memory=64Gi")
    tokens = 'admin,admin,1,"system:masters"\njane,jane,2,dev\n'
    async with served(*flags, tokens=tokens, plans=False) as server:
        body = json.dumps({"metadata": {"name": "bench", "labels": {"a": "b"}}, "data": {"a": "b" * 500}})
        created = await answer(server, request("admin", "POST", COLLECTION, body.encode()))
        assert created.status == 201, created.body
        return int(not await measured(server))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(once.code(runner.run(main())))
