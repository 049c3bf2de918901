"""A webhook that does not answer is left alone for a time."""

import pytest

from pilothouse.admission.webhooks.breaker import FAILURES, FIRST, LONGEST, Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        assert not breaker.refusal()
        breaker.timed_out()
    return breaker


def test_it_opens_after_time_outs_in_a_row(clock: Clock) -> None:
    breaker = Breaker(clock)
    for _ in range(3):
        for _ in range(FAILURES - 1):
            breaker.timed_out()
        breaker.answered()
    assert not breaker.refusal()


def test_one_request_tries_after_the_pause(opened: Breaker, clock: Clock) -> None:
    assert opened.refusal() == f"the last {FAILURES} calls have timed out, so it is not called for 5s"
    clock.now += FIRST
    assert not opened.refusal() and opened.refusal(), "the second one goes on without the webhook"
    opened.answered()
    assert not opened.refusal() and not opened.refusal()


def test_the_pause_grows_while_it_is_tried_in_vain(opened: Breaker, clock: Clock) -> None:
    pause = FIRST
    for _ in range(6):
        clock.now += pause
        assert not opened.refusal()
        opened.timed_out()
        pause = min(2 * pause, LONGEST)
        clock.now += pause - 0.1
        assert opened.refusal()
        clock.now -= pause - 0.1
    assert pause == LONGEST


def test_a_trial_that_was_given_up_says_nothing(opened: Breaker, clock: Clock) -> None:
    clock.now += FIRST
    assert not opened.refusal()
    opened.gave_up()
    assert not opened.refusal(), "the next one tries"


def test_requests_that_were_under_way_do_not_prolong_the_pause(opened: Breaker, clock: Clock) -> None:
    clock.now += FIRST - 1
    opened.timed_out()
    clock.now += FIRST
    assert not opened.refusal()
    opened.answered()
    assert not opened.refusal()
