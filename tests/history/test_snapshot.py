"""Copies of the history beside snapshots of the store."""

import asyncio
from pathlib import Path

import orjson
import pytest
from kept_history import PREFIX, kept

from pilothouse.history import snapshot as history
from pilothouse.history.file import FILE, HistoryError
from pilothouse.storage.sqlite import snapshot
from pilothouse.storage.sqlite.changes import last_of

BUMP = 1000


def body(number: int) -> bytes:
    return orjson.dumps({"kind": "ConfigMap", "data": {"a": str(number)}})


def test_what_was_is_known_after_a_restore(tmp_path: Path) -> None:
    source, copy, target = tmp_path / "source", tmp_path / "copy.db", tmp_path / "target"

    async def main() -> None:
        async with kept(str(source)) as one:
            kv = await one.storage.create(f"{PREFIX}x", body(0))
            moved = [kv := await one.storage.update(kv.key, body(number), kv.mod) for number in (1, 2)]
            await one.move()
            await one.storage.compact(one.storage.revision)
            waiting = [kv := await one.storage.update(kv.key, body(number), kv.mod) for number in (3, 4)]
            saved = snapshot.save(source, copy)
            await one.storage.update(kv.key, body(5), kv.mod)
            await one.move()  # the history's copy knows a change that the store's does not
            told = history.save(source, history.beside(copy))
        restored = snapshot.restore(copy, target, BUMP)
        back = history.restore(history.beside(copy), target, last_of(saved.revision))
        assert told.changes == 6 and back.changes == 5
        assert restored.revision == saved.revision + BUMP
        async with kept(str(target)) as one:
            await one.move()
            for number, old in enumerate([*moved, *waiting], 1):
                found = await one.reader.get(old.key, old.mod)
                assert found is not None and (found.value, found.mod) == (body(number), old.mod)
            now = await one.storage.get(f"{PREFIX}x")
            assert now is not None and now.value == body(4)
            kv = await one.storage.update(now.key, body(6), now.mod)
            await one.move()
            found = await one.reader.get(now.key, kv.mod - 1)
            assert found is not None and found.value == body(4)

    asyncio.run(main())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(str(tmp_path)):
            pass

    asyncio.run(main())
    copy = tmp_path / "copy"
    history.save(tmp_path, copy)
    with pytest.raises(FileExistsError):
        history.save(tmp_path, copy)
    with pytest.raises(FileExistsError):
        history.restore(copy, tmp_path, 1 << 60)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".part")) == []


def test_what_is_no_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="does not exist"):
        history.save(tmp_path, tmp_path / "copy")
    bad = tmp_path / "bad"
    bad.write_bytes(b"no database" * 1000)
    with pytest.raises(HistoryError):
        history.restore(bad, tmp_path, 1 << 60)
    assert not (tmp_path / FILE).exists()
