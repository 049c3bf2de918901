"""Dividing seats between levels."""

import random

import pytest

from pilothouse.flowcontrol.borrowing import LEAST, Demand, Need, allocate


def test_random_problems_are_solved_as_the_kep_asks() -> None:
    """The shares add up, and each is the same multiple of its target, or a bound that stands in the way."""
    rng = random.Random(7)
    for _ in range(3000):
        needs = []
        for _ in range(rng.choice([1, 2, 3, 6, 9])):
            low = max(0.0, rng.random() * 5 - 1)
            needs.append(Need(low, low + 3 * rng.random(), low + 2 * rng.random()))
            if rng.random() < 0.1:
                needs.append(Need(0, rng.random() + 1e-5, 0))
        least, most = sum(n.lower for n in needs), sum(n.upper for n in needs)
        total = round(least + (most - least) * rng.random())
        if not least <= total <= most:
            with pytest.raises(ValueError, match="do not allow"):
                allocate(total, tuple(needs))
            continue
        shares, multiple = allocate(total, tuple(needs))
        assert sum(shares) == pytest.approx(total, abs=1e-6)
        for need, share in zip(needs, shares, strict=True):
            fair = multiple * max(need.target, LEAST)
            assert share == pytest.approx(min(need.upper, max(need.lower, fair)), abs=1e-9)


@pytest.mark.parametrize(
    ("total", "needs", "shares", "multiple"),
    [
        (6, [Need(0, 10, 1), Need(0, 10, 2)], [2, 4], 2),
        (6, [Need(3, 10, 3), Need(0, 2, 2)], [4, 2], 4 / 3),
        (6, [Need(4, 10, 4), Need(2, 9, 4)], [4, 2], 0.5),
        (9, [Need(0, 4, 4), Need(0, 5, 1)], [4, 5], 5),
        (0, [Need(0, 4, 4)], [0], 0),
        (10, [Need(1, 20, 1), Need(1, 20, 1), Need(6, 6, 6)], [2, 2, 6], 2),
    ],
)
def test_problems_solved_by_hand(total: int, needs: list[Need], shares: list[float], multiple: float) -> None:
    found = allocate(total, tuple(needs))
    assert list(found[0]) == pytest.approx(shares)
    assert found[1] == pytest.approx(multiple)


@pytest.mark.parametrize(
    "needs", [[Need(-1, 2, 2)], [Need(2, 1, 2)], [Need(2, 4, 1)], [Need(3, 4, 4)], [Need(0, 1, 1)]]
)
def test_impossible_problems_are_refused(needs: list[Need]) -> None:
    with pytest.raises(ValueError, match="bounds"):
        allocate(2, tuple(needs))
    with pytest.raises(ValueError, match="negative"):
        allocate(-1, tuple(needs))


def test_demand_rises_at_once_and_falls_slowly() -> None:
    demand = Demand()
    demand.update(10, 20.0, 5.0, 40)
    assert (demand.smoothed, demand.highest) == (25.0, 40)
    demand.update(10, 5.0, 0.0, 6)
    assert demand.smoothed == pytest.approx(0.977 * 25 + 0.023 * 5)
    for _ in range(29):  # five minutes
        demand.update(10, 0.0, 0.0, 0)
    assert demand.smoothed == pytest.approx(12.5, rel=0.05)
    demand.update(0, 99.0, 0.0, 7)  # no time has passed
    assert (demand.highest, demand.average) == (7, 0.0)
