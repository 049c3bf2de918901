"""A prepared state of a server in one file, from which others start (`serve --from-state FILE`).

The file is a tar archive: `objects` is a snapshot of the embedded store, `keys/` are the keys and
certificates of the data directory, and `state.json` says what a snapshot does not. With the keys go the
tokens and certificates that objects hold: they stay good. A reader of the file has the rights of all of them.
"""

import hashlib
import io
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from pilothouse.files import read_limited, write_file
from pilothouse.gotext import quote
from pilothouse.pki import SOUND
from pilothouse.process.frozen import frozen
from pilothouse.storage.interface import KeyValue, Unavailable
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.sqlite import pairs as databases
from pilothouse.storage.sqlite import snapshot
from pilothouse.storage.sqlite.file import DataDirectory

FORMAT = 1
MOST_BYTES = 1 << 30
"""Bytes of a state: its reader has all of it in memory."""
MOST_MEMBERS = 64
"""Files of a state: the objects, what is said about them, and the keys."""
LATEST = 253_402_300_800.0
"""The year 10000 in Unix seconds."""
OBJECTS, KEYS, ABOUT = "objects", "keys/", "state.json"
PUBLIC = 0o644
PAIRS = ("ca", "admin", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client")
NAMES = ("sa.key", "sa.pub", SOUND, *(f"{name}.{end}" for name in PAIRS for end in ("crt", "key")))
"""The files of a data directory that belong to a state."""


class StateFileError(ValueError):
    """A file that is no sound state."""


@frozen
class StateFile:
    """The content of a state. objects: a snapshot. keys: files by their names. time: that of the clock, in
    Unix seconds."""

    objects: bytes
    keys: Mapping[str, bytes]
    time: float

    def pack(self) -> bytes:
        """The bytes of the file."""
        about = orjson.dumps({"format": FORMAT, "time": self.time})
        members = {ABOUT: about, **{KEYS + name: data for name, data in self.keys.items()}}
        members[OBJECTS] = self.objects
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.mtime = len(data), 0o600, int(time.time())
                tar.addfile(info, io.BytesIO(data))
        return out.getvalue()

    @classmethod
    def read(cls, path: Path) -> "StateFile":
        """The state in a file; StateFileError when it is none, or damaged; OSError when it cannot be read."""
        try:
            data = read_limited(path, MOST_BYTES)
        except ValueError as error:
            raise StateFileError(f"{error}: it is no state") from None
        try:
            members = _members(data)
            about = orjson.loads(members[ABOUT])
            objects = members[OBJECTS]
            if not isinstance(about, dict):
                raise ValueError(f"{ABOUT} is no object")
        except (tarfile.TarError, KeyError, ValueError, OverflowError, RecursionError) as error:
            raise StateFileError(
                f"{path} is no state that `pilothouse fork save` has written: {error}"
            ) from None
        if about.get("format") != FORMAT:
            raise StateFileError(
                f"{path} has the format {about.get('format')}, and this program reads {FORMAT}"
            )
        if hashlib.sha256(objects[: -snapshot.HASH]).digest() != objects[-snapshot.HASH :]:
            raise StateFileError(
                f"{path} is damaged: the SHA-256 of its objects is not that of their content"
            )
        keys = {name.removeprefix(KEYS): data for name, data in members.items() if name.startswith(KEYS)}
        if unknown := keys.keys() - set(NAMES):
            raise StateFileError(
                f"{path} has files that are no keys of a server: {', '.join(map(quote, sorted(unknown)))}"
            )
        time_of = about.get("time", 0.0)
        if isinstance(time_of, bool) or not isinstance(time_of, int | float) or not 0 <= time_of < LATEST:
            raise StateFileError(f"{path} has a time that is none: {quote(repr(time_of))}")
        return cls(objects, keys, float(time_of))

    @property
    def digest(self) -> str:
        """The SHA-256 of the objects."""
        return self.objects[-snapshot.HASH :].hex()

    def pairs(self) -> tuple[list[KeyValue], int]:
        """The objects as they are stored, and their revision; StateFileError when they cannot be read."""
        try:
            return databases.read(self.objects[: -snapshot.HASH])
        except sqlite3.Error as error:
            raise StateFileError(f"the objects cannot be read: {error}") from None

    def put_keys(self, directory: Path, *, sync: bool = True) -> None:
        """Write the keys into a data directory; StateFileError when it has others.
        sync: the disk has them when it returns."""
        for name, data in self.keys.items():
            path = directory / name
            if not path.exists():
                write_file(path, data, PUBLIC if name.endswith((".crt", ".pub")) else 0o600, sync=sync)
            elif path.read_bytes() != data and name in _OWN:
                raise StateFileError(
                    f"{path} is another one than in the state: start from it with a data directory of its own"
                )

    def restore(self, directory: Path) -> None:
        """Put the objects into a data directory that has no store yet; Unavailable, StateFileError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".state.") as file:
            file.write(self.objects)
            file.flush()
            try:
                snapshot.restore(Path(file.name), directory, bump=0)
            except snapshot.SnapshotError as error:
                raise StateFileError(f"the objects are damaged: {error}") from None

    def load(self, storage: MemoryStorage) -> None:
        """Have a store that was not started begin with the objects."""
        storage.load(*self.pairs())


def _members(data: bytes) -> dict[str, bytes]:
    """The files of an archive by their names; ValueError for what `pack` never writes."""
    members: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for info in tar:
            if len(members) >= MOST_MEMBERS:
                raise ValueError(f"it has more than {MOST_MEMBERS} files")
            if not info.isreg() or info.issparse():
                raise ValueError(f"{quote(info.name)} is no plain file")
            if info.name in members:
                raise ValueError(f"{quote(info.name)} is in it twice")
            file = tar.extractfile(info)
            members[info.name] = file.read() if file is not None else b""
    return members


_OWN = ("ca.key", "sa.key", "front-proxy-ca.key")
"""The keys that tell one server's clusters from another's; others are made anew from these."""


def objects_of(pairs: Sequence[KeyValue], revision: int) -> bytes:
    """A snapshot of pairs."""
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        directory, target = Path(folder) / "store", Path(folder) / OBJECTS
        directory.mkdir()
        databases.fill(DataDirectory(directory), pairs, revision)
        snapshot.save(directory, target)
        return target.read_bytes()


def objects_in(directory: Path) -> bytes:
    """A snapshot of the store in a data directory, also while a server uses it; Unavailable."""
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        target = Path(folder) / OBJECTS
        snapshot.save(directory, target)
        return target.read_bytes()


def keys_in(directory: Path) -> dict[str, bytes]:
    """The keys and certificates of a data directory."""
    found = ((name, directory / name) for name in NAMES)
    return {name: path.read_bytes() for name, path in found if path.exists()}


__all__ = ["StateFile", "StateFileError", "Unavailable", "keys_in", "objects_in", "objects_of"]
