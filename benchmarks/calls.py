"""How much Python a request runs through: calls, files, calls into a higher layer, depth of coroutines.

    python benchmarks/calls.py [--json]

One request of each verb is traced in process, without sockets, when what is remembered of earlier requests
is there. The pod has two containers with eight variables each, and two managers.
tests/quality/test_calls.py holds the figures against limits.
"""

import gc
import inspect
import itertools
import json
import pathlib
import sys
import tomllib
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

from bench_write_path import MERGE, PODS, Rig

import pilothouse

SRC = str(pathlib.Path(pilothouse.__file__).parent) + "/"
WARM = 5
RUNS = 3
"""Requests of a verb that are traced: the least counts, for timers run meanwhile."""


class Traced(NamedTuple):
    """One request. calls: of functions in src/, each coroutine and generator counted once. climbs: calls from
    a layer to a higher one. deep: the longest chain of coroutines that wait for each other."""

    calls: int
    files: int
    climbs: int
    deep: int


def layers() -> dict[str, int]:
    """Package or module at the root -> its layer, the lowest 0."""
    pyproject = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text())
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    listed = next(
        c["layers"] for c in contracts if c["type"] == "layers" and c["containers"] == ["pilothouse"]
    )
    return {name: at for at, line in enumerate(reversed(listed)) for name in line.split(" | ")}


LAYERS = layers()


class Trace:
    """Counts what runs while it is the profile function."""

    def __init__(self) -> None:
        self.calls = self.climbs = self.deep = 0
        self.files: set[str] = set()
        self._suspended: list[FrameType] = []

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(SRC):
            return
        if code.co_flags & (inspect.CO_COROUTINE | inspect.CO_GENERATOR):
            if any(frame is known for known in self._suspended):
                return  # it goes on
            self._suspended.append(frame)
        self.calls += 1
        self.files.add(code.co_filename)
        above = callers(frame)
        caller = next(above, None)
        if caller is not None and LAYERS[place(caller)] < LAYERS[place(frame)]:
            self.climbs += 1
        chain = [frame, *([caller] if caller is not None else []), *above]
        self.deep = max(self.deep, sum(bool(f.f_code.co_flags & inspect.CO_COROUTINE) for f in chain))

    def found(self) -> Traced:
        return Traced(self.calls, len(self.files), self.climbs, self.deep)


def callers(frame: FrameType) -> Iterator[FrameType]:
    """The frames of src/ below a frame, the nearest first."""
    below = frame.f_back
    while below is not None:
        if below.f_code.co_filename.startswith(SRC):
            yield below
        below = below.f_back


def place(frame: FrameType) -> str:
    """The package or module at the root in which a frame's code stands."""
    return frame.f_code.co_filename.removeprefix(SRC).partition("/")[0].removesuffix(".py")


def traced(call: Callable[[], Any]) -> Traced:
    trace = Trace()
    before = sys.getprofile()
    sys.setprofile(trace)
    try:
        call()
    finally:
        sys.setprofile(before)
    return trace.found()


def measure() -> dict[str, Traced]:
    """Verb -> its request."""
    rig = Rig()
    numbers, names = itertools.count(), []

    def create() -> None:
        rig.create()
        names.append(f"pod-{rig.count}")

    def patch() -> None:
        note = {"example.com/number": str(next(numbers))}
        rig.send("PATCH", f"{PODS}/one", {"metadata": {"annotations": note}}, MERGE)

    pipeline = rig.server.pipeline

    def get_by_stages() -> None:
        planner, pipeline.planner = pipeline.planner, None
        rig.send("GET", f"{PODS}/one", None)
        pipeline.planner = planner

    requests: dict[str, Callable[[], Any]] = {
        "get": lambda: rig.send("GET", f"{PODS}/one", None),
        "get-by-stages": get_by_stages,
        "create": create,
        "update": rig.update,
        "merge-patch": patch,
        "apply": rig.apply,
        "delete": lambda: rig.send("DELETE", f"{PODS}/{names.pop()}", None),
    }
    gc.disable()  # what is collected runs code as well
    try:
        out = {}
        for verb, request in requests.items():
            for _ in range(WARM):
                create()
                request()
            runs = []
            for _ in range(RUNS):
                create()
                runs.append(traced(request))
            out[verb] = min(runs)
        return out
    finally:
        rig.close()


def main() -> None:
    found = measure()
    if "--json" in sys.argv[1:]:
        print(json.dumps(found))
        return
    print(f"{'verb':12} " + " ".join(f"{name:>7}" for name in Traced._fields))
    for verb, one in found.items():
        print(f"{verb:12} " + " ".join(f"{value:7}" for value in one))


if __name__ == "__main__":
    main()
