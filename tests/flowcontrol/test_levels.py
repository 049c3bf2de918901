"""The seats of priority levels: what their configuration gives them, and what they lend to each other."""

from collections.abc import Callable
from typing import Any

import pytest
from flowcontrol.live import REJECT, Live

from pilothouse.controllers import bootstrap
from pilothouse.flowcontrol._seats import Flow, Ticket
from pilothouse.flowcontrol.levels import Levels

PLURAL = "prioritylevelconfigurations"


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def never(seconds: float, call: Callable[[], None]) -> None:
    raise AssertionError


def level(
    name: str,
    shares: int = 30,
    lendable: int = 0,
    borrowing: int | None = None,
    queues: int = 0,
    hand: int = 2,
) -> dict[str, Any]:
    response: dict[str, Any] = {"type": "Reject"}
    if queues:
        queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": 10}
        response = {"type": "Queue", "queuing": queuing}
    limited: dict[str, Any] = {"nominalConcurrencyShares": shares, "lendablePercent": lendable}
    if borrowing is not None:
        limited["borrowingLimitPercent"] = borrowing
    spec = {"type": "Limited", "limited": {**limited, "limitResponse": response}}
    return {"metadata": {"name": name, "uid": f"uid of {name}"}, "spec": spec}


class Made:
    """Levels, with what a test needs to load them."""

    def __init__(self, total: int, *objects: Any) -> None:
        self.live, self.clock = Live(), Clock()
        self.levels = Levels(self.live, total, later=never, clock=self.clock)
        for obj in objects:
            self.live.put(PLURAL, obj)

    def limits(self) -> dict[str, int]:
        return {name: state.seats.limit for name, state in self.levels.states.items()}

    def take(self, name: str, seats: int) -> Ticket:
        """Have a request of so many seats come to a level."""
        state = self.levels.states[name]
        return Flow(state.seats, state.series_of("s"), "s", "", (0,)).enter(None, None, seats)

    def pass_period(self, periods: int = 1) -> None:
        for _ in range(periods):
            self.clock.now += 10
            self.levels.adjust()


def test_the_built_in_levels_have_the_seats_of_upstream() -> None:
    made = Made(600)
    for obj in bootstrap._load("flowcontrol"):
        if obj["kind"] == "PriorityLevelConfiguration":
            made.live.put(PLURAL, obj)
    rows = {
        name: (s.nominal, s.lower, s.upper, s.widest, s.seats.queues)
        for name, s in made.levels.states.items()
    }
    # 245 shares: 600 * 100 / 245 = 244.9, of which 90 % may be lent
    assert rows == {
        "exempt": (0, 0, 600, 1, -1),
        "catch-all": (13, 13, 613, 2, 0),
        "global-default": (49, 24, 649, 8, 128),
        "leader-election": (25, 25, 625, 4, 16),
        "node-high": (98, 73, 698, 15, 64),
        "system": (74, 50, 674, 12, 64),
        "workload-high": (98, 49, 698, 15, 128),
        "workload-low": (245, 24, 845, 37, 128),
    }
    assert sum(made.limits().values()) == pytest.approx(602, abs=4)  # each nominal number is rounded up


def test_what_must_exist_does() -> None:
    made = Made(100)
    assert made.limits() == {"exempt": 0, "catch-all": 100}
    assert [state.uid for state in made.levels.states.values()] == ["", ""]
    made.live.put(PLURAL, level("a", 15))
    assert made.limits() == {"exempt": 0, "catch-all": 25, "a": 75}
    made.live.put(PLURAL, level("catch-all", 5))
    assert made.levels.states["catch-all"].uid == "uid of catch-all"
    made.live.delete(PLURAL, "catch-all")
    assert made.levels.states["catch-all"].uid == "" and made.levels.find("catch-all") is not None


def test_a_broken_level_is_not_there() -> None:
    made = Made(100)
    both = {**REJECT, "limited": {**REJECT["limited"], "limitResponse": {"type": "Queue"}}}  # type: ignore[dict-item]
    for name, spec in {
        "exempt-too": {"type": "Exempt", "exempt": {}},
        "nothing": {"type": "Limited"},
        "no-queues": both,
        "empty": {},
    }.items():
        made.live.put(PLURAL, {"metadata": {"name": name}, "spec": spec})
    assert set(made.levels.states) == {"exempt", "catch-all"}


