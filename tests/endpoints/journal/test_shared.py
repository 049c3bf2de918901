"""Journals of many clusters in one: each sees its own, and a cluster that is gone is held by nothing."""

import gc
import weakref
from types import SimpleNamespace
from typing import Any

from pilothouse.endpoints.journal.journal import Journal
from pilothouse.endpoints.journal.shared import ClusterJournal


class Level:
    """A priority level of a cluster."""

    name = "workload"


def add(journal: Journal, audit_id: str, level: Level | None = None, code: int = 200) -> None:
    """Keep a request in the order of Kept."""
    ticket: Any = None
    if level is not None:
        ticket = SimpleNamespace(flow=SimpleNamespace(schema="users", level=level), seats=2, waited=0.5)
    told = [audit_id, "get", "/api/v1/nodes/n", "", "127.0.0.1", "test"]
    journal.ring.add(
        (100, told, b"{}", b"{}", None, None, ticket, code, 1.0, 1.0, 1.0, 1.0, 2.0, 0, None, "", b"")
    )


def test_each_sees_its_own() -> None:
    whole = Journal(100)
    one, two = ClusterJournal(whole, "uid-1"), ClusterJournal(whole, "uid-2")
    for number in range(3):
        add(one, f"one-{number}")
        add(two, f"two-{number}", code=503)
    assert {entry.audit_id for entry in one.entries()} == {"one-0", "one-1", "one-2"}
    assert (len(one), len(two), len(whole)) == (3, 3, 6)
    (entry, *_) = two.entries()
    assert (entry.agent, entry.info.name, entry.kept.code) == ("test", "n", 503)


def test_it_has_all_while_the_shared_ring_reaches_back() -> None:
    """Whether or not the cluster itself has asked for anything since."""
    whole = Journal(3)
    one, two = ClusterJournal(whole, "uid-1"), ClusterJournal(whole, "uid-2")
    assert one.reaches(0.0)
    for number in range(4):
        add(two, f"two-{number}", code=503)
    assert [one.reaches(time) for time in (1.5, 2.0, 2.5)] == [False, False, True]
    assert len(one) == 0 and len(two) == 4


def test_requests_hold_nothing_of_their_cluster() -> None:
    whole, level = Journal(100), Level()
    gone = weakref.ref(level)
    add(ClusterJournal(whole, "uid"), "a", level)
    (entry,) = ClusterJournal(whole, "uid").entries()
    assert entry.kept.flow == ("users", "workload", 2, 0.5)
    del level
    gc.collect()
    assert gone() is None
