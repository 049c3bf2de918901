"""The file of kept changes: budgets of time and bytes, what a purge leaves, and what a damaged file does."""

import asyncio
import os
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from kept_history import PREFIX, author, kept

from pilothouse.history._author import parts
from pilothouse.history.file import (
    STEP,
    ChangeKind,
    HistoryError,
    HistoryFile,
    HistoryGap,
    RecordedChange,
    audit_id_of,
    connect,
)
from pilothouse.history.policy import HistoryPolicy
from pilothouse.storage.interface import Compacted

UUID = "6e2a7a3c-5b1f-4a77-9d3e-0f4b5a6c7d8e"


def change(
    number: int, value: bytes = b"{}", key: str = "a", at: int = 0, user: str = "jane"
) -> RecordedChange:
    _, _, who = parts(author(0, user))
    return RecordedChange(number, f"{PREFIX}{key}", ChangeKind.CHANGED, at or number, who, "", value)


def in_memory(file: HistoryFile, key: str) -> int:
    """How many changes of a key are in memory, of those that are not in the file alone."""
    since = file.recent.of(f"{PREFIX}{key}", file.recent.after, 1 << 60)
    assert since is not None
    return len(since.values or ())


@pytest.fixture
def file(tmp_path: Path) -> Any:
    file = HistoryFile(tmp_path)
    file.open()
    yield file
    file.close()


def rows(file: HistoryFile, query: str = "SELECT id FROM changes ORDER BY id") -> list[Any]:
    return [row[0] for row in file._db.execute(query)]


def test_it_belongs_to_its_user_alone(file: HistoryFile) -> None:
    file.record([change(1)], 1)
    for name in os.listdir(file.path.parent):
        assert (file.path.parent / name).stat().st_mode & 0o077 == 0, name


def test_what_it_keeps_is_there_after_the_next_start(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path)
    file.open()
    file.begin_at(3, 30)
    file.record([change(4), change(5)], 7)
    file.close()
    again = HistoryFile(tmp_path)
    again.open()
    assert (again.recorded, again.trimmed, again.since_ms) == (7, 3, 30)
    assert rows(again) == [4, 5]
    assert again.has(5) and not again.has(6) and again.last() == 5
    again.close()


def test_a_change_is_kept_once(file: HistoryFile) -> None:
    file.record([change(1, b'{"first":1}')], 1)
    file.record([change(1, b'{"again":1}'), change(2)], 2)
    assert rows(file) == [1, 2]
    assert rows(file, "SELECT value FROM changes WHERE id = 1") == [b'\0{"first":1}']
    assert file.recent.after == 2 and file.recent.size == 0  # which could be the first or the second one


def test_changes_of_a_step_are_kept_all_or_none(file: HistoryFile) -> None:
    file._db.execute(
        "CREATE TRIGGER fault BEFORE INSERT ON changes WHEN NEW.id = 3 BEGIN SELECT RAISE(FAIL, 'no'); END"
    )
    file.record([change(1, key="b")], 1)
    with pytest.raises(HistoryError, match="can not be written: no"):
        file.record([change(2, key="c", user="jim"), change(3)], 3)
    assert rows(file) == [1] and file.recorded == 1
    assert in_memory(file, "b") == 1 and in_memory(file, "c") == 0
    assert rows(file, "SELECT key FROM objects") == [f"{PREFIX}b"]
    file._db.execute("DROP TRIGGER fault")
    file.record([change(2, key="c", user="jim"), change(3)], 3)  # ids of what was rolled back are not used
    assert in_memory(file, "b") == in_memory(file, "c") == in_memory(file, "a") == 1
    assert rows(file, "SELECT o.key FROM changes c JOIN objects o ON o.id = c.object ORDER BY c.id") == [
        f"{PREFIX}{key}" for key in "bca"
    ]
    assert len(rows(file, "SELECT a.id FROM changes c JOIN authors a ON a.id = c.author")) == 3


@pytest.mark.parametrize("audit_id", ["", UUID, UUID.upper(), "a", UUID.replace("-", "x")])
def test_an_audit_id_is_kept_as_it_was(file: HistoryFile, audit_id: str) -> None:
    file.record([change(1)._replace(audit_id=audit_id)], 1)
    [found] = rows(file, "SELECT audit FROM changes")
    assert audit_id_of(found) == audit_id
    assert isinstance(found, bytes) is (audit_id == UUID)


