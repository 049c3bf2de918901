"""How much Python a request of each verb runs through: calls, files, calls into a higher layer, depth of coroutines.

Each is traced in process, without sockets, when all that is remembered from earlier requests is there. A figure may fall
at any time; a change that raises one says why.
"""

import inspect
import pathlib
import sys
import tomllib
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

import pytest
from bench_write_path import MERGE, PODS, Rig

import pilothouse

SRC = str(pathlib.Path(pilothouse.__file__).parent) + "/"


class Traced(NamedTuple):
    """calls: of functions in src/, each coroutine and generator counted once. climbs: calls from a layer to a higher one.
    deep: the longest chain of coroutines that wait for each other."""

    calls: int
    files: int
    climbs: int
    deep: int


MOST = {
    "get": Traced(40, 19, 0, 2),
    "create": Traced(670, 94, 16, 6),
    "update": Traced(415, 78, 16, 10),
    "merge-patch": Traced(430, 79, 16, 10),
    "apply": Traced(445, 79, 16, 10),
    "delete": Traced(220, 50, 8, 8),
}
"""What each may take at the most. The pod has two containers with eight variables each, and two managers."""


def layers() -> dict[str, int]:
    """Package or module at the root -> its layer, the lowest 0."""
    pyproject = tomllib.loads((pathlib.Path(__file__).parents[2] / "pyproject.toml").read_text())
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    listed = next(c["layers"] for c in contracts if c["type"] == "layers" and c["containers"] == ["pilothouse"])
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


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


@pytest.mark.parametrize("verb", MOST)
def test_what_a_request_runs_through(rig: Rig, verb: str) -> None:
    number = iter(range(1000))
    names = []

    def create() -> None:
        rig.create()
        names.append(f"pod-{rig.count}")

    def patch() -> None:
        note = {"example.com/number": str(next(number))}
        rig.send("PATCH", f"{PODS}/one", {"metadata": {"annotations": note}}, MERGE)

    calls: dict[str, Callable[[], Any]] = {
        "get": lambda: rig.send("GET", f"{PODS}/one", None),
        "create": create,
        "update": rig.update,
        "merge-patch": patch,
        "apply": rig.apply,
        "delete": lambda: rig.send("DELETE", f"{PODS}/{names.pop()}", None),
    }
    for _ in range(3):
        create()
        calls[verb]()
    if verb == "delete":
        create()
    found = traced(calls[verb])
    assert all(now <= most for now, most in zip(found, MOST[verb], strict=True)), found
