"""The history against a model: whatever is written, moved and compacted, each revision reads as it was."""

import asyncio
import contextlib
import copy
import random
import sqlite3
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from kept_history import END, PREFIX, ROOT, Kept, kept

from pilothouse.history.file import HistoryError, HistoryFile
from pilothouse.history.kept import KeptChange
from pilothouse.history.reader import MOST_BYTES
from pilothouse.history.thread import HistoryThread
from pilothouse.offload import INLINE
from pilothouse.storage._entry import Entry
from pilothouse.storage.interface import KeyValue, RevisionConflict

VALUES = st.dictionaries(
    st.sampled_from("abc"), st.integers(0, 3) | st.lists(st.integers(0, 2), max_size=3), max_size=3
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("xyz"), VALUES),
        st.tuples(st.just("delete"), st.sampled_from("xyz"), st.none()),
        st.tuples(st.sampled_from(["move", "compact", "reopen", "forget"]), st.none(), st.none()),
    ),
    max_size=25,
)


async def check(one: Kept, revision: int, expected: dict[str, Any]) -> None:
    """All objects read as they were at a revision, together and one by one."""
    found = await one.read(revision)
    assert {key: obj for key, (_, obj) in found.items()} == {key: obj for key, (_, obj) in expected.items()}
    if revision >= one.storage.compacted:
        return
    for key, (mod, obj) in expected.items():
        past = await one.reader.get(key, revision)
        assert past is not None and (past.mod, orjson.loads(past.value)) == (mod, obj)
        if latest := await one.storage.get(key):
            one.reader.forget()
            past = await one.reader.get(key, revision, entry_of(latest), one.storage.revision)
            assert past is not None and (past.mod, orjson.loads(past.value)) == (mod, obj)


@settings(max_examples=12 * SCALE, deadline=None)
@given(STEPS)
def test_each_revision_reads_as_it_was(steps: Any) -> None:
    async def main(directory: str) -> None:
        model: dict[int, dict[str, Any]] = {}
        now: dict[str, Any] = {}
        async with contextlib.AsyncExitStack() as stack:
            one = await stack.enter_async_context(kept(directory))
            model[one.storage.revision] = {}
            for what, name, value in steps:
                key = f"{PREFIX}{name}"
                if what == "put":
                    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {}, "data": value}
                    body = orjson.dumps(obj)
                    with contextlib.suppress(RevisionConflict):
                        kv = (
                            await one.storage.update(key, body, now[key][0])
                            if key in now
                            else await one.storage.create(key, body)
                        )
                        now[key] = kv.mod, orjson.loads(body)
                        model[kv.mod] = copy.deepcopy(now)
                elif what == "delete" and key in now:
                    kv = await one.storage.delete(key, now.pop(key)[0])
                    model[kv.mod] = copy.deepcopy(now)
                elif what == "move":
                    await one.move()
                elif what == "compact":
                    await one.storage.compact(one.storage.revision)
                elif what == "reopen":
                    await stack.aclose()
                    one = await stack.enter_async_context(kept(directory))
                elif what == "forget":
                    one.forget()
            await one.move()
            await one.storage.compact(one.storage.revision)
            for _ in ("from memory, since a reopen or forget", "from the file"):
                for revision, expected in model.items():
                    one.reader.forget()
                    await check(one, revision, expected)
                for revision, expected in model.items():  # once more, with what is remembered
                    await check(one, revision, expected)
                one.forget()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(directory))


