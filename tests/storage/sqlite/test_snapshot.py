"""Snapshots of the embedded store, and what is found when one is damaged."""

import asyncio
import contextlib
import hashlib
import random
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from storage import damage

from pilothouse.storage import compaction
from pilothouse.storage.interface import Compacted, Op, Unavailable
from pilothouse.storage.keyspaces import rows
from pilothouse.storage.sqlite import check, snapshot
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.file import DataDirectory
from pilothouse.storage.sqlite.snapshot import HASH, SnapshotError

P = "/registry/configmaps/default/"


def value(text: str = "x") -> bytes:
    return orjson.dumps({"kind": "ConfigMap", "data": {"a": text * 100}})


async def fill(store: SqliteStorage, count: int = 40) -> None:
    """Creates, updates, deletes, transactions and a compaction in the middle."""
    kept = [await store.create(f"{P}{i:03}", value()) for i in range(count)]
    kept = [await store.update(kv.key, value("y"), kv.mod) for kv in kept]
    for kv in kept[:5]:
        await store.delete(kv.key, kv.mod)
    await store.txn([Op(compaction.KEY, b"1")])  # as the loop that compacts does
    await store.compact(store.revision - 10)
    again = await store.create(f"{P}000", value("z"))
    await store.update(again.key, value("w"), again.mod)
    await store.delete(kept[7].key, kept[7].mod)


def made(directory: Path) -> None:
    async def main() -> None:
        store = SqliteStorage(directory)
        await store.start()
        await fill(store)
        await store.close()

    asyncio.run(main())


def contents(directory: Path) -> dict[str, bytes]:
    async def main() -> dict[str, bytes]:
        store = SqliteStorage(directory)
        await store.start()
        try:
            return {kv.key: kv.value for kv in (await store.range("/registry/")).items}
        finally:
            await store.close()

    return asyncio.run(main())


def test_a_snapshot_is_restored(tmp_path: Path) -> None:
    made(tmp_path / "a")
    told: list[tuple[int, int]] = []
    saved = snapshot.save(tmp_path / "a", tmp_path / "file")
    assert snapshot.verify(tmp_path / "file", lambda *at: told.append(at)) == saved
    assert (
        told[-1] == (saved.rows, saved.rows)
        and saved.hash
        and saved.size == (tmp_path / "file").stat().st_size
    )
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    restored = snapshot.restore(tmp_path / "file", tmp_path / "b", 1000)
    assert restored.revision == restored.compacted == saved.revision + 1000 and restored.keys == saved.keys
    assert contents(tmp_path / "b") == contents(tmp_path / "a") != {}
    assert not list(tmp_path.glob(".*")) and not list((tmp_path / "b").glob(".*"))


def test_clients_of_the_old_store_list_anew(tmp_path: Path) -> None:
    """A revision that only the old store has known is gone;
    what is written after the restore is later than all of them."""

    async def main() -> None:
        old = SqliteStorage(tmp_path / "a")
        await old.start()
        await fill(old)
        saved = await asyncio.to_thread(snapshot.save, tmp_path / "a", tmp_path / "file")
        for i in range(50):
            await old.create(f"{P}late{i}", value())
        last = old.revision
        await old.close()
        snapshot.restore(tmp_path / "file", tmp_path / "b")
        new = SqliteStorage(tmp_path / "b")
        await new.start()
        try:
            assert new.revision == saved.revision + snapshot.BUMP > last
            with pytest.raises(Compacted):
                new.watch("/registry/", last, lambda _: None, lambda _: None)
            await new.compact(new.revision)
            assert (await new.create(f"{P}new", value())).mod == saved.revision + snapshot.BUMP + 1
        finally:
            await new.close()
        again = SqliteStorage(tmp_path / "b")
        await again.start()
        assert again.revision == saved.revision + snapshot.BUMP + 1
        await again.close()
        with DataDirectory(tmp_path / "b").connect() as db:
            assert list(check.problems(db)) == []

    asyncio.run(main())


