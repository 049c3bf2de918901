import complexity
import pytest


def costs(small: float, middle: float, large: float) -> complexity.Clock:
    """A clock that tells these seconds of inputs of 1,000, 3,162 and 10,000."""
    known = {1000: small, 3162: middle, 10_000: large}
    return lambda call, make, n, runs=3: known[n]


def test_quadratic_work_fails() -> None:
    with pytest.raises(AssertionError, match=r"100\.0 times"):
        complexity.assert_linear(str, int, 1000, seconds=costs(0.01, 0.1, 1.0))


def test_linear_work_passes() -> None:
    complexity.assert_linear(lambda n: sum(range(n)), lambda n: n, 1000)


def test_the_end_of_a_cache_passes_on_either_half() -> None:
    for middle in (0.02, 0.1):
        complexity.assert_linear(str, int, 1000, seconds=costs(0.006, middle, 0.27))


def test_steep_growth_on_both_halves_fails() -> None:
    with pytest.raises(AssertionError, match=r"80\.0 times"):
        complexity.assert_linear(str, int, 1000, seconds=costs(0.006, 0.054, 0.48))


def test_caches_that_end_on_both_halves_pass() -> None:
    """Seen where other processes used the memory as well."""
    complexity.assert_linear(str, int, 1000, seconds=costs(0.006, 0.046, 0.32))
