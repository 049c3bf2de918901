"""Tests that every storage must pass.
A test module subclasses StoreContract and creates its storage in `make`.

class TestMine(StoreContract):     def make(self, directory): return MyStorage(directory)
"""

import asyncio
import functools
import gc
import inspect
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilothouse.storage.interface import (
    Compacted,
    FutureRevision,
    KeyExists,
    KeyValue,
    Op,
    RevisionConflict,
    Storage,
    StorageError,
    StorageEvent,
    Unavailable,
)

P = "/registry/pods/"


def stored(test: Callable[[Any, Any], Awaitable[None]]) -> Callable[..., None]:
    """Run an async test against a store that is opened before and closed after it."""

    @functools.wraps(test)
    def run(self: "StoreContract", tmp_path: Path) -> None:
        async def main() -> None:
            store = self.make(tmp_path)
            await store.start()
            try:
                await test(self, store)
            finally:
                await store.close()

        asyncio.run(main())

    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("self", "tmp_path")]
    )
    return run


class Recorder:
    """A watcher that keeps what it is told and can be waited for."""

    def __init__(self) -> None:
        self.batches: list[list[StorageEvent]] = []
        self.errors: list[StorageError] = []

    def on_events(self, events: list[StorageEvent]) -> None:
        self.batches.append(events)

    def on_error(self, error: StorageError) -> None:
        self.errors.append(error)

    @property
    def events(self) -> list[StorageEvent]:
        return [event for batch in self.batches for event in batch]

    @property
    def seen(self) -> list[tuple[int, str, bool]]:
        return [(e.kv.mod, e.kv.key, e.deleted) for e in self.events]

    async def wait(self, count: int) -> None:
        for _ in range(2000):
            if len(self.events) >= count or self.errors:
                return
            await asyncio.sleep(0.001)
        raise AssertionError(f"{len(self.events)} of {count} events")


