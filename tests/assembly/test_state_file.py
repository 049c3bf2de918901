"""States in files: what is wrong with one is told, and what is in a data directory is not overwritten."""

import contextlib
import hashlib
import io
import os
import pathlib
import sqlite3
import tarfile
import tempfile

import orjson
import pytest

from pilothouse import pki
from pilothouse.assembly.state_file import NAMES, StateFile, StateFileError, keys_in, objects_of
from pilothouse.configuration import options
from pilothouse.pki import SOUND
from pilothouse.storage.interface import KeyValue, Unavailable
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.sqlite.file import FORMAT, DataDirectory

KEYS = {"ca.crt": b"cert", "ca.key": b"key", "sa.key": b"secret", "sa.pub": b"public", "sound.json": b"{}"}
LEASE = 2_000_000_000_000


@pytest.fixture(scope="module")
def state() -> StateFile:
    pairs = [KeyValue("/registry/a", b"{}", 7, 3), KeyValue("/registry/b", b"{}", 8, 8, LEASE)]
    return StateFile(objects_of(pairs, 9), KEYS, 1_780_000_000.5)


def written(path: pathlib.Path, state: StateFile) -> pathlib.Path:
    path.write_bytes(state.pack())
    return path


def test_a_file_is_read_as_it_was_written(state: StateFile, tmp_path: pathlib.Path) -> None:
    found = StateFile.read(written(tmp_path / "f", state))
    assert found == state
    with tarfile.open(tmp_path / "f") as tar:
        assert set(tar.getnames()) == {"state.json", "objects", *(f"keys/{name}" for name in KEYS)}


async def test_a_store_in_memory_begins_with_it(state: StateFile, rig: object) -> None:
    storage = MemoryStorage(lambda: LEASE / 1000 - 10)
    state.load(storage)
    await storage.start()
    page = await storage.range("/registry/")
    assert [(kv.key, kv.mod, kv.create) for kv in page.items] == [
        ("/registry/a", 7, 3),
        ("/registry/b", 8, 8),
    ]
    assert storage.revision == storage.compacted == 10
    assert storage._expiry._heap == [(LEASE, "/registry/b", 8)]
    await storage.close()


def test_a_data_directory_gets_it(state: StateFile, tmp_path: pathlib.Path) -> None:
    state.put_keys(tmp_path)
    state.restore(tmp_path)
    assert keys_in(tmp_path) == KEYS and DataDirectory(tmp_path).file.exists()
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in KEYS}
    public = dict.fromkeys(("ca.crt", "sa.pub"), 0o644)
    assert modes == public | dict.fromkeys(("ca.key", "sa.key", "sound.json"), 0o600)
    state.put_keys(tmp_path)  # the same ones
    with pytest.raises(Unavailable, match="restored into a directory without a store"):
        state.restore(tmp_path)
    (tmp_path / "ca.key").write_bytes(b"another")
    with pytest.raises(StateFileError, match=r"ca\.key is another one than in the state"):
        state.put_keys(tmp_path)


def test_keys_that_were_found_good_are_so_in_another_directory(tmp_path: pathlib.Path) -> None:
    one, other = (options.parse([f"--data-dir={tmp_path / name}"]) for name in ("one", "other"))
    pki.prepare(one)
    StateFile(b"", keys_in(tmp_path / "one"), 0.0).put_keys(tmp_path / "other")
    files = pki.prepare(other)
    assert {pathlib.Path(path).name for path in files.sound} == set(NAMES) - {SOUND}
    assert {pathlib.Path(path).parent for path in files.sound} == {tmp_path / "other"}


def test_what_is_no_sound_state(state: StateFile, tmp_path: pathlib.Path) -> None:
    whole = state.pack()
    at = whole.index(b"SQLite format 3") + 100
    damaged = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    for data, why in (
        (b"", "is no state"),
        (whole[:1000], "is no state"),
        (damaged, "is damaged: the SHA-256"),
        (
            _tar({"state.json": b'{"format": 2}', "objects": b""}),
            "has the format 2, and this program reads 1",
        ),
        (_tar({"state.json": b'{"format": 1}'}), "is no state"),
        (_with_key(state, "../evil"), "has files that are no keys of a server"),
    ):
        (tmp_path / "f").write_bytes(data)
        with pytest.raises(StateFileError, match=why):
            StateFile.read(tmp_path / "f")