def test_what_was_acknowledged_before_a_snapshot_is_in_it(tmp_path: Path) -> None:
    """Snapshots are made while a store writes as fast as it can."""

    async def main() -> list[tuple[int, Path]]:
        store = SqliteStorage(tmp_path / "a")
        await store.start()
        done: list[tuple[int, Path]] = []
        over = threading.Event()

        async def write(name: str) -> None:
            i = 0
            while not over.is_set():
                await store.create(f"{P}{name}-{i}", orjson.dumps({"i": i}))
                i += 1

        writers = [asyncio.create_task(write(str(i))) for i in range(8)]
        for i in range(4):
            acknowledged = store.revision
            while store.revision < acknowledged + 200:
                await asyncio.sleep(0)
            acknowledged = store.revision
            await asyncio.to_thread(snapshot.save, tmp_path / "a", tmp_path / f"file{i}")
            done.append((acknowledged, tmp_path / f"file{i}"))
        over.set()
        await asyncio.gather(*writers)
        await store.close()
        return done

    for acknowledged, path in asyncio.run(main()):
        found = snapshot.verify(path)
        assert found.revision >= acknowledged and found.keys == found.revision - 1


def test_what_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "a")
    snapshot.save(tmp_path / "a", tmp_path / "file")
    with pytest.raises(FileExistsError):
        snapshot.save(tmp_path / "a", tmp_path / "file")
    with pytest.raises(Unavailable, match="does not exist"):
        snapshot.save(tmp_path / "none", tmp_path / "other")
    with pytest.raises(Unavailable, match="exists: a snapshot is restored into a directory without a store"):
        snapshot.restore(tmp_path / "file", tmp_path / "a")
    data = DataDirectory(tmp_path / "b")
    data.lock()
    with pytest.raises(Unavailable, match="in use by another process"):
        snapshot.restore(tmp_path / "file", tmp_path / "b")
    data.unlock()
    assert not (tmp_path / "other").exists() and not (tmp_path / "b" / "state.db").exists()


@pytest.mark.parametrize("kind", damage.KINDS)
def test_a_file_that_was_changed(tmp_path: Path, kind: Callable[[bytes], bytes]) -> None:
    made(tmp_path / "a")
    path = tmp_path / "file"
    snapshot.save(tmp_path / "a", path)
    whole = path.read_bytes()
    path.write_bytes(kind(whole))
    assert path.read_bytes() != whole
    with pytest.raises(SnapshotError, match=r"SHA-256|too short"):
        snapshot.verify(path)
    with pytest.raises(SnapshotError):
        snapshot.restore(path, tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("PRAGMA user_version = 7", "has format 7"),
        ("DROP TABLE meta", "the table meta is missing"),
        ("DELETE FROM meta WHERE name = 'cleaned'", "does not say up to where"),
        ("ALTER TABLE history DROP COLUMN expires", "the table history is not defined as in a store"),
        (
            (
                "DELETE FROM history WHERE id = (SELECT prev FROM history WHERE id = (SELECT max(id) FROM"
                " history))"
            ),
            "follows",
        ),
        (
            "DELETE FROM history WHERE id IN (SELECT id FROM history ORDER BY id DESC LIMIT 1 OFFSET 2)",
            "are missing",
        ),
        (
            "UPDATE history SET value = x'7b7d7d' WHERE id = (SELECT max(id) FROM history WHERE created > 0)",
            "cannot be read",
        ),
        (
            "UPDATE history SET value = x'' WHERE id = (SELECT max(id) FROM history WHERE created > 0)",
            "is no object",
        ),
        (
            "UPDATE history SET value = NULL WHERE id = (SELECT max(id) FROM history WHERE created > 0)",
            "no value",
        ),
        ("UPDATE history SET value = x'7b7d' WHERE created = 0", "a deletion with a value"),
        (
            (
                "UPDATE history SET created = created + 1 WHERE id = (SELECT max(id) FROM history WHERE"
                " created > 0)"
            ),
            "created",
        ),
        ("UPDATE history SET key = 'x' WHERE id = (SELECT max(id) FROM history)", "is not one of the store"),
        (
            "UPDATE history SET prev = id - 1 WHERE prev IS NOT NULL AND id = (SELECT max(id) FROM history)",
            "follows",
        ),
        ("CREATE TRIGGER t AFTER INSERT ON history BEGIN DELETE FROM history; END", 'trigger "t" is not one'),
        ("CREATE TABLE more (a, b AS (zeroblob(1000000000)))", 'table "more" is not one'),
        ("CREATE INDEX more ON history (id) WHERE zeroblob(1000000000) > id", 'index "more" is not one'),
        ("UPDATE history SET key = x'2f61' WHERE id = (SELECT max(id) FROM history)", "another type"),
        ("UPDATE history SET created = 'x'", "another type"),
        ("UPDATE history SET prev = 'x', expires = x'00'", "another type"),
        ("UPDATE meta SET number = 'x'", "does not say up to where"),
        ("UPDATE history SET id = -1 WHERE id = (SELECT max(id) FROM history)", "no such revision"),
    ],
)
def test_a_database_that_was_changed(tmp_path: Path, damage: str, said: str) -> None:
    """The hash is right again, so what is found are the rows."""
    made(tmp_path / "a")
    path = tmp_path / "file"
    snapshot.save(tmp_path / "a", path)
    rewritten(path, damage)
    with pytest.raises(SnapshotError) as caught:
        snapshot.verify(path)
    assert said in str(caught.value)


