"""Changes that are held in memory."""

import random
import threading
from typing import Any

import orjson
import pytest

from pilothouse.history._packing import unpack
from pilothouse.history._recent import RecentChange, RecentChanges, Since
from pilothouse.history._rows import rows_of
from pilothouse.history._states import PastState, state_before, undo_recent
from pilothouse.history.file import RECENT, ChangeKind, RecordedChange
from pilothouse.storage._entry import Entry
from pilothouse.storage.sqlite.changes import last_of

CHANGED, REPLACED = ChangeKind.CHANGED, ChangeKind.REPLACED
ALL = 1 << 60


def made(*changes: RecordedChange) -> list[RecentChange]:
    """Changes as they are held."""
    return rows_of(changes, {}, {}, lambda key: 1, lambda who: 1, None)[2]


def change(
    id: int, key: str = "a", value: bytes = b"[]", kind: ChangeKind = CHANGED, prev: int = 0
) -> RecordedChange:
    return RecordedChange(id, key, kind, id * 10, b"", "", value, prev)


def held(*changes: RecordedChange, most: int = RECENT, after: int = 0) -> RecentChanges:
    """Some changes in memory."""
    recent = RecentChanges(most, CHANGED)
    recent.begin(after, after * 10)
    recent.add(made(*changes))
    return recent


def values(since: Since | None) -> list[bytes] | None:
    """The values of some changes, unpacked; None where they are not known."""
    if since is None:
        return None
    return [b"" if value is None else unpack(value) for value in since.values or []]


def numbers(since: Since | None) -> list[int]:
    """The old numbers that some changes keep."""
    return [orjson.loads(value)[0][2] for value in values(since) or ()]


def among(recent: RecentChanges, first: str, end: str, after: int) -> list[str] | None:
    """The keys between two that have been changed, None where that is not known."""
    now = Entry("", b'{"kind":"P","metadata":{},"n":1}', 1)
    found = undo_recent(recent, (first, end), (after, ALL), {}, lambda key: now, 0)
    return None if found is None else sorted(found)


def test_changes_of_a_key_between_two_ids() -> None:
    recent = held(*[change(id, "ab"[id % 2], b'[["=",["n"],%d,1]]' % id) for id in range(1, 9)])
    assert numbers(recent.of("a", 2, 8)) == [4, 6, 8]
    assert numbers(recent.of("a", 2, 7)) == [4, 6]
    assert numbers(recent.of("b", 0, ALL)) == [1, 3, 5, 7]
    assert values(recent.of("a", 8, ALL)) == values(recent.of("c", 0, ALL)) == []
    assert (among(recent, "a", "b", 6), among(recent, "a", "b", 8)) == (["a"], [])


def test_those_before_a_whole_object_are_not_needed() -> None:
    recent = held(
        change(1, value=b"1"),
        change(2, value=b"2", kind=REPLACED),
        change(3, value=b"3"),
        change(4, value=b"4", kind=REPLACED),
        change(5, value=b"5"),
    )
    assert values(recent.of("a", 0, ALL)) == [b"1", b"2"]
    assert values(recent.of("a", 2, ALL)) == [b"3", b"4"]
    assert values(recent.of("a", 4, ALL)) == [b"5"]


def filled(id: int) -> bytes:
    """A difference of some length."""
    return b'[["=",["n"],"%s",1]]' % (b"x" * (id % 50))


def test_the_oldest_are_dropped_and_are_not_known_any_more() -> None:
    """The latest changes are there, as many as there is room for, and what needs others is not known."""
    size, recent = 0, held(most=4000)
    for id in range(1, 200):
        recent.add(made(change(id, "abc"[id % 3], filled(id))))
        assert recent.size <= 4000
        size = max(size, recent.size)
    assert size > 3500 and recent.since_ms == recent.after * 10
    assert 3 < 199 - recent.after < 30
    for after in range(200):
        ids = [id for id in range(after + 1, 200) if id % 3 == 0]
        found, keys = values(recent.of("a", after, ALL)), among(recent, "a", "z", after)
        if after < recent.after:
            assert found is None and keys is None
        else:
            assert found == [filled(id) for id in ids]
            assert keys is not None and len(keys) == min(3, 199 - after)


