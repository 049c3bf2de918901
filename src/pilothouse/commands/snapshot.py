"""`pilothouse snapshot save | restore | verify`: copies of the store in one file."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pilothouse.clusters import snapshot as clusters
from pilothouse.commands import output
from pilothouse.commands.progress import shown
from pilothouse.configuration import options
from pilothouse.configuration.config import Config
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.configuration.suggestions import nearest
from pilothouse.history import snapshot as history
from pilothouse.history.snapshot import HistorySummary
from pilothouse.storage.interface import Unavailable
from pilothouse.storage.sqlite import snapshot
from pilothouse.storage.sqlite.changes import last_of
from pilothouse.storage.sqlite.snapshot import SnapshotError, SnapshotSummary

FLAGS = (
    output.FLAG,
    Flag(
        "bump-revision",
        "int",
        snapshot.BUMP,
        "command",
        "By how much the revision of a restored store is higher than that of the snapshot, so that clients"
        " which have seen later changes list anew. 0 for a store that nobody has seen.",
    ),
    Flag(
        "with-history",
        "bool",
        False,
        "command",
        "Copy the history as well, to FILE.history, or put it back from there.",
    ),
)
SERVER_FLAGS = ("data-dir", "etcd-servers", "etcd-cafile", "etcd-certfile", "etcd-keyfile")
USAGE = """Save, verify and restore snapshots of the store. A snapshot is one file; it contains what the store contains, so values
that are encrypted at rest stay so.

Usage:
  pilothouse snapshot save FILE [--data-dir DIR]       Copy the embedded store; a server may run meanwhile.
  pilothouse snapshot save FILE --etcd-servers URL     Copy an etcd cluster, as `etcdctl snapshot save` does.
  pilothouse snapshot verify FILE                      Look for damage, and tell what is in it.
  pilothouse snapshot restore FILE --data-dir DIR      Put it into a directory that has no store; no server may run.

The objects of logical clusters are copied as well, to FILE.clusters, and restored from there: keep both files together.
With --with-history, save copies the history as well, to FILE.history, and restore puts it back from there.

All take -o json|yaml. The keys and certificates of the data directory are not in a snapshot: keep a copy of them, and of the keys by which values
are encrypted.
"""  # noqa: E501
_BOLT = 0xED0CDAED.to_bytes(4, "little")
_BOLT_AT = 16
"""The offset of the magic number in the database of etcd (bbolt)."""


def run(arguments: Sequence[str]) -> None:
    """Run one of the commands; raises FlagError, ConfigError, OSError, ValueError."""
    command = arguments[0] if arguments else ""
    commands = {"save": _save, "restore": _restore, "verify": _verify}
    if command not in commands:
        raise FlagError(f'unknown command "{command}" for "pilothouse snapshot"', nearest(command, commands))
    config, values, rest = options.parse_command(arguments[1:], FLAGS)
    output.chosen(values["output"])
    if len(rest) != 1:
        raise FlagError(f'"pilothouse snapshot {command}" takes the name of one file')
    try:
        commands[command](Path(rest[0]), config, values)
    except SnapshotError as error:
        raise ValueError(
            "\n".join((f"{rest[0]} is damaged:", *(f"  {said}" for said in error.problems)))
        ) from None
    except Unavailable as error:
        raise ValueError(str(error)) from None


def _save(path: Path, config: Config, values: dict[str, Any]) -> None:
    if not config.store.etcd_servers:
        directory = config.data.directory
        with shown("saving") as progress:
            saved = snapshot.save(directory, path, progress)
            many = None
            if clusters.exists(directory):
                many = clusters.save(directory, clusters.beside(path), progress)
        kept = history.save(directory, history.beside(path)) if values["with-history"] else None
        _tell(saved, values, kept, many)
        return
    if values["with-history"]:
        raise FlagError("--with-history is for the embedded store")
    try:
        from pilothouse.storage.etcd import snapshot as etcd
        from pilothouse.storage.etcd.rpc import TLS
    except ImportError as error:
        raise ValueError(f"needs the package grpcio: pip install 'pilothouse[etcd]' ({error})") from None
    tls = TLS(config.store.etcd_cafile, config.store.etcd_certfile, config.store.etcd_keyfile)
    with shown("saving") as progress:
        digest = etcd.save(config.store.etcd_servers, tls, path, progress)
    _tell_etcds(path, digest, values)


def _verify(path: Path, config: Config, values: dict[str, Any]) -> None:
    if _is_etcds(path):
        with shown("verifying") as progress:
            digest = snapshot.verify_hash(path, progress)
        _tell_etcds(path, digest, values, "; `etcdutl snapshot status` says more")
        return
    many = None
    with shown("verifying") as progress:
        verified = snapshot.verify(path, progress)
        if clusters.beside(path).exists():
            many = snapshot.verify(clusters.beside(path), progress)
    kept = history.summary(history.beside(path)) if history.beside(path).exists() else None
    _tell(verified, values, kept, many)


def _restore(path: Path, config: Config, values: dict[str, Any]) -> None:
    if _is_etcds(path):
        raise ValueError(
            f"{path} is a snapshot of etcd. Each member is restored by: etcdutl snapshot restore {path}"
            f" --data-dir DIR --bump-revision {values['bump-revision']} --mark-compacted"
        )
    if values["bump-revision"] < 0:
        raise FlagError("--bump-revision can not be a negative value")
    directory, bump, kept, many = config.data.directory, values["bump-revision"], None, None
    with shown("restoring") as progress:
        if clusters.beside(path).exists():  # first: no server shall find their objects missing
            many = clusters.restore(clusters.beside(path), directory, bump, progress)
        restored = snapshot.restore(path, directory, bump, progress)
    if values["with-history"]:
        kept = history.restore(history.beside(path), directory, last_of(restored.revision))
    _tell(restored, values, kept, many)


def _tell_etcds(path: Path, digest: str, values: dict[str, Any], more: str = "") -> None:
    size = path.stat().st_size
    told = [f"a snapshot of etcd, {size} bytes, SHA-256 {digest}{more}"]
    output.tell({"store": "etcd", "size": size, "hash": digest}, values["output"], told)


def _tell(
    found: SnapshotSummary,
    values: dict[str, Any],
    kept: HistorySummary | None = None,
    many: SnapshotSummary | None = None,
) -> None:
    lines = [
        f"revision   {found.revision}",
        f"compacted  {found.compacted}",
        f"keys       {found.keys}",
        f"rows       {found.rows}",
        f"bytes      {found.size}",
    ]
    if found.hash:
        lines.append(f"SHA-256    {found.hash}")
    told = {"store": "embedded", **dataclasses.asdict(found)}
    if many is not None:
        lines.append(f"clusters   {many.keys} keys, {many.size} bytes")
        told["clusters"] = dataclasses.asdict(many)
    if kept is not None:
        since = datetime.fromtimestamp(kept.since_ms / 1000, UTC)
        lines.append(
            f"history    {kept.changes} changes of {kept.objects} objects since {since:%Y-%m-%dT%H:%M:%SZ}"
        )
        told["history"] = kept._asdict()
    output.tell(told, values["output"], lines)


def _is_etcds(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_BOLT_AT)
        return file.read(4) == _BOLT
