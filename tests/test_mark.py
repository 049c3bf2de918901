"""The mark: the cheap turns of each start, the tolerance,
a second measure before a failure, and a best that never rises."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import mark
import pytest
from hypothesis import given
from hypothesis import strategies as st

RATIOS = st.dictionaries(st.sampled_from(sorted(mark.STEPS)), st.floats(0.1, 100))


def never(steps: list[str]) -> Mapping[str, float]:
    raise AssertionError(f"{steps} need not be measured again")


def test_a_figure_is_one_of_the_cheapest_turns() -> None:
    """Turns in which the machine did something else move nothing, as long as some are left."""
    quiet = [20.0 + turn for turn in range(20)]
    assert mark.figure(quiet) == mark.figure([*quiet, *[900.0] * 500]) == 22.0
    assert mark.figure([30.0, 20.0]) == 30.0


def test_within_the_tolerance_nothing_is_repeated() -> None:
    assert mark.judged({"get": 1.1, "new": 7.0}, {"get": 1.0}, never) == []


def test_a_step_that_is_above_once_passes() -> None:
    found = {"get": 1.2, "create": 9.0}
    asked = []

    def again(steps: list[str]) -> Mapping[str, float]:
        asked.append(steps)
        return {"get": 1.05}

    assert mark.judged(found, {"get": 1.0, "create": 9.0}, again) == []
    assert asked == [["get"]]
    assert found == {"get": 1.05, "create": 9.0}


def test_a_step_that_is_above_twice_fails() -> None:
    assert mark.judged({"get": 1.2}, {"get": 1.0}, lambda steps: {"get": 1.11}) == ["get"]


@given(RATIOS, RATIOS)
def test_the_best_never_rises(kept: dict[str, float], found: dict[str, float]) -> None:
    lowered = mark.lowered(kept, found)
    assert set(lowered) == set(kept) | set(found)
    assert all(lowered[step] <= ratio for step, ratio in (*kept.items(), *found.items()))


def test_an_update_keeps_what_else_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "mark.json"
    path.write_text(json.dumps({"count": {"get": 1}, "ratio": {"get": 2.0, "apply": 1.0}}))
    mark.update({"get": 1.5, "apply": 1.5, "delete": 3.0}, path)
    assert json.loads(path.read_text()) == {
        "count": {"get": 1},
        "ratio": {"get": 1.5, "apply": 1.0, "delete": 3.0},
    }
    assert mark.best(path) == {"get": 1.5, "apply": 1.0, "delete": 3.0}


def test_a_first_update_makes_the_file(tmp_path: Path) -> None:
    mark.update({"get": 1.5}, tmp_path / "mark.json")
    assert mark.best(tmp_path / "mark.json") == {"get": 1.5}


@pytest.mark.slow
def test_every_step_of_a_real_server_beside_the_floor(tmp_path: Path) -> None:
    """A best that no server meets fails, after a second measure in new starts; the figures are there."""
    (tmp_path / "best.json").write_text(json.dumps({"ratio": {"get": 0.01}}))
    command = [sys.executable, mark.__file__, "--pods=40", "--watches=20", "--seconds=0.002"]
    command += ["--starts=1", "--rounds=2", "--turns=1"]
    command += [f"--best={tmp_path}/best.json", f"--json={tmp_path}/found.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[0] == "once more: get"
    assert "GET of a pod" in done.stderr.splitlines()[-1]
    content = json.loads((tmp_path / "found.json").read_text())
    (tree,) = content["trees"].values()
    assert set(tree["ratio"]) == set(tree["us"]) == set(content["floor"]) == set(mark.STEPS)
    assert min(*tree["us"].values(), *content["floor"].values()) > 0
    for turns in content["turns"].values():
        assert {step: len(all_) for step, all_ in turns.items()} == {
            **dict.fromkeys(mark.STEPS, 1),
            **dict.fromkeys(mark.WRITES, 2),
            "get": 2,
        }
    assert set(tree["memory"]) == {"empty", "pods", "deleted"}
