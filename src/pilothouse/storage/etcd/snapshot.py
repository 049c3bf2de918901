"""Snapshots of an etcd cluster, as `etcdctl snapshot save` makes them:
the database of a member and its SHA-256."""

import asyncio
import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import grpc
import grpc.aio

from pilothouse.storage.etcd.rpc import TLS, MemberChannel
from pilothouse.storage.interface import Unavailable
from pilothouse.storage.sqlite.check import Progress, untold
from pilothouse.storage.sqlite.snapshot import private
from pilothouse.wire import parse

SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"
_REMAINING, _BLOB = 2, 3
"""Fields of a SnapshotResponse: bytes that are still to come, and some bytes."""


def save(
    servers: Sequence[str],
    tls: TLS,
    target: Path,
    progress: Progress = untold,
) -> str:
    """Write a snapshot of the first member that gives one; its SHA-256 in hexadecimal digits.
    `progress` is told bytes.

    FileExistsError when there is such a file, Unavailable when no member gives a whole snapshot. The file is
    there as a whole or not at all.
    """
    if target.exists():
        raise FileExistsError(errno.EEXIST, "it is there already, and is not overwritten", str(target))
    part = target.with_name(f".{target.name}.part")
    why = "there are no servers"
    try:
        for url in servers:
            try:
                with open(part, "wb", opener=private) as file:
                    digest = asyncio.run(_copy(url, tls, file, progress))
                    file.flush()
                    os.fsync(file.fileno())
            except grpc.RpcError as error:
                why = f"{url}: {error.details()}"
                continue
            os.link(part, target)  # unlike a rename, fails when the name was taken meanwhile
            return digest
    finally:
        part.unlink(missing_ok=True)
    raise Unavailable(f"no member of etcd gives a snapshot: {why}")


async def _copy(url: str, tls: TLS, file: BinaryIO, progress: Progress) -> str:
    """Copy what a member sends into a file; the SHA-256 that it ends with."""
    member = MemberChannel(url, tls)
    digest, tail, left = hashlib.sha256(), b"", 0
    size = digest.digest_size
    try:
        call: Any = member.channel.unary_stream(SNAPSHOT)
        async for answer in call(b""):
            fields = dict(parse(answer))
            left = fields.get(_REMAINING, 0)
            blob = fields.get(_BLOB, b"")
            file.write(blob)
            tail += blob
            digest.update(tail[:-size])
            tail = tail[-size:]
            progress(file.tell(), file.tell() + left)
    finally:
        await member.channel.close()
    if left or tail != digest.digest():
        raise Unavailable(f"{url}: the snapshot came damaged")
    return tail.hex()
