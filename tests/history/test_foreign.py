"""The history of a store that others write as well: authors, gaps, and what a kill leaves."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from clocks import Clock
from followed_history import body, followed, store
from kept_history import PREFIX, author

from pilothouse.history.file import HistoryError
from pilothouse.history.spool import Spool
from pilothouse.storage.interface import Compacted, Op


async def test_own_writes_have_their_authors_and_others_say_so(runner: Any, tmp_path: Path) -> None:
    clock = Clock(1_800_000_000.0)
    async with store(tmp_path) as storage, followed(storage, tmp_path, clock) as one:
        own = await storage.create(f"{PREFIX}a", body(0))
        one.foreign.wrote(own.key, own.mod, author(clock(), "jane"))
        other = await storage.update(own.key, body(1), own.mod)
        gone = await storage.delete(own.key, other.mod)
        one.foreign.wrote(gone.key, gone.mod, author(clock(), "jim"))
        await one.caught_up()
        for _ in range(2):  # while the changes wait, and once they have been moved
            first, second, third = await one.changes()
            assert (first.revision, second.revision, third.revision) == (own.mod, other.mod, gone.mod)
            assert first.author and first.author.user == "jane" and first.creates
            assert second.author and not second.author.is_known and second.time_ms == clock() * 1000
            assert third.author and third.author.user == "jim" and third.deletes
            await one.move()
        assert await one.at("a", own.mod) == orjson.loads(body(0))
        assert await one.at("a", other.mod) == orjson.loads(body(1))
        assert await one.at("a", gone.mod) is None
        assert one.foreign._authors == {}


async def test_what_was_written_while_it_was_away_is_read_from_the_store(runner: Any, tmp_path: Path) -> None:
    clock = Clock(1_800_000_000.0)
    async with store(tmp_path) as storage:
        made = []
        async with followed(storage, tmp_path, clock) as one:
            made.append((await storage.create(f"{PREFIX}a", body(0))).mod)
            await one.caught_up()
            made.append((await storage.update(f"{PREFIX}a", body(1), made[-1])).mod)
            await one.move()
            made.append((await storage.update(f"{PREFIX}a", body(2), made[-1])).mod)
            await one.caught_up()  # a change that has not been moved
        for number in range(3, 6):
            made.append((await storage.update(f"{PREFIX}a", body(number), made[-1])).mod)
        async with followed(storage, tmp_path, clock) as one:
            await one.move()
            await storage.compact(storage.revision)
            assert [change.revision for change in await one.changes()] == made
            for number, revision in enumerate(made):
                assert await one.at("a", revision) == orjson.loads(body(number))
            assert one.recorder.gaps(0, 1 << 62) == []


async def test_what_the_store_has_forgotten_is_a_gap(runner: Any, tmp_path: Path) -> None:
    clock = Clock(1_800_000_000.0)
    async with store(tmp_path) as storage:
        async with followed(storage, tmp_path, clock) as one:
            first = await storage.create(f"{PREFIX}a", body(0))
            second = await storage.update(f"{PREFIX}a", body(1), first.mod)
            await one.caught_up()
        lost = await storage.update(f"{PREFIX}a", body(2), second.mod)
        kept = await storage.update(f"{PREFIX}a", body(3), lost.mod)
        await storage.compact(kept.mod)
        clock.now += 3600
        async with followed(storage, tmp_path, clock) as one:
            last = await storage.update(f"{PREFIX}a", body(4), kept.mod)
            await one.move()
            await one.move()
            changes = [change.revision for change in await one.changes()]
            assert changes == [first.mod, second.mod, last.mod]
            [text] = one.recorder.gaps(0, 1 << 62)
            assert f"between the resourceVersions {second.mod} and {kept.mod} are unknown" in text
            assert "to 2027-01-15T09:00:00.000Z" in text
            assert one.recorder.gaps(0, 1_700_000_000_000) == []
            with pytest.raises(Compacted):
                await one.at("a", first.mod)
            assert await one.at("a", kept.mod) == orjson.loads(body(3))
        async with followed(storage, tmp_path, clock) as one:  # it is known after the next start
            assert len(one.recorder.gaps(0, 1 << 62)) == 1


async def test_several_writes_of_one_revision(runner: Any, tmp_path: Path) -> None:
    async with store(tmp_path) as storage, followed(storage, tmp_path, Clock(1_800_000_000.0)) as one:
        names = [f"{PREFIX}{name}" for name in "abc"]
        made = await storage.txn([Op(name, body(0), None) for name in names])
        changed = await storage.txn([Op(name, body(1), None) for name in names])
        await one.move()
        changes = await one.changes()
        assert [(change.revision, change.key) for change in changes] == [
            (revision, name) for revision in (made, changed) for name in names
        ]
        assert await one.at("b", made) == orjson.loads(body(0))


async def test_what_was_moved_is_dropped(runner: Any, tmp_path: Path) -> None:
    async with store(tmp_path) as storage, followed(storage, tmp_path, Clock(1_800_000_000.0)) as one:
        mod = (await storage.create(f"{PREFIX}a", body(0))).mod
        for number in range(1, 30):
            mod = (await storage.update(f"{PREFIX}a", body(number), mod)).mod
        await one.move()
        left = await storage.update(f"{PREFIX}a", body(99), mod)
        await one.caught_up()
        await one.foreign._thread.run(one.foreign._spool.forget, one.recorder._file.recorded)
        rows = await one.foreign._thread.run(
            lambda: one.foreign._spool._db.execute("SELECT id >> 12 FROM history ORDER BY id").fetchall()
        )
        assert [row[0] for row in rows] == [mod, left.mod]
        await one.move()
        assert await one.at("a", mod) == orjson.loads(body(29))


async def test_the_history_of_another_store_is_refused(runner: Any, tmp_path: Path) -> None:
    clock = Clock(1_800_000_000.0)
    async with store(tmp_path) as storage, followed(storage, tmp_path, clock) as one:
        mod = (await storage.create(f"{PREFIX}a", body(0))).mod
        await storage.update(f"{PREFIX}a", body(1), mod)
        await one.move()
    async with store(tmp_path / "new") as storage:
        with pytest.raises(HistoryError, match="belongs to another store"):
            async with followed(storage, tmp_path, clock):
                pass


async def test_changes_of_a_status_by_others_are_kept_once_a_minute(runner: Any, tmp_path: Path) -> None:
    """The values tell that they are such: nobody says which request has made them."""
    clock = Clock(1_800_000_000.0)
    async with store(tmp_path) as storage, followed(storage, tmp_path, clock) as one:
        padding = "x" * 200
        states = [
            {"spec": 1, "status": {"n": 0}, "text": padding},
            {"spec": 1, "status": {"n": 1}, "text": padding},  # left out
            {"spec": 1, "status": {"n": 2}, "text": padding},
            {"spec": 2, "status": {"n": 2}, "text": padding},
            {"spec": 2, "status": {"n": 3}, "text": padding},
            {"spec": 3, "status": {"n": 4}, "text": padding},
        ]
        made, mod = [], 0
        for state in states:
            value = orjson.dumps(state)
            if mod:
                mod = (await storage.update(f"{PREFIX}a", value, mod)).mod
            else:
                mod = (await storage.create(f"{PREFIX}a", value)).mod
            made.append(mod)
        await one.move()
        assert [change.revision for change in await one.changes()] == [made[0], *made[2:]]
        for revision, state in zip(made, states, strict=True):
            if revision != made[1]:
                assert await one.at("a", revision) == state


async def test_what_the_policy_leaves_out_makes_no_gap(runner: Any, tmp_path: Path) -> None:
    """Only such keys are written for hours, and compacted."""
    clock = Clock(1_800_000_000.0)
    async with store(tmp_path) as storage:
        async with followed(storage, tmp_path, clock) as one:
            made = await storage.create(f"{PREFIX}a", body(0))
            await one.caught_up()
            one.foreign._without = ("/registry/leases/",)
            lease = await storage.create("/registry/leases/kube-system/a", b"{}")
            for _ in range(5):
                lease = await storage.update(lease.key, b"{}", lease.mod)
            await one.caught_up()
        await storage.compact(lease.mod)
        async with followed(storage, tmp_path, clock) as one:
            changed = await storage.update(f"{PREFIX}a", body(1), made.mod)
            await one.move()
            assert [change.revision for change in await one.changes()] == [made.mod, changed.mod]
            assert one.recorder.gaps(0, 1 << 62) == []
            assert await one.at("a", made.mod) == orjson.loads(body(0))


async def test_what_cannot_be_moved_for_too_long_is_dropped(runner: Any, tmp_path: Path) -> None:
    """The file of what waits would grow without end."""
    async with store(tmp_path) as storage, followed(storage, tmp_path, Clock(1_800_000_000.0)) as one:
        first = await storage.create(f"{PREFIX}a", body(0))
        await one.move()
        mod = first.mod
        for number in range(1, 5):
            mod = (await storage.update(f"{PREFIX}a", body(number), mod)).mod
        await one.caught_up()
        one.foreign._given_up, one.foreign._forgotten = (lambda: True), 0.0
        lost = await storage.create(f"{PREFIX}b", body(0))
        await one.caught_up()
        async with asyncio.timeout(10):
            while await one.foreign._thread.run(rows_of, one.foreign._spool):
                await asyncio.sleep(0.005)
        one.foreign._given_up = lambda: False
        last = await storage.update(f"{PREFIX}a", body(9), mod)
        await one.move()
        await one.move()
        assert [change.revision for change in await one.changes()] == [first.mod, last.mod]
        [text] = one.recorder.gaps(0, 1 << 62)
        assert f"between the resourceVersions {first.mod} and {lost.mod} are unknown" in text
        assert await one.at("a", lost.mod) == orjson.loads(body(4))


def rows_of(spool: Spool) -> int:
    found: int = spool._db.execute("SELECT count(*) FROM history").fetchone()[0]
    return found
