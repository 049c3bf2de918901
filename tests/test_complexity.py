import complexity
import pytest


def measured(monkeypatch: pytest.MonkeyPatch, costs: dict[int, float]) -> None:
    """Give the clock of complexity the seconds that an input of each size costs."""
    monkeypatch.setattr(complexity, "seconds", lambda call, make, n, runs=3: costs[n])


def test_quadratic_work_fails() -> None:
    with pytest.raises(AssertionError, match="times"):
        complexity.assert_linear(lambda n: sum(1 for _ in range(n * n // 50)), lambda n: n, 1000)


def test_linear_work_passes() -> None:
    complexity.assert_linear(lambda n: sum(range(n)), lambda n: n, 1000)


def test_the_end_of_a_cache_passes_on_either_half(monkeypatch: pytest.MonkeyPatch) -> None:
    for middle in (0.02, 0.1):
        measured(monkeypatch, {1000: 0.006, 3162: middle, 10_000: 0.27})
        complexity.assert_linear(lambda n: n, lambda n: n, 1000)


def test_steep_growth_on_both_halves_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, {1000: 0.006, 3162: 0.04, 10_000: 0.27})
    with pytest.raises(AssertionError, match=r"45\.0 times"):
        complexity.assert_linear(lambda n: n, lambda n: n, 1000)