def test_seats_are_lent_and_come_back() -> None:
    """Upstream's TestBorrowing by hand: two levels of 12 seats each, one wants 24 and the other 6."""
    made = Made(24, level("a", 1000, 50, 67, 10), level("b", 1000, 33, 50, 10))
    a, b = made.levels.states["a"], made.levels.states["b"]
    assert (a.nominal, a.lower, a.upper) == (12, 6, 20) and (b.nominal, b.lower, b.upper) == (12, 8, 18)
    wants = [made.take("a", 1) for _ in range(24)]
    others = [made.take("b", 1) for _ in range(6)]
    made.pass_period(2)
    assert (a.seats.limit, b.seats.limit) == (16, 8)  # b lends a third of its seats, and no more
    assert sum(t.running for t in wants) == 16
    for ticket in (*wants, *others):
        ticket.release()
    more = [made.take("b", 1) for _ in range(10)]
    made.pass_period()
    assert b.seats.limit == 10 and all(t.running for t in more)  # what is its own it has at once


def test_borrowing_has_a_limit() -> None:
    made = Made(24, level("a", 1000, 50, 33, 10), level("b", 1000, 67, 50, 10))
    wants = [made.take("a", 1) for _ in range(24)]
    others = [made.take("b", 1) for _ in range(6)]
    made.pass_period(2)
    assert made.limits()["a"] == 16 == made.levels.states["a"].upper
    assert sum(t.running for t in wants) == 16 and all(t.running for t in others)


def exempt(shares: int = 0) -> dict[str, Any]:
    spec = {"type": "Exempt", "exempt": {"nominalConcurrencyShares": shares, "lendablePercent": 0}}
    return {"metadata": {"name": "exempt"}, "spec": spec}


def test_exempt_requests_take_the_seats_of_others() -> None:
    """The first scenarios of upstream's TestExemptBorrowing by hand."""
    made = Made(
        360,
        exempt(),
        level("catch-all", 0),
        level("high", 10, 50),
        level("mid", 20, 50),
        level("low", 30, 50),
    )
    assert {n: s.nominal for n, s in made.levels.states.items() if s.nominal} == {
        "high": 60,
        "mid": 120,
        "low": 180,
    }
    many = made.take("exempt", 460)
    for name in ("high", "mid", "low"):
        state = made.levels.states[name]
        for _ in range(state.nominal):
            made.take(name, 1)
    made.pass_period()
    limits = made.limits()
    assert limits["exempt"] == 460
    assert [limits[name] for name in ("high", "mid", "low")] == [30, 60, 90]  # what nobody may borrow
    many.release()
    made.take("exempt", 90)  # half of what the others could lend
    made.pass_period(2)
    limits = made.limits()
    assert limits["exempt"] == 90
    assert [limits[name] for name in ("high", "mid", "low")] == [45, 90, 135]


def test_a_level_that_is_gone_serves_who_is_there() -> None:
    made = Made(100, level("a", 15, queues=4), level("b", 15))
    tickets = [made.take("a", 40), made.take("a", 40)]
    assert [t.running for t in tickets] == [True, False]
    made.live.delete(PLURAL, "a")
    assert made.levels.find("a") is None
    assert made.levels.states["a"].leaving and made.levels.states["a"].seats.limit > 0
    made.levels.tick()
    assert "a" in made.levels.states
    tickets[0].release()
    assert tickets[1].running
    tickets[1].release()
    made.levels.tick()
    assert "a" not in made.levels.states
    assert made.levels.states["b"].nominal == 75


def test_a_level_that_comes_back_keeps_its_requests() -> None:
    made = Made(100, level("a", 15, queues=4))
    ticket = made.take("a", 1)
    made.live.delete(PLURAL, "a")
    assert made.levels.states["a"].leaving
    made.live.put(PLURAL, level("a", 15))
    state = made.levels.find("a")
    assert state is not None and state.seats.executing == 1 and state.seats.queues == 0
    ticket.release()


def test_zero_shares_refuse_everything() -> None:
    made = Made(100, level("jail", 0, 0, 0))
    made.pass_period(3)
    assert made.limits()["jail"] == 0
    assert made.take("jail", 1).reason == "concurrency-limit"


def test_a_change_of_the_status_alone_is_none() -> None:
    made = Made(100, level("a", 15))
    made.levels.states["a"].demand.smoothed = 7.0
    made.live.put(PLURAL, {**level("a", 15), "status": {"conditions": []}})
    assert made.levels.states["a"].demand.smoothed == 7.0
    assert not made.levels._changed