def test_changes_from_before_a_time_go(file: HistoryFile) -> None:
    file.record([change(number, key=f"k{number}", at=number * 100) for number in range(1, 11)], 10)
    assert file.trim(500, 1 << 40)
    assert rows(file) == [5, 6, 7, 8, 9, 10]
    assert rows(file, "SELECT key FROM objects ORDER BY key") == sorted(f"{PREFIX}k{n}" for n in range(5, 11))
    assert (file.trimmed, file.since_ms) == (4, 400)
    assert not file.trim(500, 1 << 40)


def test_a_clock_that_was_set_back_keeps_nothing(file: HistoryFile) -> None:
    """One change with a time of the future stands before others."""
    file.record([change(1, at=10**9), change(2, at=10), change(3, at=2000)], 3)
    assert file.trim(100, 1 << 40)
    assert rows(file) == [3] and file.since_ms == 10**9


def test_many_changes_go_in_steps(file: HistoryFile) -> None:
    file.record([change(number, at=1) for number in range(1, 2 * STEP + 6)], 1)
    taken = 0
    while file.trim(100, 1 << 40):
        taken += 1
        assert len(rows(file)) in (STEP + 5, 5, 0)
    assert taken == 3 and rows(file) == []


async def test_the_budget_of_bytes_holds(runner: Any, tmp_path: Path) -> None:
    clock = Clock(1_800_000_000.0)
    most, noise = 1 << 20, os.urandom(400).hex()
    policy = HistoryPolicy(max_bytes=most)
    async with kept(str(tmp_path), policy, clock) as one:
        number, largest = 0, 0
        for _ in range(20):
            for _ in range(10):  # of 50 at once
                texts = {at: noise[at % 300 :] + str(at) for at in range(number, number + 50)}
                writes = (
                    one.write(f"n{at % 50}", {"kind": "ConfigMap", "data": text})
                    for at, text in texts.items()
                )
                await asyncio.gather(*writes)
                number += 50
                clock.now += 50
            await one.move()
            await one.storage.compact(one.storage.revision)
            largest = max(largest, one.file.size(), one.file.path.stat().st_size)
        assert number == 10_000
        assert most // 2 < one.file.size() <= most
        assert largest <= most + (STEP + 500) * 1000
        changes = await one.changes()
        assert 500 < len(changes) < 9_000 and changes[-1].revision == one.storage.revision
        with pytest.raises(Compacted):
            await one.at("n1", one.recorder.reach - 1)
        assert len(await one.read(one.recorder.reach + 1)) == 50
        since = one.recorder.since_ms
        assert changes[0].time_ms >= since > 1_800_000_000_000
        assert one.recorder.metrics.size.values[()] == one.file.size()


def test_after_a_gap_older_changes_lead_to_no_state(tmp_path: Path) -> None:
    """Also when some of them have been dropped; the gap is known until all have."""
    file = HistoryFile(tmp_path)
    file.open()
    file.record([change(number, at=number * 100) for number in range(1, 11)], 10)
    file.skip(50, 2000)
    assert (file.trimmed, file.recorded, file.since_ms) == (50, 50, 2000)
    assert file.gaps == [HistoryGap(10, 50, 1000, 2000)]
    file.record([change(60, at=3000)], 60)
    assert file.trim(500, 1 << 40)
    assert rows(file) == [5, 6, 7, 8, 9, 10, 60] and file.trimmed == 50
    file.close()
    again = HistoryFile(tmp_path)
    again.open()
    assert again.gaps == [HistoryGap(10, 50, 1000, 2000)] and again.trimmed == 50
    assert again.trim(2500, 1 << 40)
    assert rows(again) == [60] and again.gaps == []
    assert rows(again, "SELECT count(*) FROM gaps") == [0]
    again.close()


def test_no_more_goes_than_has_to(file: HistoryFile) -> None:
    """A few large values beyond the budget do not take all others with them."""
    for number in range(1, 31):
        file.record([change(number, os.urandom(100_000))], number)
    while file.trim(0, 2_000_000):
        pass
    assert 1_700_000 < file.size() <= 2_000_000 and rows(file)[-1] == 30


