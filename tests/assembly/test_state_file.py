"""States in files: what is wrong with one is told, and what is in a data directory is not overwritten."""

import io
import pathlib
import tarfile

import orjson
import pytest

from pilothouse import pki
from pilothouse.assembly.state_file import NAMES, StateFile, StateFileError, keys_in, objects_of
from pilothouse.configuration import options
from pilothouse.pki import SOUND
from pilothouse.storage.interface import KeyValue, Unavailable
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.sqlite.file import DataDirectory

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
