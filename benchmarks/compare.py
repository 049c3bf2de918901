"""Compares requests of this tree with those of another one, such as a built worktree of an earlier commit.

    python benchmarks/compare.py OTHER [--rounds 40] [--allow 1.05] [STEP ...]

Each tree has a server with a store in memory in a process of its own, which answers without sockets, so a
ratio is further from 1 than that of whole servers. They are measured in turns, in short batches of processor
time. What is compared is the lower quartile of each, as other load on the machine only adds to a batch. An
event is one watch's part of a patch that `WATCHES` watches follow. The exit status is 1 when a step costs
more than `--allow` times what it costs in the other tree.
"""

import argparse
import asyncio
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import uvloop
from in_process import TOKEN, answer, served

from pilothouse.assembly.server import Server
from pilothouse.process.heap import relax_collector
from pilothouse.server.request import Request, Response

WATCHES, OBJECTS = 4000, 50
COLLECTION = "/api/v1/namespaces/default/configmaps"
ONE = f"{COLLECTION}/c1"
STEPS = {"get": 400, "list": 200, "create": 30, "patch": 40, "event": 20}
"""How often a batch has each step."""

numbers = itertools.count()


class Sink:
    """The stream of a watch whose client takes everything at once."""

    def write(self, data: bytes) -> None:
        """Take bytes."""

    def buffered(self) -> int:
        """No byte is left."""
        return 0

    def close(self) -> None:
        """End."""

    def abort(self, error: BaseException | None = None) -> None:
        """Be cut."""

    def on_close(self, callback: Callable[[], None]) -> None:
        """The callback is never called."""

    def on_drain(self, callback: Callable[[], None]) -> None:
        """The callback is never called: there is never a backlog."""


def request(method: str, target: str, body: object = None, media: str = "application/json") -> Request:
    headers = {
        "host": "127.0.0.1:6443",
        "user-agent": "benchmark/1.0",
        "accept": "application/json",
        "authorization": f"Bearer {TOKEN}",
        "content-type": media,
    }
    data = b"" if body is None else json.dumps(body).encode()
    return Request(method, target, headers, list(headers.items()), data, ("127.0.0.1", 40000))


def created() -> Request:
    body = {"metadata": {"name": f"c{next(numbers)}", "labels": {"a": "b"}}, "data": {"k": "v" * 500}}
    return request("POST", COLLECTION, body)


def patched(collection: str) -> Request:
    body = {"data": {"k": str(next(numbers))}}
    return request("PATCH", f"{collection}/c1", body, "application/merge-patch+json")


async def done(server: Server, asked: Request) -> Response:
    response = await answer(server, asked)
    assert response.status in (200, 201) and response.on_done is not None, response.body
    if response.start is None:
        response.on_done(600, None)
    return response


async def prepared(server: Server) -> None:
    """Create what is read and watched; the watches are of another namespace."""
    for _ in range(OBJECTS):
        await done(server, created())
    await done(server, request("POST", "/api/v1/namespaces", {"metadata": {"name": "watched"}}))
    watched = COLLECTION.replace("default", "watched")
    await done(server, request("POST", watched, {"metadata": {"name": "c1"}}))
    for _ in range(WATCHES):
        response = await done(server, request("GET", f"{watched}?watch=true"))
        assert response.start is not None
        response.start(Sink())


async def step(server: Server, name: str) -> None:
    match name:
        case "get":
            await done(server, request("GET", ONE))
        case "list":
            await done(server, request("GET", COLLECTION))
        case "create":
            await done(server, created())
        case "patch":
            await done(server, patched(COLLECTION))
        case "event":
            await done(server, patched(COLLECTION.replace("default", "watched")))
            await asyncio.sleep(0)


async def batch(server: Server, name: str) -> float:
    """Microseconds of processor time of one step."""
    times = STEPS[name]
    started = time.process_time()
    for _ in range(times):
        await step(server, name)
    spent = (time.process_time() - started) / times * 1e6
    if name == "create":
        for obj in range(next(numbers) - times, next(numbers) - 1):
            await answer(server, request("DELETE", f"{COLLECTION}/c{obj}"))
    return spent / WATCHES if name == "event" else spent


async def measure() -> None:
    """Measure each step that stands on a line of the input."""
    async with served() as server:
        await prepared(server)
        relax_collector()
        for line in sys.stdin:
            print(await batch(server, line.strip()), flush=True)


class Tree:
    """A tree of sources with a process that measures it."""

    def __init__(self, path: pathlib.Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(path.resolve() / "benchmarks/compare.py"), "--measure"],
            env={**os.environ, "PYTHONPATH": f"{path.resolve()}/src"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def spent(self, name: str) -> float:
        """Microseconds of a batch."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(name, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def quartile(values: list[float]) -> float:
    return statistics.quantiles(values, n=4)[0]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=pathlib.Path)
    parser.add_argument("steps", nargs="*", default=list(STEPS))
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--allow", type=float, default=1.05)
    args = parser.parse_intermixed_args()
    trees = Tree(args.other), Tree(pathlib.Path(__file__).parent.parent)
    slower = False
    try:
        for name in args.steps:
            for tree in trees * 3:
                tree.spent(name)
            rounds = [[tree.spent(name) for tree in trees] for _ in range(args.rounds)]
            other, this = (quartile([values[i] for values in rounds]) for i in (0, 1))
            print(f"{name:8} {other:8.2f} us {this:8.2f} us {this / other:6.3f}", flush=True)
            slower |= this > other * args.allow
    finally:
        for tree in trees:
            tree.close()
    return int(slower)


if __name__ == "__main__":
    if sys.argv[1:] == ["--measure"]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure())
    else:
        sys.exit(main())
