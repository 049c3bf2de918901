"""`pilothouse cluster export`: a logical cluster becomes a snapshot from which a server of its own starts.

It reads the files of the data directory, also while the server runs: what is written is one state of the
cluster, with the UIDs and resource versions of its objects, and as they are encrypted at rest.
"""

import asyncio
import contextlib
import dataclasses
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from pilothouse.api import meta
from pilothouse.clusters.definition import GROUP, PLURAL
from pilothouse.clusters.fresh import IDENTITY
from pilothouse.clusters.records import BASES, FOLDER, RECORDS, ClusterRecord, Records
from pilothouse.commands import output
from pilothouse.commands.api import Api, kubeconfig_of
from pilothouse.commands.cluster_contexts import ClusterContexts
from pilothouse.commands.cluster_objects import call
from pilothouse.commands.progress import shown
from pilothouse.configuration.config import Config
from pilothouse.configuration.flags import FlagError
from pilothouse.files import write_file
from pilothouse.storage.interface import KeyValue, Op, Unavailable
from pilothouse.storage.keys import ROOT
from pilothouse.storage.keyspaces import rows
from pilothouse.storage.keyspaces.keyspace import KeyspaceStorage
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.sqlite import snapshot
from pilothouse.storage.sqlite.file import LAST, RANGE, DataDirectory, key_value, read_key
from pilothouse.storage.sqlite.pairs import fill
from pilothouse.storage.sqlite.snapshot import SnapshotSummary


def run(config: Config, values: Mapping[str, Any], rest: Sequence[str]) -> None:
    """Write the snapshot; raises FlagError, OSError, ValueError, ApiError."""
    if len(rest) != 2:
        raise FlagError('"pilothouse cluster export" takes the name of a cluster and that of a file')
    name, target = rest[0], Path(rest[1])
    try:
        with shown("exporting"):
            uid = _uid(config, name, values["kubeconfig"])
            found, record = export(config.data.directory, name, uid, target)
    except (Unavailable, sqlite3.Error) as error:
        raise ValueError(str(error)) from None
    if values["token-key"]:
        write_file(Path(values["token-key"]), record.key)
    lines = [f"revision   {found.revision}", f"keys       {found.keys}", f"bytes      {found.size}"]
    lines.append(f"SHA-256    {found.hash}")
    output.tell({"cluster": name, **dataclasses.asdict(found)}, values["output"], lines)


def export(directory: Path, name: str, uid: str, target: Path) -> tuple[SnapshotSummary, ClusterRecord]:
    """Write a cluster of a data directory to a file that must not exist, and tell its record.

    Unavailable when it has no objects there.
    """
    record, pairs, revision = asyncio.run(_state(_journal(DataDirectory(directory / FOLDER), uid), uid, name))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        fill(DataDirectory(folder), pairs, revision)
        return snapshot.save(Path(folder), target), record


def _uid(config: Config, name: str, kubeconfig: str) -> str:
    """The UID of a cluster: by its object in the server's own store, which need not run; by the server where
    that is another store, or one that is encrypted."""
    data = DataDirectory(config.data.directory)
    if data.file.exists() and not kubeconfig:
        with _reading(data) as db:
            found = read_key(db, f"{ROOT}{GROUP}/{PLURAL}/{name}", 0)
        if found is None:
            raise Unavailable(f'there is no cluster "{name}" in {data.file}')
        with contextlib.suppress(ValueError, LookupError):
            return str(orjson.loads(found.value)["metadata"]["uid"])
    path = kubeconfig_of(config.data, kubeconfig)
    return str(call(Api(path, ClusterContexts.read(path).root), "GET", name)["metadata"]["uid"])


def _journal(data: DataDirectory, uid: str) -> list[Op]:
    """The rows of all that a cluster consists of, as of one moment."""
    with _reading(data) as db:
        db.execute("BEGIN")
        told = read_key(db, f"{RECORDS}{uid}", 0)
        if told is None:
            return []
        found = [told, *_below(db, f"{rows.prefix_of(uid)}/")]
        single = [f"{rows.prefix_of(uid)}{rows.REVISION}"]
        if base := ClusterRecord.unpacked(told.value).base:
            found += _below(db, f"{rows.prefix_of(base)}/")
            single.append(f"{BASES}{base}")
        found += [kv for key in single if (kv := read_key(db, key, 0)) is not None]
    return [Op(kv.key, kv.value) for kv in found]


@contextlib.contextmanager
def _reading(data: DataDirectory) -> Iterator[sqlite3.Connection]:
    if not data.file.exists():
        raise Unavailable(f"{data.file} does not exist: say --data-dir of a server with the embedded store")
    with contextlib.closing(data.connect()) as db:
        yield db


def _below(db: sqlite3.Connection, prefix: str) -> list[KeyValue]:
    found = db.execute(RANGE, (prefix, prefix + LAST, 1 << 62, -1))
    return [key_value(row) for row in found if row[2]]


async def _state(ops: list[Op], uid: str, name: str) -> tuple[ClusterRecord, list[KeyValue], int]:
    """The pairs of a cluster and its revision, read as the server reads them."""
    journal = MemoryStorage()
    await journal.start()
    await journal.txn(ops)
    records = Records(journal)
    record = await records.read(uid)
    if record is None:
        raise Unavailable(f'the cluster "{name}" has not been made yet: what holds it back is in its status')
    base = await records.base(record.base)
    storage = KeyspaceStorage(journal, uid, base)
    await storage.start()
    pairs, revision = storage.snapshot()
    await storage.close()
    await journal.close()
    shared = base.current.get(IDENTITY)
    return record, [_identified(kv) if kv is shared else kv for kv in pairs], revision


def _identified(kv: KeyValue) -> KeyValue:
    """The namespace by whose UID clusters are told apart, of a cluster that nobody has used: it still has the
    UID that all fresh ones begin with."""
    obj = orjson.loads(kv.value)
    obj["metadata"]["uid"] = meta.new_uid()
    return KeyValue(kv.key, orjson.dumps(obj), kv.mod, kv.create, kv.lease)