def rewritten(path: Path, script: str) -> None:
    """Change the database in a snapshot, and make the hash right again."""
    path.write_bytes(path.read_bytes()[:-HASH])
    with sqlite3.connect(path) as db:
        db.executescript(script)
    db.close()
    signed(path)


def test_a_store_with_triggers_is_neither_opened_nor_saved(tmp_path: Path) -> None:
    """It would accept writes and lose them."""
    made(tmp_path / "a")
    with contextlib.closing(sqlite3.connect(tmp_path / "a" / "state.db")) as db:
        db.execute(
            "CREATE TRIGGER t AFTER INSERT ON history BEGIN DELETE FROM history WHERE id = new.id; END"
        )
    with pytest.raises(Unavailable, match='has the trigger "t", by which writes can be lost'):
        contents(tmp_path / "a")
    with pytest.raises(Unavailable, match='could be restored: the trigger "t" is not one of a store'):
        snapshot.save(tmp_path / "a", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_a_view_that_never_ends_is_not_read(tmp_path: Path) -> None:
    made(tmp_path / "a")
    path = tmp_path / "file"
    snapshot.save(tmp_path / "a", path)
    endless = (
        "WITH RECURSIVE r(name, number) AS (SELECT 'a', 1 UNION ALL SELECT name, number + 1 FROM r) SELECT *"
        " FROM r"
    )
    rewritten(path, f"DROP TABLE meta; CREATE VIEW meta AS {endless}")
    with pytest.raises(
        SnapshotError, match='the table meta is missing; the view "meta" is not one of a store'
    ):
        snapshot.verify(path)


def test_a_revision_that_leaves_no_room(tmp_path: Path) -> None:
    made(tmp_path / "a")
    path = tmp_path / "file"
    snapshot.save(tmp_path / "a", path)
    last = snapshot.END - 10
    rewritten(
        path,
        f"DELETE FROM history; UPDATE meta SET number = {last};"
        f"INSERT INTO history VALUES ({last << 12}, '/a', {last}, NULL, 0, x'7b7d')",
    )
    assert snapshot.verify(path).revision == last
    with pytest.raises(SnapshotError, match="a store ends at"):
        snapshot.restore(path, tmp_path / "b")
    assert not list((tmp_path / "b").glob("*state*")) and not list((tmp_path / "b").glob(".*"))


def test_a_journal_of_another_store_is_not_applied(tmp_path: Path) -> None:
    made(tmp_path / "a")
    snapshot.save(tmp_path / "a", tmp_path / "file")
    for log in ("wal", "journal"):
        left = tmp_path / "b" / f"state.db-{log}"
        left.parent.mkdir(exist_ok=True)
        left.symlink_to(tmp_path / "nowhere")
        with pytest.raises(Unavailable, match=f"state.db-{log} exists"):
            snapshot.restore(tmp_path / "file", tmp_path / "b")
        left.unlink()
    assert not (tmp_path / "b" / "state.db").exists()


def test_links_in_the_directory_are_not_followed(tmp_path: Path) -> None:
    made(tmp_path / "a")
    snapshot.save(tmp_path / "a", tmp_path / "file")
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / ".state.db.part").symlink_to(other)
    snapshot.restore(tmp_path / "file", tmp_path / "b")
    assert other.read_text() == "mine"
    assert contents(tmp_path / "b") == contents(tmp_path / "a")


