"""`pilothouse store`."""

import asyncio
import pathlib
import sqlite3

import pytest

from pilothouse import cli
from pilothouse.storage.sqlite.backend import SqliteStorage


def made(directory: pathlib.Path, keys: dict[str, bytes]) -> None:
    async def main() -> None:
        store = SqliteStorage(directory)
        await store.start()
        for key, value in keys.items():
            await store.create(key, value)
        await store.close()

    asyncio.run(main())


def test_stat(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(
        tmp_path,
        {
            "/registry/pods/a/b": b'{"a":1}',
            "/registry/pods/a/c": b"{}",
            "/registry/example.com/widgets/a/b": b"{}",
            "/registry/namespaces/a": b"{}",
        },
    )
    assert cli.main(["store", "stat", f"--data-dir={tmp_path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "revision 5, compacted to 1, 4 keys in 4 rows of history"
    assert [line.split() for line in lines[3:]] == [
        ["RESOURCE", "KEYS", "BYTES"],
        ["/registry/pods", "2", "9"],
        ["/registry/example.com/widgets", "1", "2"],
        ["/registry/namespaces", "1", "2"],
    ]


def test_check(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, {f"/registry/pods/a/{i}": b"{}" for i in range(30)})
    assert cli.main(["store", "check", f"--data-dir={tmp_path}"]) == 0
    assert capsys.readouterr().out == "sound: 30 rows, 30 keys\n"
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute("UPDATE history SET value = x'7b'")
    db.close()
    assert cli.main(["store", "check", f"--data-dir={tmp_path}"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"Error: {tmp_path}/state.db is damaged:" and len(lines) == 21
    assert "'/registry/pods/a/0' at revision 2: the value cannot be read" in lines[1]


def test_compact(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        store = SqliteStorage(tmp_path)
        await store.start()
        assert await asyncio.to_thread(cli.main, ["store", "compact", f"--data-dir={tmp_path}"]) == 1
        kept = [
            await store.create(f"/registry/pods/a/{i}", b'{"a":"%s"}' % (b"x" * 5000)) for i in range(200)
        ]
        for kv in kept:
            await store.delete(kv.key, kv.mod)
        await store.compact(store.revision)
        await store.close()

    asyncio.run(main())
    assert "is in use by another process" in capsys.readouterr().err
    assert cli.main(["store", "compact", f"--data-dir={tmp_path}"]) == 0
    before, after = (int(word) for word in capsys.readouterr().out.split() if word.isdigit())
    assert after < before / 2


def test_what_is_refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said, status in (
        (["stat"], f"{tmp_path}/state.db does not exist", 1),
        (["stat", "x"], "does not take any arguments", 2),
        (["dance"], 'unknown command "dance"', 2),
    ):
        assert cli.main(["store", *words, f"--data-dir={tmp_path}"]) == status
        assert said in capsys.readouterr().err
    (tmp_path / "there").touch()
    for words, said, status in (
        (["save"], "takes the name of one file", 2),
        (["dance"], 'unknown command "dance"', 2),
        (["verify", f"{tmp_path}/none"], f"Error: {tmp_path}/none: No such file or directory\n", 1),
        (["save", f"{tmp_path}/there"], f"Error: {tmp_path}/there: it is there already, and is not", 1),
        (["restore", __file__, "--bump-revision=-1"], "can not be a negative value", 2),
    ):
        assert cli.main(["snapshot", *words, f"--data-dir={tmp_path}"]) == status
        assert said in capsys.readouterr().err


def test_an_error_of_the_database_names_its_file(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state.db").write_bytes(b"garbage" * 100)
    text = f"{tmp_path}/state.db: file is not a database"
    assert cli.main(["store", "stat", f"--data-dir={tmp_path}"]) == 1
    assert capsys.readouterr().err == f"Error: {text}\n"
    assert cli.main(["doctor", "--store", f"--data-dir={tmp_path}"]) == 1
    assert f"{tmp_path}/state.db can not be opened: file is not a database" in capsys.readouterr().out
