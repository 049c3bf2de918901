"""Measure what auditing costs a GET: processor time with an audit log and without, in turns, in one process.

    python benchmarks/bench_audit.py [REQUESTS A TURN ...]

No sockets: what is timed is the pipeline with its answer from the watch cache, and the audit log in a file.
`REQUESTS A TURN` is how many requests one turn of the event loop answers: under load it is the number of
connections that have one ready. The mode `blocking` writes the lines of two milliseconds together.

Two events a request are those of a policy that omits no stage; one event is what most policies ask for. The
time of the thread that writes in the mode `batch` is counted. The exit status is 1 when the default mode
misses the goal at 16 requests a turn.
"""

import asyncio
import json
import pathlib
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import once
import uvloop
from in_process import TOKEN, answer, served

from pilothouse.assembly.audit import auditor
from pilothouse.assembly.server import Server
from pilothouse.audit.auditor import Auditor
from pilothouse.configuration import options
from pilothouse.lifecycle import Opened
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.server.request import Request, Response

TARGET = "/api/v1/namespaces/default/configmaps/bench"
ROUNDS, REQUESTS = once.rounds(40), 800
WARM_MEGABYTES = once.rounds(768)
GOAL = 6.0
"""Microseconds that a GET at the level Metadata may cost more than without audit."""
JUDGED = 16


@dataclass
class Case:
    """One configuration; `omit` are the stages that its policy leaves out."""

    name: str
    mode: str
    omit: tuple[str, ...] = ()


CASES = (
    Case("blocking, two events", "blocking"),
    Case("blocking, one event", "blocking", ("RequestReceived",)),
    Case("batch, two events", "batch"),
    Case("batch, one event", "batch", ("RequestReceived",)),
    Case("blocking-strict, two events", "blocking-strict"),
)


def made(directory: pathlib.Path, case: Case, opened: Opened) -> Auditor:
    """The auditor that a command line makes."""
    folder = directory / case.name.replace(" ", "-")
    folder.mkdir()
    rules = [
        {"level": "None", "users": ["system:kube-proxy"], "verbs": ["watch"]},
        {"level": "None", "nonResourceURLs": ["/healthz*", "/version"]},
        {"level": "RequestResponse", "resources": [{"group": "apps", "resources": ["deployments"]}]},
        {"level": "Metadata"},
    ]
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules, "omitStages": case.omit}
    (folder / "policy.json").write_text(json.dumps(policy))
    config = options.parse(
        [
            f"--audit-policy-file={folder}/policy.json",
            f"--audit-log-path={folder}/audit.log",
            f"--audit-log-mode={case.mode}",
            "--audit-log-batch-buffer-size=1000000",
        ]
    )
    found = auditor(config.audit, None, MetricsRegistry(), opened)  # type: ignore[arg-type]  # there is no webhook
    assert found is not None
    return found


def warm(directory: pathlib.Path) -> None:
    """Have the system touch the memory that the files will take.

    A virtual machine gets memory from its host at the first touch, which costs six times what copying the
    lines into it does. A server that has run for a while uses the memory of older files.
    """
    path, chunk = directory / "warm", b"x" * (1 << 20)
    with path.open("wb") as file:
        for _ in range(WARM_MEGABYTES):
            file.write(chunk)
    path.unlink()


def get() -> Request:
    headers = {
        "authorization": f"Bearer {TOKEN}",
        "accept": "application/json",
        "user-agent": "kube-controller-manager/v1.36.0 (linux/amd64) kubernetes/0123abc",
    }
    return Request("GET", TARGET, headers, list(headers.items()), b"", ("127.0.0.1", 40000))


async def spent(server: Server, turn: int) -> float:
    """Microseconds of processor time a GET, with all that its turn of the loop leaves to do."""
    handle, request = server.pipeline.handle, get()
    started = time.process_time()
    for i in range(REQUESTS):
        response = handle(request)
        assert type(response) is Response and response.on_done is not None
        response.on_done(600, None)
        if not i % turn:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    return (time.process_time() - started) / REQUESTS * 1e6


async def measured(server: Server, auditors: dict[str, Auditor | None], turn: int) -> dict[str, float]:
    """The median of what each costs more than no audit, measured beside each other in each round."""
    costs: dict[str, list[float]] = {name: [] for name in auditors}
    bare: list[float] = []
    for _ in range(ROUNDS):
        times = {}
        for name, one in auditors.items():
            server.pipeline.stages.observer.audit = one
            times[name] = await spent(server, turn)
            await asyncio.sleep(0.02)  # the thread of the mode `batch` ends its work
        bare.append(times["no audit"])
        for name, value in times.items():
            costs[name].append(value - times["no audit"])
    print(f"\n{turn} requests a turn; without audit a GET takes {statistics.median(bare):.1f} us")
    return {name: statistics.median(values) for name, values in costs.items() if name != "no audit"}


async def main(turns: list[int]) -> int:
    with tempfile.TemporaryDirectory() as text:
        directory = pathlib.Path(text)
        warm(directory)
        failed = False
        async with served(plans=False) as server, Opened() as opened:
            body: Any = {"metadata": {"name": "bench"}, "data": {"a": "b" * 500}}
            request = get()
            request.method, request.body = "POST", json.dumps(body).encode()
            request.target = request.path = TARGET.rpartition("/")[0]
            created = await answer(server, request)
            assert created.status == 201, created.body
            auditors: dict[str, Auditor | None] = {"no audit": None}
            auditors.update((case.name, made(directory, case, opened)) for case in CASES)
            for turn in turns:
                for name, cost in (await measured(server, auditors, turn)).items():
                    judged = turn == JUDGED and name.startswith("blocking,")
                    failed |= judged and cost > GOAL
                    print(f"  {name:30} +{cost:.1f} us" + (f"  (goal {GOAL:.0f})" if judged else ""))
            server.pipeline.stages.observer.audit = None
        return int(failed)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        turns = [int(one) for one in once.arguments()] or [1, 4, JUDGED]
        sys.exit(once.code(runner.run(main(turns))))