def test_authors_count_in_the_budget_and_go_with_their_changes(file: HistoryFile) -> None:
    most = 2 << 20
    for step in range(60):
        numbers = range(step * 100, step * 100 + 100)
        file.record([change(number, user=f"{number:04}" * 60) for number in numbers], numbers[-1])
    assert file.size() > most + most // 2
    while file.trim(0, most):
        pass
    assert file.size() <= most
    assert len(rows(file)) == len(rows(file, "SELECT id FROM authors")) > 500
    file.record([change(6000, user="0001" * 60)], 6000)  # one that went with its changes
    assert rows(file, "SELECT a.author FROM changes c JOIN authors a ON a.id = c.author WHERE c.id = 6000")


async def test_the_budget_of_time_holds(runner: Any, tmp_path: Path) -> None:
    clock = Clock(1_800_000_000.0)
    async with kept(str(tmp_path), HistoryPolicy(keep_for=3600), clock) as one:
        revisions = []
        for number in range(10):
            revisions.append(await one.write("a", {"kind": "ConfigMap", "data": str(number)}))
            clock.now += 600
        await one.move()
        assert await one.moved() == revisions[4:]
        assert one.recorder.reach == revisions[3]


def purge(file: HistoryFile, key: str) -> int:
    return file.purge([f"{PREFIX}{key}"])


def test_a_purge_leaves_no_byte(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path)
    file.open()
    secret, others = b"hunter2-%d", 0
    for number in range(1, 400):
        key = "purged" if number % 3 == 0 else f"other-{number % 7}"
        others += key != "purged"
        value = b'{"password":"%s"}' % (secret % number if key == "purged" else b"x" * (number % 90))
        file.record([change(number, value, key)], number)
    held = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert b"hunter2" in held and b"purged" in held
    assert purge(file, "purged") == 133
    held = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert b"hunter2" not in held and b"purged" not in held
    assert len(rows(file)) == others
    assert purge(file, "purged") == 0
    file.record([change(1000, b'{"new":1}', "purged")], 1000)
    assert rows(file, "SELECT key FROM objects ORDER BY id DESC LIMIT 1") == [f"{PREFIX}purged"]
    file.close()


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "history.db")
    db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(HistoryError, match="has format 7, this version reads 3"):
        HistoryFile(tmp_path).open()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"x" * 5000)
    with pytest.raises(HistoryError, match=r"history\.db can not be opened: file is not a database"):
        HistoryFile(tmp_path).open()


# A purge by another process than the server


def gone(id: int, key: str) -> RecordedChange:
    return RecordedChange(id, key, ChangeKind.DELETED, id, b"[]", "", b"{}")


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[HistoryFile, HistoryFile]]:
    both = HistoryFile(tmp_path), HistoryFile(tmp_path)
    for one in both:
        one.open()
    yield both
    for one in both:
        one.close()


def keys_of(file: HistoryFile) -> list[tuple[int, str]]:
    db = connect(file.path, read_only=True)
    try:
        query = "SELECT c.id, o.key FROM changes c JOIN objects o ON o.id = c.object ORDER BY c.id"
        return list(db.execute(query))
    finally:
        db.close()


def test_what_is_recorded_after_a_purge_belongs_to_its_object(
    files: tuple[HistoryFile, HistoryFile],
) -> None:
    """The purge has dropped the id that the server remembers, and another object may get it."""
    server, command = files
    server.record([gone(1, "/a"), gone(2, "/b")], 2)
    assert command.purge(["/b", "/never"]) == 1
    server.record([gone(3, "/c"), gone(4, "/b")], 4)
    assert keys_of(server) == [(1, "/a"), (3, "/c"), (4, "/b")]


def test_a_purge_leaves_nothing_of_the_values(files: tuple[HistoryFile, HistoryFile]) -> None:
    server, command = files
    server.record([gone(1, "/a")._replace(value=random.Random(1).randbytes(5000)), gone(2, "/b")], 2)
    db = connect(server.path, read_only=True)
    (stored,) = db.execute("SELECT value FROM changes WHERE id = 1").fetchone()
    db.close()

    def in_clear() -> bool:
        return any(stored[100:140] in one.read_bytes() for one in server.path.parent.iterdir())

    assert in_clear()
    assert command.purge(["/a"]) == 1
    assert not in_clear()
    assert keys_of(server) == [(2, "/b")]
