import asyncio
import sqlite3
from pathlib import Path

import pytest

from pilothouse.storage.interface import Unavailable
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.file import read_events


def start(directory: Path) -> None:
    async def main() -> None:
        store = SqliteStorage(directory)
        await store.start()
        await store.close()

    asyncio.run(main())


def test_newer_format_is_refused(tmp_path: Path) -> None:
    start(tmp_path)
    db = sqlite3.connect(tmp_path / "state.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Unavailable, match="has format 99"):
        start(tmp_path)


def test_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"hello, world" * 1000)
    for _ in range(2):
        with pytest.raises(Unavailable, match="can not be opened: file is not a database"):
            start(tmp_path)


def test_directory_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="can not be used: Not a directory"):
        start(tmp_path / "file" / "data")


def test_files_are_private(tmp_path: Path) -> None:
    start(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "state.db").stat().st_mode & 0o777 == 0o600


def test_revisions_are_read_whole(tmp_path: Path) -> None:
    start(tmp_path)
    db = sqlite3.connect(tmp_path / "state.db")
    rows = [(rev << 12 | place, f"{rev}/{place}", rev, 0, b"x") for rev in range(2, 6) for place in range(3)]
    db.executemany("INSERT INTO history (id, key, created, expires, value) VALUES (?,?,?,?,?)", rows)
    for limit in range(1, 20):
        low, seen = 0, []
        while low < 6 << 12:
            events, low = read_events(db, low, 6 << 12, limit)
            assert len(events) % 3 == 0
            seen += [event.kv.key for event in events]
        assert seen == [row[1] for row in rows]
    db.close()