class StoreContract:
    """Keys, values and revisions as in etcd v3."""

    def make(self, directory: Path) -> Storage:
        raise NotImplementedError

    @stored
    async def test_create_then_get(self, store: Storage) -> None:
        before = store.revision
        kv = await store.create(P + "a", b"1")
        assert kv == KeyValue(P + "a", b"1", before + 1, before + 1)
        assert await store.get(P + "a") == kv
        assert store.revision == await store.current_revision() == kv.mod

    @stored
    async def test_get_of_nothing(self, store: Storage) -> None:
        assert await store.get(P + "a") is None

    @stored
    async def test_create_twice(self, store: Storage) -> None:
        kv = await store.create(P + "a", b"1")
        with pytest.raises(KeyExists) as caught:
            await store.create(P + "a", b"2")
        assert caught.value.current == kv
        assert store.revision == kv.mod

    @stored
    async def test_values_of_refused_writes_are_freed_at_once(self, store: Storage) -> None:
        """Full collections are minutes apart."""
        kv = await store.create(P + "a", b"1")
        writes: tuple[Callable[[bytes], Awaitable[object]], ...] = (
            lambda value: store.create(P + "a", value),
            lambda value: store.update(P + "a", value, kv.mod + 1),
            lambda value: store.txn([Op(P + "a", value, kv.mod + 1)]),
        )
        gc.disable()
        try:
            for write in writes:
                value = bytes(bytearray(1000))
                before = sys.getrefcount(value)
                for one in (value, b"2"):  # a thread may hold the last one
                    with pytest.raises(StorageError):
                        await write(one)
                assert sys.getrefcount(value) == before
        finally:
            gc.enable()

    @stored
    async def test_update_demands_the_revision(self, store: Storage) -> None:
        first = await store.create(P + "a", b"1")
        second = await store.update(P + "a", b"2", first.mod)
        assert (second.value, second.mod, second.create) == (b"2", first.mod + 1, first.mod)
        with pytest.raises(RevisionConflict) as caught:
            await store.update(P + "a", b"3", first.mod)
        assert caught.value.current == second
        with pytest.raises(RevisionConflict) as caught:
            await store.update(P + "b", b"3", 7)
        assert caught.value.current is None

    @stored
    async def test_delete(self, store: Storage) -> None:
        first = await store.create(P + "a", b"1")
        with pytest.raises(RevisionConflict):
            await store.delete(P + "a", first.mod + 1)
        gone = await store.delete(P + "a", first.mod)
        assert (gone.key, gone.value, gone.mod) == (P + "a", b"1", first.mod + 1)
        assert await store.get(P + "a") is None
        with pytest.raises(RevisionConflict) as caught:
            await store.delete(P + "a", gone.mod)
        assert caught.value.current is None
        again = await store.create(P + "a", b"2")
        assert again.create == again.mod == gone.mod + 1

    @stored
    async def test_delete_with_a_last_value(self, store: Storage) -> None:
        first = await store.create(P + "a", b"1")
        watcher = Recorder()
        store.watch(P, first.mod + 1, watcher.on_events, watcher.on_error)
        with pytest.raises(RevisionConflict):
            await store.delete(P + "a", first.mod + 1, b"2")
        gone, other = await asyncio.gather(
            store.delete(P + "a", first.mod, b"2"), store.create(P + "b", b"1"), return_exceptions=True
        )
        assert isinstance(gone, KeyValue)
        assert isinstance(other, KeyValue)
        assert gone.value == b"2"
        assert await store.get(P + "a") is None
        await watcher.wait(3)
        written, removed = (e for e in watcher.events if e.kv.key == P + "a")
        assert (written.deleted, written.kv.value, removed.deleted) == (False, b"2", True)
        assert first.mod < written.kv.mod < removed.kv.mod == gone.mod
        assert removed.prev is not None
        assert (removed.prev.value, removed.prev.mod) == (b"2", written.kv.mod)
        was = await store.get(P + "a", written.kv.mod)
        assert was is not None
        assert was.value == b"2"

    @stored
    async def test_revision_is_shared_by_all_keys(self, store: Storage) -> None:
        first = await store.create("/registry/a/x", b"1")
        second = await store.create("/registry/b/x", b"1")
        assert second.mod == first.mod + 1

    @stored
    async def test_range_pages_in_key_order(self, store: Storage) -> None:
        for name in ("b", "a", "d", "c"):
            await store.create(P + name, name.encode())
        await store.create("/registry/podsx/a", b"other")
        await store.create("/registry/pod", b"other")
        page = await store.range(P)
        assert [kv.value for kv in page.items] == [b"a", b"b", b"c", b"d"]
        assert (page.revision, page.more, page.count) == (store.revision, False, 4)
        page = await store.range(P, limit=2)
        assert [kv.value for kv in page.items] == [b"a", b"b"]
        assert (page.more, page.count) == (True, 4)
        page = await store.range(P, start=P + "b\0", limit=2)
        assert [kv.value for kv in page.items] == [b"c", b"d"]
        assert (page.more, page.count) == (False, 2)
        assert (await store.range("/nothing/")).items == []

    @stored
    async def test_pages_are_full_where_keys_are_gone(self, store: Storage) -> None:
        made = [await store.create(f"{P}{number:02}", b"x" * number) for number in range(40)]
        before = store.revision
        gone = {*range(3, 20), *range(25, 40)}
        await store.txn([Op(made[number].key, None) for number in gone])
        kept = [kv for number, kv in enumerate(made) if number not in gone]
        for revision, expected in ((0, kept), (before, made)):
            for limit in (1, 2, 3, 7):
                found: list[KeyValue] = []
                more = True
                while more:
                    start = found[-1].key + "\0" if found else ""
                    page = await store.range(P, start=start, limit=limit, revision=revision, counted=False)
                    more = page.more
                    assert page.revision == (revision or store.revision)
                    assert len(page.items) == limit or not more
                    found += page.items
                assert found == expected
        page = await store.range(P, start=P + "04", limit=2)
        assert ([kv.key for kv in page.items], page.more, page.count) == ([P + "20", P + "21"], True, 5)

    @stored
    async def test_reads_of_old_revisions(self, store: Storage) -> None:
        first = await store.create(P + "a", b"1")
        second = await store.update(P + "a", b"2", first.mod)
        await store.create(P + "b", b"1")
        await store.delete(P + "a", second.mod)
        assert await store.get(P + "a", first.mod) == first
        assert await store.get(P + "a", second.mod) == second
        assert await store.get(P + "a", second.mod + 1) == second
        assert await store.get(P + "a", store.revision) is None
        assert await store.get(P + "b", second.mod) is None
        page = await store.range(P, revision=second.mod + 1)
        assert [kv.key for kv in page.items] == [P + "a", P + "b"]
        assert page.revision == second.mod + 1
        page = await store.range(P, revision=first.mod)
        assert page.items == [first]
        assert page.count == 1

    @stored
    async def test_reads_of_the_future(self, store: Storage) -> None:
        with pytest.raises(FutureRevision) as caught:
            await store.get(P + "a", store.revision + 1)
        assert caught.value.current == store.revision
        with pytest.raises(FutureRevision):
            await store.range(P, revision=store.revision + 1)

    @stored
    async def test_compaction_forgets_history_only(self, store: Storage) -> None:
        first = await store.create(P + "a", b"1")
        second = await store.update(P + "a", b"2", first.mod)
        other = await store.create(P + "b", b"1")
        gone = await store.delete(P + "b", other.mod)
        await store.create(P + "c", b"1")
        await store.compact(other.mod)
        assert store.compacted == other.mod
        for call in (store.get(P + "a", first.mod), store.range(P, revision=second.mod)):
            with pytest.raises(Compacted) as caught:
                await call
            assert caught.value.compacted == other.mod
        assert await store.get(P + "a", other.mod) == second
        assert await store.get(P + "b", other.mod) == other
        recorder = Recorder()
        with pytest.raises(Compacted):
            store.watch(P, second.mod, recorder.on_events, recorder.on_error)
        store.watch(P, other.mod, recorder.on_events, recorder.on_error)
        await recorder.wait(3)
        assert recorder.seen[0] == (other.mod, P + "b", False)
        assert recorder.events[0].prev is None
        await store.compact(store.revision)
        assert [kv.key for kv in (await store.range(P)).items] == [P + "a", P + "c"]
        assert gone.mod < store.compacted
        await store.compact(first.mod)
        assert store.compacted == store.revision
        with pytest.raises(FutureRevision):
            await store.compact(store.revision + 1)

    @stored
    async def test_txn_is_one_revision(self, store: Storage) -> None:
        a = await store.create(P + "a", b"1")
        b = await store.create(P + "b", b"1")
        recorder = Recorder()
        store.watch(P, store.revision + 1, recorder.on_events, recorder.on_error)
        ops = [Op(P + "a", b"2", a.mod), Op(P + "b", None, b.mod), Op(P + "c", b"1", 0), Op(P + "d", b"1")]
        revision = await store.txn(ops)
        assert revision == store.revision == b.mod + 1
        assert len(recorder.batches) == 1
        assert [(e.kv.key, e.deleted, e.kv.mod) for e in recorder.events] == [
            (P + "a", False, revision),
            (P + "b", True, revision),
            (P + "c", False, revision),
            (P + "d", False, revision),
        ]
        assert (await store.range(P, revision=b.mod)).items == [a, b]

    @stored
    async def test_txn_is_all_or_nothing(self, store: Storage) -> None:
        a = await store.create(P + "a", b"1")
        with pytest.raises(RevisionConflict, match=P + "a") as caught:
            await store.txn([Op(P + "b", b"1", 0), Op(P + "a", b"2", 0), Op(P + "c", None, 9)])
        assert caught.value.current == a
        assert await store.get(P + "b") is None
        assert store.revision == a.mod

    @stored
    async def test_txn_that_changes_nothing(self, store: Storage) -> None:
        revision = store.revision
        assert await store.txn([Op(P + "a", None)]) == revision
        assert await store.txn([]) == revision
        with pytest.raises(ValueError, match="only once"):
            await store.txn([Op(P + "a", b"1"), Op(P + "a", b"2")])

    @stored
    async def test_watch_from_now_and_from_then(self, store: Storage) -> None:
        first = await store.create(P + "a", b"1")
        await store.create("/registry/secrets/a", b"1")
        second = await store.update(P + "a", b"2", first.mod)
        then, now = Recorder(), Recorder()
        store.watch(P, first.mod, then.on_events, then.on_error)
        store.watch(P, second.mod + 1, now.on_events, now.on_error)
        third = await store.update(P + "a", b"3", second.mod)
        assert now.events == [StorageEvent(False, third, second)]
        await then.wait(3)
        assert then.events == [
            StorageEvent(False, first, None),
            StorageEvent(False, second, first),
            StorageEvent(False, third, second),
        ]
        gone = await store.delete(P + "a", third.mod)
        assert now.events[-1] == then.events[-1] == StorageEvent(True, gone, third)

    @stored
    async def test_watch_ends_when_closed(self, store: Storage) -> None:
        recorder = Recorder()
        subscription = store.watch(P, store.revision + 1, recorder.on_events, recorder.on_error)
        await store.create(P + "a", b"1")
        subscription.close()
        await store.create(P + "b", b"1")
        assert len(recorder.events) == 1
        assert recorder.errors == []

    @stored
    async def test_replay_and_live_events_meet(self, store: Storage) -> None:
        start = store.revision + 1
        for i in range(40):
            await store.create(f"{P}{i:03}", b"1")
        recorders = []

        async def write(i: int) -> None:
            await store.create(f"{P}{i:03}", b"1")
            recorder = Recorder()
            recorders.append(recorder)
            store.watch(P, start, recorder.on_events, recorder.on_error)

        await asyncio.gather(*(write(i) for i in range(40, 80)))
        for recorder in recorders:
            await recorder.wait(80)
            assert [e.kv.mod for e in recorder.events] == list(range(start, start + 80))

    @stored
    async def test_event_comes_before_the_answer(self, store: Storage) -> None:
        recorder = Recorder()
        store.watch(P, store.revision + 1, recorder.on_events, recorder.on_error)

        async def write(i: int) -> None:
            kv = await store.create(f"{P}{i}", b"1")
            assert kv.mod in [e.kv.mod for e in recorder.events]

        await asyncio.gather(*(write(i) for i in range(50)))
        mods = [e.kv.mod for e in recorder.events]
        assert mods == sorted(set(mods))
        assert len(mods) == 50

    @stored
    async def test_one_of_many_creates_wins(self, store: Storage) -> None:
        tries = [store.create(P + "a", str(i).encode()) for i in range(20)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        winners = [r for r in results if isinstance(r, KeyValue)]
        assert len(winners) == 1
        losers = [r for r in results if isinstance(r, KeyExists)]
        assert len(losers) == 19
        assert all(loser.current == winners[0] for loser in losers)

    @stored
    async def test_failing_watcher_does_not_stop_writes(self, store: Storage) -> None:
        def fail(events: list[StorageEvent]) -> None:
            raise RuntimeError("boom")

        recorder = Recorder()
        store.watch(P, store.revision + 1, fail, recorder.on_error)
        await store.create(P + "a", b"1")
        await store.create(P + "b", b"1")
        assert [type(e) for e in recorder.errors] == [Unavailable]

    @stored
    async def test_ttl(self, store: Storage) -> None:
        recorder = Recorder()
        store.watch(P, store.revision + 1, recorder.on_events, recorder.on_error)
        kept = await store.create(P + "kept", b"1", ttl=0.5)  # type: ignore[arg-type]
        kept = await store.update(P + "kept", b"2", kept.mod)
        long = await store.create(P + "long", b"1", ttl=1000)
        short = await store.create(P + "short", b"1", ttl=0.5)  # type: ignore[arg-type]
        assert short.lease and long.lease and not kept.lease
        await recorder.wait(5)
        assert recorder.seen[-1] == (store.revision, P + "short", True)
        assert [kv.key for kv in (await store.range(P)).items] == [P + "kept", P + "long"]

    def test_closed(self, tmp_path: Path) -> None:
        async def main() -> None:
            store = self.make(tmp_path)
            await store.start()
            recorder = Recorder()
            store.watch(P, 1 + store.revision, recorder.on_events, recorder.on_error)
            await store.close()
            assert [type(e) for e in recorder.errors] == [Unavailable]
            for call in (store.create(P, b""), store.get(P), store.range(P), store.txn([]), store.compact(1)):
                with pytest.raises(Unavailable):
                    await call
            with pytest.raises(Unavailable):
                store.watch(P, 1, recorder.on_events, recorder.on_error)
            await store.close()

        asyncio.run(main())

    @settings(
        max_examples=12 * SCALE,
        deadline=None,
        suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
    )
    @given(data=st.data())
    def test_against_a_naive_model(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        steps = data.draw(
            st.lists(
                st.tuples(
                    st.sampled_from(["create", "update", "delete", "txn", "compact"]),
                    st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True),
                    st.binary(max_size=4),
                ),
                max_size=30,
            )
        )
        asyncio.run(self._play(self.make(tmp_path_factory.mktemp("model")), steps))

    async def _play(self, store: Storage, steps: list[tuple[str, list[str], bytes]]) -> None:
        """Apply steps to the store and to `states`, a list of all past states; then compare every reading."""
        await store.start()
        first = store.revision
        states: list[dict[str, tuple[bytes, int]]] = [{}]
        expected = 0
        recorder = Recorder()
        store.watch(P, first + 1, recorder.on_events, recorder.on_error)
        for verb, names, value in steps:
            state, many = dict(states[-1]), 1
            keys = [P + name for name in names]
            key = keys[0]
            revision = first + len(states)
            if verb == "compact":
                await store.compact(max(store.compacted, store.revision - len(value)))
                continue
            if verb == "create" and key not in state:
                await store.create(key, value)
                state[key] = (value, revision)
            elif verb == "update" and key in state:
                await store.update(key, value, state[key][1])
                state[key] = (value, revision)
            elif verb == "delete" and key in state:
                await store.delete(key, state.pop(key)[1])
            elif verb == "txn":
                await store.txn([Op(k, value or None, state.get(k, (b"", 0))[1]) for k in keys])
                changes = {k for k in keys if value or k in state}
                for k in changes:
                    state.pop(k, None)
                    if value:
                        state[k] = (value, revision)
                many = len(changes)
                if not changes:
                    continue
            else:
                continue
            states.append(state)
            expected += many
        assert store.revision == first + len(states) - 1
        for back, state in enumerate(states):
            revision = first + back
            if revision < store.compacted:
                continue
            page = await store.range(P, revision=revision)
            assert {kv.key: (kv.value, kv.mod) for kv in page.items} == state
            assert [kv.key for kv in page.items] == sorted(state)
            for name in "abcd":
                kv = await store.get(P + name, revision)
                assert (kv and (kv.value, kv.mod)) == state.get(P + name)
        await recorder.wait(expected)
        wanted = [e for e in recorder.events if e.kv.mod >= store.compacted]
        replay = Recorder()
        store.watch(P, max(first + 1, store.compacted), replay.on_events, replay.on_error)
        await replay.wait(len(wanted))
        assert replay.events == wanted
        for event in recorder.events:
            before = states[event.kv.mod - first - 1].get(event.kv.key)
            assert (event.prev and (event.prev.value, event.prev.mod)) == before
            assert event.deleted == (event.kv.key not in states[event.kv.mod - first])
        await store.close()
