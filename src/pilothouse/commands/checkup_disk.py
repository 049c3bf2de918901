"""The check of `pilothouse doctor` that looks at the data directory and its disk."""

import os
import pathlib
import stat
from collections.abc import Iterator

from pilothouse.commands.findings import Finding, error, ok, warning
from pilothouse.commands.machine import syncs
from pilothouse.configuration.config import Config
from pilothouse.files import check_usable

FREE_BYTES, FREE_SHARE = 1 << 30, 0.05
FREE_INODES = 1000
SLOW_SYNC = 0.010
"""Seconds that a durable write may take; etcd's documentation asks for 10 ms."""


def disk(config: Config) -> Iterator[Finding]:
    """The data directory: who can enter it, the room on its disk, and how long a durable write takes.

    The file that is written for this is removed, and the times of the directory are put back.
    """
    directory = config.data.directory
    try:
        there = check_usable(directory)
    except OSError as problem:
        yield error(problem.strerror or str(problem))
        return
    if there == directory:
        yield from _entered(directory)
    else:
        yield ok(f"the data directory {directory} is not there yet: a start makes it")
    yield from _room(there)
    if there == directory:
        yield from _writes(directory)


def _entered(directory: pathlib.Path) -> Iterator[Finding]:
    found = directory.stat()
    mode = stat.S_IMODE(found.st_mode)
    if not mode & 0o077:
        return
    text = f"others can enter the data directory {directory} (mode {mode:04o})"
    closes = found.st_uid == os.geteuid() and not mode & stat.S_ISVTX
    yield warning(f"{text}: a start closes it" if closes else f"{text}: chmod 700, or name another one")


def _room(there: pathlib.Path) -> Iterator[Finding]:
    space = os.statvfs(there)
    free, size = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
    text = f"{free / 1e9:.1f} GB of {size / 1e9:.1f} GB are free at {there}"
    yield warning(text) if free < FREE_BYTES or free < size * FREE_SHARE else ok(text)
    if space.f_files and space.f_favail < FREE_INODES:
        yield warning(f"{space.f_favail} inodes are free at {there}")


def _writes(directory: pathlib.Path) -> Iterator[Finding]:
    before = directory.stat()
    try:
        times = sorted(syncs(directory))
    except OSError as problem:
        yield error(f"nothing can be written to {directory}: {problem.strerror or problem}")
        return
    finally:
        os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))
    text = (
        f"a durable write takes {times[len(times) // 2] * 1e3:.1f} ms, the slowest of {len(times)}"
        f" {times[-1] * 1e3:.1f} ms"
    )
    yield warning(f"{text}: every write to the API waits for one") if times[-1] > SLOW_SYNC else ok(text)
