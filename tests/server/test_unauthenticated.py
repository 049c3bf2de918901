"""The choice of the unauthenticated connection that is evicted."""

import gc
import random
import weakref
from collections import Counter
from typing import Any

import pytest

from pilothouse.server.unauthenticated import Unauthenticated, UnauthenticatedConnection, origin


def add(among: Unauthenticated, origin: str, cut: list[Any], name: str = "") -> UnauthenticatedConnection:
    return among.add(origin, lambda: cut.append(name or origin))


def test_the_origin_with_most_loses_its_oldest_idle_one() -> None:
    among, cut = Unauthenticated(), list[str]()
    assert not among.evict()
    add(among, "probe", cut)
    flood = [add(among, "flood", cut, str(i)) for i in range(5)]
    flood[0].busy = flood[1].busy = lambda: True
    flood[2].leave()
    assert len(among) == 5 and among.evict() and among.evict()
    assert cut == ["3", "4"]
    assert among.evict() and cut[2] in ("0", "1"), "two that are busy against one"
    assert among.evict() and among.evict() and not among.evict()
    flood[2].leave()
    assert len(among) == 0 and sorted(cut) == ["0", "1", "3", "4", "probe"]


def test_who_has_come_just_now_may_stay() -> None:
    among, cut = Unauthenticated(), list[str]()
    for since in (1.0, 2.0):
        among.add("a", lambda since=since: cut.append(str(since)), since)  # type: ignore[misc]
    assert not among.evict(0.5) and not cut
    assert among.evict(1.5) and not among.evict(1.5)
    assert cut == ["1.0"] and len(among) == 1


def test_counts_hold_whatever_happens() -> None:
    pick, among, cut, live = (
        random.Random(1),
        Unauthenticated(),
        list[Any](),
        list[UnauthenticatedConnection](),
    )
    for _ in range(5000):
        what = pick.random()
        if what < 0.5:
            live.append(add(among, str(pick.randrange(20)), cut))
        elif what < 0.8 and live:
            live.pop(pick.randrange(len(live))).leave()
        elif live:
            most = max(Counter(s.origin for s in live).values())
            assert among.evict()
            gone = next(s for s in live if s.origin == cut[-1])
            assert Counter(s.origin for s in live)[gone.origin] == most
            live.remove(gone)
        assert len(among) == len(live)


@pytest.mark.parametrize(
    ("peer", "found"),
    [
        (("10.0.0.1", 5), "10.0.0.1"),
        (("::ffff:10.0.0.1", 5, 0, 0), "10.0.0.1"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::"),
        ("", ""),
        (None, ""),
    ],
)
def test_origin(peer: object, found: str) -> None:
    assert origin(peer) == found


class Held:
    """A connection that refers to what counts it, as those of the listener do."""

    def __init__(self, among: Unauthenticated) -> None:
        self.counted = among.add("a", self.end)
        self.counted.busy = self.busy

    def busy(self) -> bool:
        return False

    def end(self) -> None:
        pass


@pytest.mark.parametrize("evicted", [False, True])
def test_a_connection_that_has_ended_is_freed_at_once(evicted: bool) -> None:
    """Full collections of garbage are rare, and a connection has large buffers."""
    among = Unauthenticated()
    gc.disable()
    try:
        held = Held(among)
        left = weakref.ref(held)
        if evicted:
            assert among.evict()
        else:
            held.counted.leave()
        del held
        assert left() is None
    finally:
        gc.enable()
