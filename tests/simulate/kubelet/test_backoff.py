"""How long a container waits for its restart."""

from pilothouse.simulate.kubelet.backoff import LONGEST, RESET, Backoff, shown


def test_it_doubles_up_to_the_longest() -> None:
    backoff = Backoff()
    assert [backoff.delay(1) for _ in range(8)] == [0, 10, 20, 40, 80, 160, LONGEST, LONGEST]


def test_a_container_that_has_run_for_long_begins_anew() -> None:
    backoff = Backoff()
    assert [backoff.delay(ran) for ran in (1, 1, 1, RESET, 1)] == [0, 10, 20, 0, 10]


def test_one_that_was_restarted_before_goes_on() -> None:
    assert Backoff(3).delay(1) == 40


def test_it_is_shown_as_go_shows_it() -> None:
    assert [shown(seconds) for seconds in (10, 80, 300)] == ["10s", "1m20s", "5m0s"]
