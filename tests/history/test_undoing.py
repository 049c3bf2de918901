"""States of keys between two, by each way in which the changes are read and undone."""

import asyncio
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from example_scale import SCALE
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kept_history import PREFIX, Kept, kept

from pilothouse.history import undoing
from pilothouse.history._delta import difference
from pilothouse.history._packing import pack
from pilothouse.history._states import (
    PastState,
    changed_between,
    changed_of,
    changed_since,
    state_before,
    undo,
    undo_recent,
)
from pilothouse.history.file import ChangeKind
from pilothouse.history.undoing import Undoing
from pilothouse.storage._entry import Entry
from pilothouse.storage.interface import KeyValue
from pilothouse.storage.sqlite.changes import last_of

NAMES = st.sampled_from(["a", "b", "c", "resourceVersion", "\\\\", 'q"'])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(0, 300) | st.sampled_from(["", "{", "\\", 'x"', "\\" * 63, "\\" * 64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
METADATA = st.dictionaries(st.sampled_from(["name", "labels", "uid"]), VALUES, max_size=3)
OBJECTS = st.builds(
    lambda kind, version, metadata, rest: {
        "kind": kind,
        "apiVersion": version,
        "metadata": metadata,
        **rest,
    },
    st.sampled_from(["Pod", "P"]),
    st.sampled_from(["v1", "apps/v1"]),
    METADATA,
    st.dictionaries(NAMES.filter(lambda name: name != "resourceVersion"), VALUES, max_size=4),
)


def nothing(key: str) -> None:
    """The object of a key that is not there."""


def facts(state: PastState | None) -> Any:
    """All that is to be told of a state."""
    if state is None:
        return None
    entry, times = state.entry, (state.since, state.until, state.since_ms, state.until_ms)
    return times, entry and (entry.key, entry.value, entry.head, entry.rev, entry.create_rev)


@settings(max_examples=100 * SCALE)
@given(st.lists(OBJECTS, min_size=2, max_size=5))
@example(
    [
        {"kind": "P", "apiVersion": "v1", "metadata": {}},
        {"kind": "P", "apiVersion": "v1", "metadata": {"name": {}}},
    ]
)
@example(
    [{"kind": "P", "apiVersion": "v1", "metadata": []}, {"kind": "P", "apiVersion": "v1", "metadata": {}}]
)
def test_an_object_is_set_back_as_it_is_served(objects: list[Any]) -> None:
    """Like its stored text, which gets its resourceVersion afterwards."""
    texts = [orjson.dumps(one) for one in objects]
    rows: list[Any] = [("k", last_of(6), 1, 60, None)]
    for number, (old, new) in enumerate(itertools.pairwise(texts)):
        delta = difference(old, new, 1 << 20)
        assert delta is not None
        rows.append(("k", last_of(7 + number), 1, 70 + number, pack(delta)))
    found = []
    for now in (Entry("k", texts[-1], 20, 3), KeyValue("k", texts[-1], 20, 3)):
        changed, _ = changed_since(rows, last_of(6), 1 << 30)
        then: dict[str, PastState] = {}
        undo(changed, {}, then, {"k": now}.get, None, 0)
        found.append(facts(then["k"]))
    assert found[0] == found[1]
    assert found[0] == facts(state_before(Entry("k", texts[-1], 20, 3), changed_of(rows, last_of(6)), 0))
    if isinstance(objects[0]["metadata"], dict):
        assert orjson.loads(found[0][1][1])["metadata"] == {"resourceVersion": "6", **objects[0]["metadata"]}


def states(one: Kept, revision: int, now_of: Callable[[str], Any], changed: int) -> dict[str, Any]:
    ids = last_of(revision), last_of(one.recorder.recorded)
    keys = PREFIX + "b", PREFIX + "d"
    found = Undoing(one.reader._db, now_of, keys, ids, one.reader.reach, changed=changed).all()
    return {key: facts(state) for key, state in found.items()}


async def written(one: Kept, seed: int) -> list[int]:
    """Objects that come, change, are replaced and go, inside of the range and outside; the revisions."""
    rng = random.Random(seed)
    revisions = [one.storage.revision]
    for number in range(60):
        name = rng.choice("abcde") + rng.choice("12")
        if name in one.mods and rng.random() < 0.2:
            revisions.append(await one.delete(name))
            continue
        data = {"n": str(number), "x": "x" * (300 if rng.random() < 0.9 else 3)}
        obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": data}
        revisions.append(await one.write(name, obj))
        if rng.random() < 0.2:
            await one.move()
    await one.move()
    return revisions


@pytest.mark.parametrize("seed", range(3))
async def test_changes_in_memory_and_in_the_file_by_ids_and_by_keys_are_the_same(
    runner: asyncio.Runner, tmp_path: Path, seed: int
) -> None:
    async with kept(str(tmp_path)) as one:
        revisions = await written(one, seed)
        page = await one.storage.range(PREFIX)
        now = {kv.key: Entry(kv.key, kv.value, kv.mod, kv.create) for kv in page.items}
        by_keys = [states(one, revision, now.get, 0) for revision in revisions]
        assert sum(map(len, by_keys)) > 60
        by_ids = [states(one, revision, now.get, 1000) for revision in revisions]
        recent, upto = one.recorder.recent, last_of(one.recorder.recorded)
        in_memory = []
        keys, known = (PREFIX + "b", PREFIX + "d"), dict[str, PastState]()
        for revision in revisions + revisions:  # with those that have been made for other revisions
            ids, oldest = (last_of(revision), upto), min(one.reader.reach, revision)
            then = undo_recent(recent, keys, ids, known, now.get, oldest)
            assert then is not None
            known |= then
            in_memory.append({key: facts(state) for key, state in then.items()})
    assert by_keys == by_ids == in_memory[: len(revisions)] == in_memory[len(revisions) :]


async def test_more_changes_than_a_step_has_room_for_are_read_by_keys(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    async with kept(str(tmp_path)) as one:
        rng, revisions = random.Random(1), []
        names = [f"b{number}" for number in range(8)]
        for name in names * 2:
            data = {"a": rng.randbytes(400_000).hex()}
            obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": data}
            revisions.append(await one.write(name, obj))
        await one.move()
        page = await one.storage.range(PREFIX)
        now = {kv.key: Entry(kv.key, kv.value, kv.mod, kv.create) for kv in page.items}
        created = revisions[len(names) - 1]
        assert states(one, created, now.get, 1000) == states(one, created, now.get, 0)
        ids = last_of(created), last_of(revisions[-1])
        step = Undoing(one.reader._db, now.get, (PREFIX, PREFIX + "z"), ids, 0, changed=len(names))
        steps = [len(found) for found in iter(step.read, {})]
    assert len(steps) > 1 and sum(steps) == len(names)


def test_few_changes_of_a_key_are_read_by_ids() -> None:
    """Where many revisions are of other keys, the rows of each key are looked up."""
    asked: list[str] = []

    class Nothing:
        def execute(self, statement: str, args: Any) -> list[Any]:
            asked.append(statement)
            return []

    def ask(changed: int) -> list[str]:
        asked.clear()
        db: Any = Nothing()
        assert Undoing(db, nothing, ("a", "b"), (last_of(100), last_of(108)), 0, changed=changed).all() == {}
        return asked

    assert ask(0) == [undoing.CHANGED_SINCE]
    assert ask(1) == [undoing.OBJECTS, undoing.CHANGED_BETWEEN]


def test_a_whole_object_hides_the_changes_behind_it() -> None:
    objects = [(1, "a", last_of(2), 20), (2, "b", None, None), (3, "c", None, None)]
    whole = pack(b'{"kind":"P","apiVersion":"v1","metadata":{}}')
    rows = [
        (1, last_of(3), ChangeKind.REPLACED, 30, whole),
        (2, last_of(4), ChangeKind.CREATED, 40, None),
        (1, last_of(5), ChangeKind.CHANGED, 50, b"not read"),
        (9, last_of(6), ChangeKind.CHANGED, 60, b"of another key"),
    ]
    found = changed_between(objects, rows, 1 << 20)
    assert found is not None and list(found) == ["a", "b"]
    then: dict[str, PastState] = {}
    undo(found, {}, then, nothing, None, 0)
    assert facts(then["b"]) == ((0, 4, 0, 40), None)
    times, entry = facts(then["a"])
    assert times == (2, 3, 20, 30) and entry[3] == 2
