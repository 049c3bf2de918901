import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from metric_samples import samples
from storage.contract import Recorder, StoreContract

from pilothouse.storage.interface import Unavailable
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.check import problems

P = "/registry/pods/"
KILLS = int(os.environ.get("PILOTHOUSE_KILLS", "16"))
"""How often a process that writes is killed in the slow test; `make test-kill` says more."""


class TestSqlite(StoreContract):
    def make(self, directory: Path) -> SqliteStorage:
        return SqliteStorage(directory)


class TestSqliteWithoutKeys(StoreContract):
    """A store that keeps no keys in memory."""

    def make(self, directory: Path) -> SqliteStorage:
        return SqliteStorage(directory, keys_in_memory=False)


async def opened(directory: Path, clock: Callable[[], float] = time.time) -> SqliteStorage:
    store = SqliteStorage(directory, clock)
    await store.start()
    return store


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        now = time.time()
        store = await opened(tmp_path, lambda: now)
        a = await store.create(P + "a", b"1")
        a = await store.update(P + "a", b"2", a.mod)
        b = await store.create(P + "b", b"1")
        await store.create(P + "due", b"1", ttl=60)
        await store.compact(a.mod)
        gone = await store.delete(P + "b", b.mod)
        await store.close()
        now += 61
        store = await opened(tmp_path, lambda: now)
        assert (store.revision, store.compacted) == (gone.mod, a.mod)
        assert await store.get(P + "a") == a
        recorder = Recorder()
        store.watch(P, a.mod, recorder.on_events, recorder.on_error)
        await recorder.wait(5)
        assert recorder.seen[-1] == (gone.mod + 1, P + "due", True)
        assert [kv.key for kv in (await store.range(P)).items] == [P + "a"]
        await store.close()

    asyncio.run(main())


def test_commits_are_timed_and_their_writes_counted(tmp_path: Path) -> None:
    async def main() -> None:
        store = await opened(tmp_path)
        await asyncio.gather(*(store.create(f"{P}{n}", b"1") for n in range(20)))
        await store.close()
        found = samples(store.metrics)
        assert found["pilothouse_storage_commit_writes_sum"] == "20"
        commits = found["pilothouse_storage_commit_writes_count"]
        assert 1 <= int(commits) < 20 and found["pilothouse_storage_commit_duration_seconds_count"] == commits
        assert float(found["pilothouse_storage_commit_duration_seconds_sum"]) > 0

    asyncio.run(main())


def test_second_process_is_told_who_has_the_directory(tmp_path: Path) -> None:
    async def main() -> None:
        store = await opened(tmp_path)
        with pytest.raises(
            Unavailable, match=rf"{tmp_path} is in use by another process \(pid {os.getpid()}\)"
        ):
            await SqliteStorage(tmp_path).start()
        await store.close()
        store = await opened(tmp_path)
        await store.close()

    asyncio.run(main())


def test_small_start_is_quick(tmp_path: Path) -> None:
    async def main() -> float:
        store = await opened(tmp_path)
        await asyncio.gather(*(store.create(f"{P}{i}", b"x" * 500) for i in range(100)))
        await store.close()
        began = time.perf_counter()
        store = await opened(tmp_path)
        took = time.perf_counter() - began
        await store.close()
        return took

    assert min(asyncio.run(main()) for _ in range(1)) < 0.5


def test_reader_of_an_open_store_sees_it_whole(tmp_path: Path) -> None:
    """Operators may look into the file with any SQLite tool while the server runs."""

    async def main() -> None:
        store = await opened(tmp_path)
        await store.create(P + "a", b"1")
        other = sqlite3.connect(tmp_path / "state.db")
        assert other.execute("SELECT key, value FROM history").fetchall() == [(P + "a", b"1")]
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        other.close()
        await store.close()

    asyncio.run(main())


def crash(directory: Path, number: int, durability: str) -> dict[str, tuple[int, str]]:
    """Run the crasher for a moment, kill it, and answer with what it acknowledged last for each key."""
    script = Path(__file__).with_name("crasher.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(directory), f"r{number}", durability],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        begin = [child.stdout.readline() for _ in range(random.randrange(60))]
        for _ in range(random.randrange(10)):
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
        lines = ("".join(begin) + child.stdout.read()).split("\n")[:-1]
    last: dict[str, tuple[int, str]] = {}
    for line in lines:
        mod, key, value = line.split(" ", 2)
        assert key not in last or last[key][0] < int(mod)
        last[key] = (int(mod), value)
    return last


async def check(directory: Path, acknowledged: dict[str, tuple[int, str]], newest: int) -> int:
    """Every acknowledged write is there, or a later one that was not acknowledged in time."""
    store = await opened(directory)
    assert store.revision >= max([newest, *(mod for mod, _ in acknowledged.values())])
    for key, (mod, value) in acknowledged.items():
        kv = await store.get(key)
        if kv is None or kv.mod == mod:
            found = "-" if kv is None else kv.value.decode().rpartition(" ")[0]
            at_the_time = await store.get(key, mod) if mod >= store.compacted else kv
            before = "-" if at_the_time is None else at_the_time.value.decode().rpartition(" ")[0]
            assert value in (found, before)
        else:
            assert kv.mod > mod
    count = (await store.range("/registry/")).count
    revision = store.revision
    await store.close()
    db = sqlite3.connect(directory / "state.db")
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    (live,) = db.execute(
        "SELECT count(*) FROM history WHERE created > 0 AND id IN (SELECT max(id) FROM history GROUP BY key)"
    ).fetchone()
    assert [said for said in problems(db) if " the value " not in said] == []
    db.close()
    assert live == count
    return revision


@pytest.mark.parametrize(
    "rounds", [8, pytest.param(KILLS, marks=[pytest.mark.slow, pytest.mark.timeout(600 + 10 * KILLS)])]
)
@pytest.mark.parametrize("durability", ["strict", "relaxed"])
def test_kill_loses_nothing_acknowledged(tmp_path: Path, rounds: int, durability: str) -> None:
    """Relaxed updates of leases are in the kernel's hands, which survives."""
    newest = 1
    known: dict[str, tuple[int, str]] = {}
    for number in range(rounds):
        known.update(crash(tmp_path, number, durability))
        newest = asyncio.run(check(tmp_path, known, newest))
    assert newest > rounds