def test_a_file_that_changes_while_it_is_restored(tmp_path: Path) -> None:
    made(tmp_path / "a")
    path = tmp_path / "file"
    saved = snapshot.save(tmp_path / "a", path)

    def change(done: int, total: int) -> None:
        if done == total == saved.rows:
            path.write_bytes(path.read_bytes()[:-HASH].replace(b"ConfigMap", b"ConfigMob"))
            signed(path)

    with pytest.raises(SnapshotError, match="changed while it was read"):
        snapshot.restore(path, tmp_path / "b", progress=change)
    assert not (tmp_path / "b" / "state.db").exists()


def signed(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data + hashlib.sha256(data).digest())


def test_an_index_that_differs_from_its_table(tmp_path: Path) -> None:
    made(tmp_path / "a")
    path = tmp_path / "file"
    snapshot.save(tmp_path / "a", path)
    data = path.read_bytes()[:-HASH]
    key = b"/registry/configmaps/default/039"
    at = data.rindex(key)
    path.write_bytes(data[:at] + b"/registry/configmaps/default/038" + data[at + len(key) :])
    signed(path)
    with pytest.raises(SnapshotError, match=r"index|follows|missing"):
        snapshot.verify(path)


@pytest.mark.slow
def test_a_sound_store_has_no_problems(tmp_path: Path) -> None:
    """The check finds no fault, whatever a store does."""

    async def main(seed: int) -> None:
        rand = random.Random(seed)
        store = SqliteStorage(tmp_path / str(seed))
        await store.start()
        there: dict[str, int] = {}
        for _ in range(150):
            key = f"{P}{rand.randrange(8)}"
            if rand.random() < 0.05:
                await store.compact(rand.randint(store.compacted, store.revision))
            elif rand.random() < 0.2:
                keys = [f"{P}many{i}" for i in range(rand.randint(1, 4))]
                ops = [Op(k, value(), there.get(k, 0)) for k in keys]
                revision = await store.txn(ops)
                there.update(dict.fromkeys(keys, revision))
            elif key not in there:
                there[key] = (await store.create(key, value())).mod
            elif rand.random() < 0.4:
                await store.delete(key, there.pop(key))
            else:
                there[key] = (await store.update(key, value(), there[key])).mod
        await store.close()
        with DataDirectory(tmp_path / str(seed)).connect() as db:
            assert list(check.problems(db)) == [], seed

    for seed in range(8):
        asyncio.run(main(seed))


def test_rows_of_logical_clusters_are_read_behind_their_header(tmp_path: Path) -> None:
    prefix, sound = rows.prefix_of("a"), rows.packed(5, 7, 0, value())
    assert prefix.startswith(check.KEYSPACES) and len(rows.packed(0, 0, 0, b"")) == check.HEADER
    values = {
        f"{prefix}{P}sound": sound,
        f"{prefix}{P}deleted": rows.tombstone(8),
        f"{prefix}{rows.REVISION}": rows.tombstone(9),
        f"{prefix}{P}cut": sound[:-9],
        f"{prefix}{P}short": sound[:20],
        f"{prefix}{P}empty": rows.packed(5, 7, 0, b""),
        f"{prefix}{P}ghost": rows.tombstone(8) + b"{}",
    }

    async def main() -> None:
        store = SqliteStorage(tmp_path)
        await store.start()
        await store.txn([Op(key, text) for key, text in values.items()])
        await store.close()

    asyncio.run(main())
    with contextlib.closing(DataDirectory(tmp_path).connect()) as db:
        found = {said.partition("'")[2].partition("'")[0].rpartition("/")[2] for said in check.problems(db)}
    assert found == {"cut", "short", "empty", "ghost"}
