"""Retry-After of refused requests."""

from itertools import pairwise

from pilothouse.flowcontrol.retry import LONGEST, RetryAfter


def test_it_doubles_while_many_are_refused_and_falls_afterwards() -> None:
    now = [1000.0]
    retry = RetryAfter(lambda: now[0])
    assert retry.refused() == 1
    seen = []
    for _ in range(80):
        now[0] += 1
        seen += [retry.refused() for _ in range(200)][-1:]
    assert seen[:3] == [1, 2, 2] and max(seen) == LONGEST
    assert all(b in (a, 2 * a) for a, b in pairwise(seen))
    falling = []
    for _ in range(120):
        now[0] += 1
        falling.append(retry.refused())
        now[0] += 3
    assert falling[-1] == 1
    assert all(b in (a, a - 1) for a, b in pairwise(falling[40:]))


def test_a_few_refusals_change_nothing() -> None:
    now = [50.0]
    retry = RetryAfter(lambda: now[0])
    for _ in range(100):
        now[0] += 0.5
        assert retry.refused() == 1


def test_little_is_remembered() -> None:
    now = [0.0]
    retry = RetryAfter(lambda: now[0])
    for _ in range(1000):
        now[0] += 1
        retry.refused()
    assert len(retry._history) <= LONGEST + 2
