"""The rate of batches."""

from clocks import Clock

from pilothouse.audit.batching import Throttle


def test_a_burst_and_then_a_rate() -> None:
    clock = Clock()
    throttle = Throttle(10.0, 3, clock)
    assert [round(throttle.delay(), 3) for _ in range(5)] == [0, 0, 0, 0.1, 0.2]
    clock.now += 0.2
    assert round(throttle.delay(), 3) == 0.1
    clock.now += 100
    assert [round(throttle.delay(), 3) for _ in range(4)] == [0, 0, 0, 0.1]


def test_without_a_rate_nobody_waits() -> None:
    assert {Throttle(0.0, 0).delay() for _ in range(1000)} == {0.0}
