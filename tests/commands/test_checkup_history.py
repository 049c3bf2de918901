"""The check of `pilothouse doctor` that looks at the history beside the store."""

import asyncio
import pathlib
import sqlite3
import time

from kept_history import kept

from pilothouse.commands.checkup_history import history
from pilothouse.commands.findings import Level
from pilothouse.configuration import options
from pilothouse.history.policy import BEHIND, SETTLED


def found(directory: pathlib.Path) -> list[tuple[Level, str]]:
    return [(one.level, one.text) for one in history(options.parse([f"--data-dir={directory}"]))]


def test_without_a_history_there_is_nothing_to_say(tmp_path: pathlib.Path) -> None:
    assert found(tmp_path) == []


def test_a_history_that_is_behind_a_server_that_runs(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with kept(str(tmp_path), clock=lambda: time.time() - BEHIND - SETTLED - 100) as one:
            [(level, text)] = found(tmp_path)
            assert level is Level.OK and f"{tmp_path}/history.db knows the states since 20" in text
            await one.write("a", {"kind": "ConfigMap"})
            [(level, text)] = found(tmp_path)
            assert level is Level.WARNING and text.startswith(f"the history is {BEHIND + 100:.0f} s behind")
            await one.move()
            assert found(tmp_path)[0][0] is Level.OK
            await one.write("b", {"kind": "ConfigMap"})
        assert found(tmp_path)[0][0] is Level.OK, "no server runs that could move it"

    asyncio.run(main())


def test_files_that_are_none_or_of_another_format(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "history.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 1")
    db.close()
    [(level, text)] = found(tmp_path)
    assert level is Level.ERROR and "has format 1, this version reads 3: move it away" in text
    path.write_bytes(b"x" * 5000)
    [(level, text)] = found(tmp_path)
    assert level is Level.ERROR and "file is not a database" in text