def test_one_step_has_few_bytes_in_memory() -> None:
    """Of large values, moved or not, a step reads a few; steps go on where they have ended."""
    size, count = 1_000_000, 12

    def body(number: int) -> bytes:
        return orjson.dumps(
            {"kind": "ConfigMap", "data": {"a": random.Random(number).randbytes(size // 2).hex()}}
        )

    async def steps(one: Kept) -> list[list[KeptChange]]:
        found, before = [], 0
        while True:
            chunk, before = await one.reader.chunk(ROOT, END, before=before)
            found.append(chunk)
            if not before:
                return found

    async def main(directory: str) -> None:
        async with kept(directory) as one:
            kv = await one.storage.create(f"{PREFIX}large", body(0))
            for number in range(1, count):
                kv = await one.storage.update(kv.key, body(number), kv.mod)
            for moved in (False, True):
                if moved:
                    while await one.step():
                        assert one.recorder.recorded < one.storage.revision
                found = await steps(one)
                assert sum(len(chunk) for chunk in found) == count and len(found) > 2
                weights = [sum(len(change.value) for change in chunk) for chunk in found]
                assert max(weights) <= MOST_BYTES + 2 * size
            assert [kv.value for kv in (await one.reader.range(ROOT, revision=kv.mod - 3)).items] == [
                body(count - 4)
            ]

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(directory))


def config_map(number: int) -> Any:
    data = {"n": str(number), "x": "x" * 300}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": data}


def entry_of(kv: KeyValue | None) -> Entry:
    """A pair as the watch cache has it."""
    assert kv is not None
    return Entry(kv.key, kv.value, kv.mod, kv.create)


async def test_the_latest_state_that_is_at_hand_is_not_read_again(runner: Any, tmp_path: Path) -> None:
    """Unless the file knows later changes."""
    async with kept(str(tmp_path)) as one:
        states = [config_map(number) for number in range(3)]
        first, _, last = [await one.write("a", state) for state in states]
        await one.move()
        one.forget()
        key = f"{PREFIX}a"
        latest = entry_of(await one.storage.get(key))

        async def none(*args: object) -> None:
            raise AssertionError("the store is read")

        stub = SimpleNamespace(get=none, compacted=one.storage.compacted, revision=last)
        one.reader._storage = stub
        found = await one.reader.get(key, first, latest, last)
        assert found is not None and found.mod == first and orjson.loads(found.value) == states[0]
        one.reader.forget()
        with pytest.raises(AssertionError, match="the store is read"):
            await one.reader.get(key, first, latest, last - 1)
        with pytest.raises(AssertionError, match="the store is read"):
            await one.reader.get(key, first)


async def test_a_state_that_was_asked_for_is_remembered(runner: Any, tmp_path: Path) -> None:
    """By revision and by time, from its change up to the next one."""
    now = [time.time()]
    async with kept(str(tmp_path), clock=lambda: now[0]) as one:
        states = [config_map(number) for number in range(4)]
        revisions, times = [], []
        for state in states:
            now[0] += 1
            revisions.append(await one.write("a", state))
            times.append(round(now[0] * 1000))
        await one.write("b", states[0])
        await one.move()
        await one.storage.compact(one.storage.revision)
        key = f"{PREFIX}a"
        latest = entry_of(await one.storage.get(key))
        one.forget()
        file, one.reader._db = one.reader._db, None  # type: ignore[assignment]
        with pytest.raises(AttributeError):
            await one.reader.get(key, revisions[1], latest, one.storage.revision)
        one.reader._db = file
        found = await one.reader.get(key, revisions[1], latest, one.storage.revision)
        assert found is not None and orjson.loads(found.value) == states[1]
        one.reader._db = None  # type: ignore[assignment]
        for revision, at_ms in ((revisions[1], 0), (0, times[1]), (0, times[2] - 1)):
            past = await one.reader.get(key, revision, latest, one.storage.revision, at_ms=at_ms)
            assert past == found
        for revision, at_ms in ((revisions[0], 0), (revisions[2], 0), (0, times[1] - 1), (0, times[2])):
            with pytest.raises(AttributeError):
                await one.reader.get(key, revision, latest, one.storage.revision, at_ms=at_ms)
        one.reader._db = file


@pytest.mark.parametrize("ciphers", [False, True])
async def test_what_was_kept_last_is_read_from_memory(runner: Any, tmp_path: Path, ciphers: bool) -> None:
    """By revision and by time, without the file; what was kept before the server started needs it."""
    now = [1_800_000_000.0]
    async with kept(str(tmp_path), clock=lambda: now[0]) as one:
        states = [config_map(number) for number in range(6)]
        revisions: list[int] = []
        times: list[int] = []
        for number, state in enumerate(states):
            if number == 3:
                await one.move()
                one.forget()
                one.file.recent.begin(one.file.recent.after, times[-1])
            now[0] += 1
            revisions.append(await one.write("a", state))
            times.append(round(now[0] * 1000))
        await one.write("b", states[0])
        await one.move()
        if ciphers:  # they decrypt what is in the file
            one.reader._ciphers = SimpleNamespace()
        key = f"{PREFIX}a"
        latest, newest = entry_of(await one.storage.get(key)), one.storage.revision
        file, one.reader._db = one.reader._db, None  # type: ignore[assignment]
        for number, (revision, at_ms) in enumerate(zip(revisions[2:5], times[2:5], strict=True), 2):
            for asked in ((revision, 0), (0, at_ms), (0, at_ms + 999)):
                one.reader.forget()
                past = await one.reader.get(key, asked[0], latest, newest, at_ms=asked[1])
                assert past is not None and orjson.loads(past.value) == states[number]
                assert past.mod == revision
        if not ciphers:
            for asked in ((revisions[1], 0), (0, times[1])):
                with pytest.raises(AttributeError):
                    await one.reader.get(key, asked[0], latest, newest, at_ms=asked[1])
        one.reader._db, one.reader._ciphers = file, None


class CountingThread(HistoryThread):
    """Counts the calls that the loop does not wait for."""

    calls = 0

    async def run(self, call: Any, *args: Any) -> Any:
        self.calls += 1
        return await super().run(call, *args)


async def test_a_large_object_is_set_back_beside_the_loop(runner: Any, tmp_path: Path) -> None:
    """A small one on the loop; and a change that is damaged is told as such."""
    async with kept(str(tmp_path)) as one:
        before, one.reader._thread = one.reader._thread, CountingThread("history-reader")
        before.close()
        for name, then, now in (("small", 300, 300), ("large", INLINE, INLINE), ("shrunk", INLINE, 3)):
            large = {**config_map(0), "binaryData": {"a": "x" * then}}
            first = await one.write(name, large)
            last = await one.write(name, {**large, "binaryData": {"a": "x" * now}, "data": {"n": "1"}})
            await one.move()
            latest = entry_of(await one.storage.get(f"{PREFIX}{name}"))
            one.reader._thread.calls = 0
            found = await one.reader.get(f"{PREFIX}{name}", first, latest, last)
            assert found is not None and orjson.loads(found.value) == large
            assert one.reader._thread.calls == (name != "small")
            one.forget()
            with contextlib.closing(sqlite3.connect(tmp_path / "history.db")) as other, other:
                other.execute("UPDATE changes SET value = x'07' WHERE value IS NOT NULL")
            with pytest.raises(HistoryError, match="can not be read"):
                await one.reader.get(f"{PREFIX}{name}", first, latest, last)


async def test_what_is_purged_is_not_remembered(runner: Any, tmp_path: Path) -> None:
    """Once the recorder has looked at the file again, which it does every few seconds."""
    async with kept(str(tmp_path)) as one:
        states = [{"kind": "ConfigMap", "data": {"n": str(number), "x": "x" * 300}} for number in range(3)]
        first, second, _ = [await one.write("a", state) for state in states]
        await one.move()
        await one.storage.compact(one.storage.revision)
        key = f"{PREFIX}a"
        found = await one.read(second)
        assert found[key][1] == states[1]
        other = HistoryFile(str(tmp_path))
        other.open()
        assert other.purge([key]) == 3
        other.close()
        assert one.file.recent.size
        await one.move()
        assert not one.file.recent.size
        past = await one.reader.get(key, first)
        assert past is None or orjson.loads(past.value) == states[2]


async def test_the_revision_of_each_time(runner: Any, tmp_path: Path) -> None:
    """It is that of the last change up to the time, also where others come between or at the same time."""
    now = [1_800_000_000.0]
    async with kept(str(tmp_path), clock=lambda: now[0]) as one:
        begun, before = round(now[0] * 1000), one.storage.revision
        made: list[tuple[int, int]] = []
        gaps = random.Random(1)
        for number in range(60):
            now[0] += gaps.choice((0.0, 0.001, 0.002, 0.007))
            made.append((round(now[0] * 1000), await one.write(f"n{number % 7}", {"n": number})))
        await one.move()
        for time_ms in range(begun, made[-1][0] + 3):
            expected = max([revision for at, revision in made if at <= time_ms], default=before)
            assert await one.reader.revision_at(time_ms) == expected
            if time_ms < made[-1][0]:
                file, one.reader._db = one.reader._db, None  # type: ignore[assignment]
                assert await one.reader.revision_at(time_ms) == expected  # as it was found
                one.reader._db = file
