"""Garbage collections while clusters come and go."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from pilothouse.testing.collector import THRESHOLD, relaxed


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """The settings of the process, whatever a test leaves."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    yield
    gc.set_threshold(*before)
    if not frozen:
        gc.unfreeze()


class Ring:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.itself = self


def test_garbage_is_found_seldom_and_settings_come_back() -> None:
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    with relaxed():
        assert gc.get_threshold() == (THRESHOLD, 10, 10)
        assert gc.get_freeze_count() > 0
        with relaxed():
            pass
        assert gc.get_threshold()[0] == THRESHOLD and gc.get_freeze_count() > 0
        lost = weakref.ref(Ring())
        kept = [Ring() for _ in range(2 * THRESHOLD)]
        assert lost() is None, "it is found all the same"
        assert len(kept) == 2 * THRESHOLD
    assert gc.get_threshold() == (700, 10, 10) and gc.get_freeze_count() == 0


def test_a_collector_that_is_off_stays_so() -> None:
    gc.set_threshold(0, 10, 10)
    with relaxed():
        assert gc.get_threshold() == (0, 10, 10)
