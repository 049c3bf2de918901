"""How much Python a request runs through, held against limits.
A figure may fall at any time; a change that raises one says why."""

import json
import pathlib
import subprocess
import sys

import pytest
from calls import Traced

PROGRAM = pathlib.Path(__file__).parents[2] / "benchmarks" / "calls.py"
MOST = {
    "get": Traced(4, 3, 0, 0),
    "get-by-stages": Traced(42, 22, 0, 2),
    "create": Traced(289, 77, 2, 6),
    "update": Traced(211, 64, 3, 10),
    "merge-patch": Traced(212, 64, 4, 10),
    "apply": Traced(212, 61, 4, 10),
    "delete": Traced(187, 42, 4, 8),
}
"""One call of each write asks whether the store keeps who writes."""
SLACK = 4
"""Calls and files that timers may add which run meanwhile."""


@pytest.fixture(scope="module")
def found() -> dict[str, list[int]]:
    """In a process of its own: what other tests have left behind would be counted too."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--json"], capture_output=True, text=True, check=True, timeout=100
    )
    made: dict[str, list[int]] = json.loads(done.stdout.splitlines()[-1])
    return made


@pytest.mark.parametrize("verb", MOST)
def test_what_a_request_runs_through(found: dict[str, list[int]], verb: str) -> None:
    calls, files, climbs, deep = found[verb]
    most = MOST[verb]
    assert calls <= most.calls + SLACK and files <= most.files + SLACK, found[verb]
    assert climbs <= most.climbs and deep <= most.deep, found[verb]
