"""How long a server takes that begins with a state in a file, in a process that has one already.

Told are milliseconds until it is there, until it has answered a GET, and of a processor until then.

Compared in turns: a server of its own for each (`InProcess --from-state`), and logical clusters of one server
(`PreparedState`). The state has 5 definitions and 100 objects. The first of `PreparedState` pays for the
server and for reading the file.

usage: python benchmarks/prepared.py [ROUNDS]
"""

import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import crds

from pilothouse.testing.client import KubeClient
from pilothouse.testing.clusters import LogicalServer
from pilothouse.testing.prepared import PreparedState
from pilothouse.testing.server import InProcess

MOST_MS = 5.0
"""The goal for a further server."""
ROUNDS = 20
DEFINITIONS, OBJECTS = 5, 100
SETTLE_SECONDS = 0.05
"""Between two rounds, for controllers that start while requests are answered."""


class Times(NamedTuple):
    """Milliseconds until a server is there, until it has answered, and of the process until then."""

    there: float
    answered: float
    processor: float


def save(file: pathlib.Path) -> None:
    """Write the state."""
    with InProcess(["--test-api"]) as server:
        for number in range(DEFINITIONS):
            made = server.root.call("POST", crds.DEFINITIONS, crds.definition(number, DEFINITIONS))
            server.wait(f"{crds.DEFINITIONS}/{made['metadata']['name']}", "Established")
        for number in range(OBJECTS):
            body = {"metadata": {"name": f"map-{number}"}, "data": {"a": "b" * 100}}
            server.root.call("POST", crds.MAPS, body)
        server.save_state(file)


@contextmanager
def timed(server: AbstractContextManager[InProcess | LogicalServer]) -> Iterator[Times]:
    """Start a server, have its administrator read an object, and stop it."""
    begun, processor = time.perf_counter(), time.process_time()
    with server as started:
        there = time.perf_counter()
        with KubeClient(started.url, started.context()) as client:
            client.call("GET", f"{crds.MAPS}/map-1")
        answered, used = time.perf_counter(), time.process_time()
        yield Times(*(1000 * one for one in (there - begun, answered - begun, used - processor)))


def measure(rounds: int = ROUNDS) -> dict[str, Times]:
    """The medians of both ways, and the first server of a `PreparedState` with its start."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "state"
        save(file)
        begun, used = time.perf_counter(), time.process_time()
        with PreparedState(file) as prepared:
            before = 1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - used)
            with timed(prepared.server()) as first:
                pass
            ways: dict[str, Callable[[], AbstractContextManager[InProcess | LogicalServer]]] = {
                "a server of its own": lambda: InProcess([f"--from-state={file}"]),
                "PreparedState, a further one": prepared.server,
            }
            found: dict[str, list[Times]] = {way: [] for way in ways}
            for _ in range(rounds):
                for way, make in ways.items():
                    with timed(make()) as times:
                        time.sleep(SETTLE_SECONDS)
                    found[way].append(times)
        out = {way: Times(*map(statistics.median, zip(*times, strict=True))) for way, times in found.items()}
        added = Times(first.there + before[0], first.answered + before[0], first.processor + before[1])
        return {"PreparedState, the first": added, **out}


def main() -> int:
    got = measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
    print(f"{'':30}{'there':>10}{'answered':>10}{'processor':>10}  ms")
    for way, times in got.items():
        print(f"{way:30}" + "".join(f"{one:10.1f}" for one in times))
    return got["PreparedState, a further one"].there > MOST_MS


if __name__ == "__main__":
    sys.exit(main())
