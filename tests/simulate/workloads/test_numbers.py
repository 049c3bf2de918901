"""Numbers, shares and bounds."""

from typing import Any

import pytest

from pilothouse.simulate.workloads.numbers import number_in, rolling_bounds, scaled


@pytest.mark.parametrize(
    ("value", "total", "up", "down"),
    [(3, 10, 3, 3), ("25%", 10, 3, 2), ("0%", 7, 0, 0), ("100%", 7, 7, 7), (None, 5, 0, 0)],
)
def test_shares(value: Any, total: int, up: int, down: int) -> None:
    assert (scaled(value, total, up=True), scaled(value, total, up=False)) == (up, down)


@pytest.mark.parametrize(
    ("rolling", "total", "bounds"),
    [
        ({"maxSurge": "25%", "maxUnavailable": "25%"}, 10, (3, 2)),
        ({"maxSurge": 0, "maxUnavailable": "10%"}, 5, (0, 1)),
        ({"maxSurge": "1%", "maxUnavailable": 0}, 5, (1, 0)),
    ],
)
def test_something_can_always_move(rolling: Any, total: int, bounds: tuple[int, int]) -> None:
    assert rolling_bounds(rolling, total) == bounds


def test_annotations_of_users() -> None:
    assert [number_in(text) for text in ("12", "-3", "x", "")] == [12, -3, 0, 0]