def _with_key(state: StateFile, name: str) -> bytes:
    about = orjson.dumps({"format": 1, "time": 0})
    return _tar({"state.json": about, "objects": state.objects, f"keys/{name}": b"x"})


def _tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _hostile_database(sql: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "db"
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executescript(sql)
        content = path.read_bytes()
    return content + hashlib.sha256(content).digest()


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
VIEWS = f"""
    CREATE VIEW history AS
        SELECT i AS id, 'k' AS key, 1 AS created, NULL AS prev, 0 AS expires, x'7b7d' AS value
        FROM ({ENDLESS});
    CREATE VIEW meta AS SELECT 'cleaned' AS name, 1 AS number;
    PRAGMA user_version = {FORMAT};
"""


@pytest.mark.parametrize("sql", [VIEWS, "CREATE TABLE a (b)", f"PRAGMA user_version = {FORMAT}"])
def test_objects_that_are_no_store_are_refused_before_they_are_read(sql: str) -> None:
    hostile = StateFile(_hostile_database(sql), {}, 0.0)
    with pytest.raises(StateFileError, match="the objects cannot be read"):
        hostile.pairs()


def test_rows_of_other_types_are_refused(state: StateFile) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.deserialize(state.objects[:-32])
        db.execute("UPDATE history SET created = 'x'")
        content = db.serialize()
    hostile = StateFile(content + hashlib.sha256(content).digest(), {}, 0.0)
    with pytest.raises(StateFileError, match="cannot be read"):
        hostile.pairs()


TIMES = ("1e308", "-1", '"x"', "true")


@pytest.mark.parametrize(
    "about", ["[]", "1", "null", "[" * 100_000, *(f'{{"format": 1, "time": {one}}}' for one in TIMES)]
)
def test_what_is_said_of_a_state_is_checked(state: StateFile, tmp_path: pathlib.Path, about: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(_tar({"state.json": about.encode(), "objects": state.objects}))
    with pytest.raises(StateFileError) as found:
        StateFile.read(path)
    assert "\n" not in str(found.value) and len(str(found.value)) < 500


def _member(kind: bytes, name: str = "objects", link: str = "", size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "data",
    [
        _member(tarfile.SYMTYPE, "objects", "state.json") + _member(tarfile.SYMTYPE, "state.json", "objects"),
        _member(tarfile.LNKTYPE, "objects", "objects"),
        _member(tarfile.CHRTYPE),
        _member(tarfile.FIFOTYPE),
        _member(tarfile.DIRTYPE),
        _member(tarfile.GNUTYPE_SPARSE, size=1 << 40),
        b"".join(_member(tarfile.REGTYPE, f"n{i}") for i in range(1000)),
        _member(tarfile.REGTYPE, "a\x1b[31m\nb") * 2,
        b"".join(_member(tarfile.XHDTYPE, f"p{i}") for i in range(5000)),
    ],
    ids=["loop", "hard link", "device", "pipe", "directory", "sparse", "many", "twice", "headers"],
)
def test_archives_that_nobody_has_saved(tmp_path: pathlib.Path, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data + bytes(1024))
    with pytest.raises(StateFileError, match="is no state") as found:
        StateFile.read(tmp_path / "f")
    assert "\n" not in str(found.value) and "\x1b" not in str(found.value)


def test_a_sparse_member_takes_no_memory(tmp_path: pathlib.Path) -> None:
    info = tarfile.TarInfo("objects")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
    info.size = 512
    data = info.tobuf(tarfile.PAX_FORMAT) + b"1\n0\n0\n".ljust(512, b"\0")
    (tmp_path / "f").write_bytes(data + bytes(1024))
    with pytest.raises(StateFileError, match="is no state"):
        StateFile.read(tmp_path / "f")


def test_only_a_plain_file_of_a_bearable_size_is_opened(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    for path in (tmp_path / "pipe", pathlib.Path("/dev/zero"), tmp_path / "huge"):
        with pytest.raises(StateFileError, match="it is no state"):
            StateFile.read(path)
