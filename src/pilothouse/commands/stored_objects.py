"""The checks of `pilothouse doctor --store`:
whether each stored object can be read by clients, and what is done if not."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from pilothouse.api import codec
from pilothouse.api.protobuf import writer as protobuf
from pilothouse.commands.findings import Finding, Level
from pilothouse.configuration.config import Config
from pilothouse.process.frozen import frozen
from pilothouse.registry import encoding, repair
from pilothouse.registry.catalog import Catalog, built_in
from pilothouse.registry.printers import tables
from pilothouse.registry.resource import Resource
from pilothouse.storage.backends import open_storage
from pilothouse.storage.encryption import config as encryption_config
from pilothouse.storage.encryption.backend import EncryptedStorage, Encryption
from pilothouse.storage.interface import KeyValue, RevisionConflict, Storage, StorageError
from pilothouse.storage.keys import ROOT

PAGE = 1000
"""Keys that are read at a time."""
SHOWN = 300
"""Characters of an error, at most."""


@frozen
class Judged:
    """The fault of a stored value, "" for none, and what it should be; None where nobody knows."""

    wrong: str = ""
    better: bytes | None = None
    removable: bool = True
    """False for a value of which nothing is known:
    perhaps only the key by which it is encrypted is missing."""


class Judge:
    """Judges stored values by their keys; `decrypt` gives what is encrypted."""

    def __init__(self, decrypt: Callable[[str, bytes], bytes]) -> None:
        catalog = Catalog(built_in())
        self._read, self._decrypt = encoding.reader(catalog), decrypt
        self._resources = {
            r.group_resource: r for r in catalog.all() if not r.virtual and r.storage is None and r.type_of
        }
        self._name = encoding.resources_by_key(catalog)

    def judge(self, kv: KeyValue) -> Judged:
        try:
            plain = self._decrypt(kv.key, kv.value)
            value = self._read(kv.key, plain)
            orjson.loads(value)
        except Exception as error:
            return Judged(f"cannot be decoded: {_short(error)}", removable=False)
        resource = self._resources.get(self._name(kv.key))
        if resource is not None:
            try:
                _show(resource, value)
            except Exception as error:
                return Judged(f"cannot be read by clients: {_short(error)}")
        if repair.settled(kv.key, plain) is not plain:
            return Judged("has a time of deletion that clients cannot read", value)
        return Judged()


def _show(resource: Resource, value: bytes) -> None:
    """Do with a stored object what its readers do; raises what they would."""
    assert resource.type_of is not None
    obj = orjson.loads(value)
    codec.decode_value(orjson.loads(value), resource.type_of())
    protobuf.encode(obj, resource.type_of())
    tables.table_for(resource, [obj])


def _short(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def look(config: Config, *, fix: bool, remove: bool) -> list[Finding]:
    """The faults of stored objects. `fix` writes those back of which it is
    known what they should be, `remove` deletes the others. Unavailable when the
    store cannot be opened; to change the embedded one no server may run."""
    return asyncio.run(_look(config, fix, remove))


async def _look(config: Config, fix: bool, remove: bool) -> list[Finding]:
    out: list[Finding] = []
    async with _opened(config, fix or remove) as (storage, decrypt):
        judge, count = Judge(decrypt), 0
        async for kv in _pairs(storage):
            count += 1
            judged = judge.judge(kv)
            if judged.wrong:
                out.append(await _treated(storage, kv, judged, fix, remove))
        out.append(Finding(Level.OK, f"{count} objects were looked at"))
    return out


async def _treated(storage: Storage, kv: KeyValue, judged: Judged, fix: bool, remove: bool) -> Finding:
    """Repair or remove what is wrong, where that was asked for."""
    text = f"{kv.key} {judged.wrong}"
    try:
        if judged.better is not None:
            if not fix:
                return Finding(Level.ERROR, f"{text}: --repair writes one that they can read")
            await storage.update(kv.key, judged.better, kv.mod)
            return Finding(Level.WARNING, f"{text}: repaired")
        if not judged.removable:
            return Finding(Level.ERROR, f"{text}: is the key by which it is encrypted configured?")
        if not remove:
            return Finding(Level.ERROR, f"{text}: --remove deletes it")
        await storage.delete(kv.key, kv.mod)
        return Finding(Level.WARNING, f"{text}: removed")
    except RevisionConflict:
        return Finding(Level.WARNING, f"{text}: somebody has changed it meanwhile, look again")
    except StorageError as error:
        return Finding(Level.ERROR, f"{text}: {error}")


async def _pairs(storage: Storage) -> AsyncIterator[KeyValue]:
    start = ""
    while True:
        page = await storage.range(ROOT, start=start, limit=PAGE, counted=False)
        for kv in page.items:
            yield kv
        if not page.more:
            return
        start = page.items[-1].key + "\0"


@asynccontextmanager
async def _opened(
    config: Config, write: bool
) -> AsyncIterator[tuple[Storage, Callable[[str, bytes], bytes]]]:
    """The store, and what decrypts its values.
    Only to be read, the embedded one is a copy: a server may run."""
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as directory:
        options, data = config.store, config.data.directory
        storage = open_storage(options, data) if write or options.etcd_servers else _copy(data, directory)
        decrypt: Callable[[str, bytes], bytes] = _as_it_is
        if options.encryption_provider_config:
            rules = encryption_config.load(options.encryption_provider_config)
            resource_of = encoding.resources_by_key(Catalog(built_in()))
            ciphers = Encryption(rules, resource_of, "/" + options.etcd_prefix.strip("/"))
            storage, decrypt = EncryptedStorage(storage, ciphers), ciphers.decrypt
        try:
            await storage.start()
        except StorageError as error:  # of the copy, which nobody knows
            raise StorageError(str(error).replace(directory, str(data))) from None
        try:
            yield storage, decrypt
        finally:
            await storage.close()


def _as_it_is(key: str, value: bytes) -> bytes:
    return value


def _copy(kept: Path, directory: str) -> Storage:
    from pilothouse.storage.sqlite.backend import SqliteStorage
    from pilothouse.storage.sqlite.file import FILES, DataDirectory

    data, copy = DataDirectory(kept), DataDirectory(directory)
    if not data.file.exists():
        raise StorageError(f"{data.file} does not exist")
    if data.in_use():
        data.copy(copy.file)
        return SqliteStorage(directory)
    # SQLite would write the log of changes back into the file: that is the server's to do.
    before = data.stamp()
    for name in FILES:
        if (kept / name).exists():
            shutil.copyfile(kept / name, copy.directory / name)
    if data.in_use() or data.stamp() != before:
        raise StorageError(f"a server has opened {data.file} meanwhile: look again")
    return SqliteStorage(directory)