def test_a_value_that_has_no_room_leaves_nothing_out() -> None:
    recent = held(change(1), change(2, "b", random.Random(1).randbytes(9000)), most=4000)
    assert recent.size == 0 and recent.after == 2
    recent.add(made(change(3)))
    assert values(recent.of("a", 2, ALL)) == [b"[]"] and recent.of("a", 1, ALL) is None


def state(recent: RecentChanges, revision: int) -> Any:
    """The revisions and times of a state of the key."""
    since = recent.of("a", last_of(revision), ALL)
    assert since is not None
    found = state_before(Entry("a", b'{"metadata":{}}', 9), since, 1)
    assert found is not None and found.entry is not None
    return found.entry.rev, (found.since, found.until), (found.since_ms, found.until_ms)


def test_the_change_before_is_known_when_it_is_not_there() -> None:
    """Its revision is; of its time, only that it was no later than those that are not there."""
    two, five, eight = last_of(2), last_of(5), last_of(8)
    before = change(two), change(last_of(3), "b"), change(five, prev=two), change(eight, prev=five)
    assert state(held(*before), 4) == (2, (2, 5), (two * 10, five * 10))
    recent = held(*before[2:], after=last_of(3))
    assert state(recent, 4) == (2, (2, 5), (last_of(3) * 10, five * 10))
    assert state(recent, 6) == (5, (5, 8), (five * 10, eight * 10))


def test_the_first_change_after_a_time() -> None:
    recent = held(change(2), change(4), change(6), change(8), after=1)
    assert [recent.first_after(at) for at in (9, 10, 19, 20, 39, 60, 79, 80)] == [0, 2, 2, 4, 4, 8, 8, 0]
    recent.most = recent.size - 1
    recent.add(made(change(10)))
    assert recent.after == 4 and [recent.first_after(at) for at in (39, 40, 60)] == [0, 6, 8]


def test_one_begins_anew() -> None:
    recent = held(change(1), change(2))
    recent.begin(5, 50)
    assert (recent.size, recent.after, recent.since_ms) == (0, 5, 50)
    recent.add(made(change(5), change(6)))
    assert recent.of("a", 4, ALL) is None and len(values(recent.of("a", 5, ALL)) or ()) == 1


@pytest.mark.parametrize("most", [100_000, 1 << 30])
def test_many_changes_of_one_key_are_freed(most: int) -> None:
    """One after the other: each leads to the one before, and a chain would go too deep."""
    recent = held(most=most)
    for first in range(1, 200_001, 1000):
        recent.add(made(*[change(id) for id in range(first, first + 1000)]))
    assert recent.after == 0 or recent.size > most - 1000
    since = recent.of("a", 199_990, ALL)
    del recent
    assert len(values(since) or ()) == 10


def test_one_thread_adds_while_others_read() -> None:
    """Each state is the one after the last change up to an id, or it is not known."""
    recent, ended = held(most=40_000), threading.Event()

    def add() -> None:
        for id in range(1, 20_001):
            recent.add(made(change(id, f"k{id % 7}", b'[["=",["n"],%d,%d]]' % (id - 7, id))))
        ended.set()

    def now_of(key: str) -> Entry:
        return Entry(key, b'{"kind":"P","metadata":{},"n":0}', ALL)

    thread = threading.Thread(target=add)
    thread.start()
    read = 0
    while not ended.is_set() or not read:
        after = recent.after + 20
        found = undo_recent(recent, ("k", "l"), (after, ALL), {}, now_of, 0)
        for state in (found or {}).values():
            assert state.kv is not None
            number = orjson.loads(state.kv.value)["n"]  # as it was set by the last change up to the id
            assert number <= after < number + 7
            read += 1
    thread.join()
    assert isinstance(recent.of("k1", recent.after, ALL), Since)


def test_a_state_is_that_of_the_file() -> None:
    """The kinds of changes have the numbers that the class is given."""
    recent = RecentChanges(RECENT, CHANGED)
    recent.add(made(change(last_of(2), kind=ChangeKind.CREATED, value=b"")))
    since = recent.of("a", last_of(1), ALL)
    assert since is not None
    found = state_before(Entry("a", b'{"metadata":{}}', 2), since, 1)
    assert isinstance(found, PastState) and found.kv is None
