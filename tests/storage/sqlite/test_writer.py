import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from eventually import aeventually
from logged import pairs

from pilothouse.storage.interface import Compacted, KeyValue, StorageEvent, Unavailable
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.writer import CHECKPOINT_BYTES

P = "/registry/pods/"


def run(directory: Path, body: Callable[[SqliteStorage], Awaitable[None]]) -> None:
    async def main() -> None:
        store = SqliteStorage(directory)
        await store.start()
        await body(store)
        await store.close()

    asyncio.run(main())


def test_writes_share_commits(tmp_path: Path) -> None:
    async def body(store: SqliteStorage) -> None:
        batches: list[int] = []
        store.watch(P, 2, lambda events: batches.append(len(events)), lambda error: None)
        await asyncio.gather(*(store.create(f"{P}{i}", b"x") for i in range(1000)))
        assert sum(batches) == 1000
        assert len(batches) < 100
        await asyncio.gather(*(store.create(f"{P}{i}x", b"x") for i in range(300)))

    run(tmp_path, body)


def test_full_disk_fails_writes_only(tmp_path: Path) -> None:
    async def body(store: SqliteStorage) -> None:
        kv = await store.create(P + "a", b"1")
        db = store._writer._db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 4}")
        tries = [store.create(f"{P}{i}", b"x" * 9000) for i in range(100)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        failed = [r for r in results if isinstance(r, Unavailable)]
        assert "full" in str(failed[0])
        assert await store.get(P + "a") == kv
        written = [r for r in results if isinstance(r, KeyValue)]
        assert len(written) + len(failed) == 100
        assert (await store.range(P)).count == 1 + len(written)
        assert store.revision == kv.mod + len(written)
        db.execute("PRAGMA max_page_count = 1000000")
        again = await store.create(P + "b", b"1")
        assert again.mod == store.revision == kv.mod + len(written) + 1

    run(tmp_path, body)


def test_file_shrinks_after_compaction(tmp_path: Path) -> None:
    async def body(store: SqliteStorage) -> None:
        kv = await store.create(P + "a", b"x" * 5000)
        for _ in range(10):
            writes = [store.create(f"{P}{i}", b"x" * 5000) for i in range(100)]
            made = await asyncio.gather(*writes)
            await asyncio.gather(*(store.delete(m.key, m.mod) for m in made))
        await store.compact(store.revision)
        assert await store.get(P + "a") == kv
        db = store._writer._db
        assert db.execute("SELECT count(*) FROM history").fetchone() == (
            3,
        )  # also the last delete and what it took
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        assert pages < 300

    run(tmp_path, body)
    assert (tmp_path / "state.db").stat().st_size < 300 * 4096


class BadDisk:
    """A database of which the log cannot be moved into the file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if "wal_checkpoint" in statement:
            raise sqlite3.OperationalError("disk I/O error")
        return self._db.execute(statement, *values)


def test_a_checkpoint_that_fails_is_one_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again at the next commit, and what is written is kept."""
    enough = bytes(CHECKPOINT_BYTES)

    async def body(store: SqliteStorage) -> None:
        bad: Any = BadDisk(store._writer._db)
        store._writer._db = bad
        await store.create(P + "a", enough)
        await store.create(P + "b", enough)

    run(tmp_path, body)
    told = [(record.levelname, record.exc_info, record.getMessage()) for record in caplog.records]
    assert told == [
        ("WARNING", None, "A checkpoint failed, it is tried again"),
        ("WARNING", None, "A checkpoint failed, it is tried again"),
        ("WARNING", None, "The last checkpoint failed, the log is read at the next start"),
    ]
    assert {str(pairs(record)["err"]) for record in caplog.records} == {"disk I/O error"}

    async def read(store: SqliteStorage) -> None:
        assert [kv.key for kv in (await store.range(P)).items] == [P + "a", P + "b"]

    run(tmp_path, read)


def test_log_stays_small(tmp_path: Path) -> None:
    async def body(store: SqliteStorage) -> None:
        for _ in range(20):
            await asyncio.gather(*(store.txn([]) for _ in range(3)))
            writes = [store.create(f"{P}{i}", b"x" * 20_000) for i in range(100)]
            made = await asyncio.gather(*writes)
            await asyncio.gather(*(store.delete(m.key, m.mod) for m in made))
        assert (tmp_path / "state.db-wal").stat().st_size < 24 * 1024 * 1024

    run(tmp_path, body)


def test_compaction_advances_under_load(tmp_path: Path) -> None:
    async def body(store: SqliteStorage) -> None:
        kv = await store.create(P + "a", b"0")
        for i in range(1500):
            kv = await store.update(P + "a", b"x", kv.mod) if i % 100 == 0 else kv
        stop = False

        async def load() -> None:
            current = kv
            while not stop:
                current = await store.update(P + "a", b"x", current.mod)

        loading = asyncio.create_task(load())
        begun = store.revision
        await aeventually(lambda: store.revision > begun + 20, "writes are under way")
        target = store.revision
        await asyncio.wait_for(store.compact(target), 10)
        stop = True
        await loading
        with pytest.raises(Compacted):
            await store.get(P + "a", target - 1)
        (old,) = store._writer._db.execute(
            "SELECT count(*) FROM history WHERE id >> 12 < ?", (target,)
        ).fetchone()
        assert old <= 1

    run(tmp_path, body)


def test_watch_that_begins_during_a_commit_gets_what_was_before(tmp_path: Path) -> None:
    async def body(store: SqliteStorage) -> None:
        kv = await store.create(P + "a", b"1")
        for _ in range(30):
            seen: list[StorageEvent] = []
            write = asyncio.ensure_future(store.update(P + "a", b"2", kv.mod))
            await asyncio.sleep(0)
            watch = store.watch(P, store.revision + 1, seen.extend, lambda error: None)
            after = await write
            assert seen == [StorageEvent(False, after, kv)]
            watch.close()
            kv = after

    run(tmp_path, body)


def test_broken_disk_is_told(tmp_path: Path) -> None:
    async def body(store: SqliteStorage) -> None:
        store._reader.close()
        with pytest.raises(Unavailable, match="can not be read"):
            await store.get(P + "a")
        store._reader = sqlite3.connect(":memory:", check_same_thread=False)

    run(tmp_path, body)
