"""How often faults strike, and what is remembered of them."""

from typing import Any

import pytest
from faults.test_rule import LIST, WEB

from pilothouse import errors
from pilothouse.faults.faults import MOST, REMOVED, STRUCK, Faults
from pilothouse.faults.metrics import FaultMetrics
from pilothouse.faults.rule import Rule


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def made(clock: Clock | None = None) -> Faults:
    clock = clock or Clock()
    return Faults(FaultMetrics(), lambda: 7, clock=clock, wall=clock)


def strikes(count: int, **members: Any) -> list[int]:
    """Which of so many requests a rule strikes, counted from 1."""
    faults = made()
    faults.add("a", Rule(code=500, **members))
    return [number for number in range(1, count + 1) if faults.strike(WEB) is not None]


def test_how_often() -> None:
    assert strikes(3) == [1, 2, 3]
    assert strikes(5, times=2) == [1, 2]
    assert strikes(5, skip=3) == [4, 5]
    assert strikes(7, every=3) == [3, 6]
    assert strikes(9, skip=1, every=2, times=3) == [3, 5, 7]


def test_a_probability_is_the_same_with_each_seed() -> None:
    first = strikes(200, probability=0.25, seed=1)
    assert first == strikes(200, probability=0.25, seed=1) != strikes(200, probability=0.25, seed=2)
    assert 25 < len(first) < 80


def test_a_time_of_life() -> None:
    clock = Clock()
    faults = made(clock)
    faults.add("a", Rule(code=500, seconds=10))
    clock.now = 9.9
    assert faults.strike(WEB) is not None
    clock.now = 10.0
    assert faults.strike(WEB) is None


def test_the_first_that_strikes_decides() -> None:
    faults = made()
    faults.add("lists", Rule(code=500, verb=("list",)))
    faults.add("once", Rule(code=503, times=1))
    faults.add("all", Rule(drop=True))
    names = [fault.name for one in (WEB, LIST, WEB) if (fault := faults.strike(one))]
    assert names == ["once", "lists", "all"]
    assert dict(faults._metrics.struck.values) == {("error",): 2, ("drop",): 1}


def test_who_is_told_of_changes() -> None:
    faults, told = made(), list[bool]()
    faults.changed.append(told.append)
    faults.add("a", Rule(code=500))
    faults.add("b", Rule(code=500))
    faults.remove("a")
    faults.remove("none")
    assert told == [True]
    faults.clear()
    assert told == [True, False] and not faults.active


def test_one_in_place_of_another() -> None:
    faults = made()
    faults.add("a", Rule(code=500))
    assert faults.strike(WEB) is not None
    assert faults.add("a", Rule(drop=True)).hits == 0
    assert [fault["hits"] for fault in faults.since(0)] == [1, 0]


def test_since_a_time() -> None:
    clock = Clock()
    faults = made(clock)
    for name in ("early", "stays"):
        faults.add(name, Rule(code=500))
    faults.remove("early")
    clock.now = 5.0
    faults.add("late", Rule(code=500))
    assert [fault["name"] for fault in faults.since(3.0)] == ["stays", "late"]
    assert [fault["name"] for fault in faults.since(0.0)] == ["early", "stays", "late"]


def test_what_is_kept_is_bounded() -> None:
    faults = made()
    for _ in range(STRUCK + 5):
        faults.add("a", Rule(code=500)) if not faults.active else faults.strike(WEB)
    assert len(faults.active["a"].shown()["requests"]) == STRUCK
    for number in range(REMOVED + 5):
        faults.remove(faults.add(f"r{number}", Rule(code=500)).name)
    assert len(faults.removed) == REMOVED
    for number in range(MOST - 1):
        faults.add(f"f{number}", Rule(code=500))
    with pytest.raises(errors.TooManyRequests):
        faults.add("more", Rule(code=500))
    faults.add("a", Rule(drop=True))
