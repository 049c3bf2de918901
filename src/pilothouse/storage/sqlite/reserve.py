"""Space on the disk that is kept free for deletions: a file that is given up when the disk is full."""

import os
import sqlite3
from pathlib import Path

from pilothouse.files import NO_SPACE
from pilothouse.logs import Logger

log = Logger(__name__)

SIZE = 16 * 1024 * 1024
"""Bytes: enough for the log of some thousand deletions,
and for a compaction, which works in steps of 1 MiB."""

LEAST = 1024 * 1024
"""Bytes that are free beside a reserve which is there at the start, else the disk counts as full at once."""
SMALLEST = 256 * 1024
"""Bytes of a reserve that is left behind on a full disk, at least."""


class Reserve:
    """A file of `size` bytes. While it could not be made, or was given up, the disk counts as full.

    It is used on one thread.
    """

    def __init__(self, file: Path, size: int = SIZE) -> None:
        self._file = file
        self._size = size
        self._full = False

    @property
    def full(self) -> bool:
        """Whether there was no space at the last look."""
        return self._full

    def take(self) -> bool:
        """Make the file unless it is there; False when the disk has no space for it.

        It has to have space for twice as much, else it would be full again at the next write.
        """
        was, self._full = self._full, not self._there() and not self._make(self._size, 2 * self._size)
        if was and not self._full:
            log.info("The disk has space again, the store accepts all writes", file=self._file)
        elif self._full and not was:
            log.error("The disk is full, the store accepts deletions only", file=self._file)
        return not self._full

    def exhausted(self, error: Exception) -> bool:
        """Delete the file if an error of SQLite says that the disk is full; returns whether it says so
        for the first time."""
        if self._full or not self.says_full(error):
            return False
        self._full = True
        log.error("The disk is full, the store accepts deletions only", file=self._file, err=error)
        self._file.unlink(missing_ok=True)
        return True

    def keep(self) -> None:
        """Make the file as large as a full disk allows when the store is closed, so that it can be opened
        again."""
        size = self._size
        while self._full and size >= SMALLEST and not self._make(size, size):
            size //= 2

    def says_full(self, error: Exception) -> bool:
        """Whether an error of SQLite is for want of space."""
        if not isinstance(error, sqlite3.Error):
            return False
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and not self._fits(1 << 16))

    def _fits(self, size: int) -> bool:
        """Whether a file beside the reserve can have so many bytes. A quota is told by an attempt alone."""
        probe = self._file.with_suffix(".probe")
        try:
            return _allocated(probe, size)
        finally:
            probe.unlink(missing_ok=True)

    def _there(self) -> bool:
        """Whether the file was left by an earlier server, and the disk has some space beside it."""
        try:
            return self._file.stat().st_blocks * 512 >= self._size and self._fits(LEAST)
        except FileNotFoundError:
            return False

    def _make(self, size: int, free: int) -> bool:
        """Make the file with `size` bytes if the disk has `free` bytes without it;
        otherwise there is none."""
        self._file.unlink(missing_ok=True)
        disk = os.statvfs(self._file.parent)
        if disk.f_bavail * disk.f_frsize < free or not _allocated(self._file, size):
            self._file.unlink(missing_ok=True)
            return False
        return True


def _allocated(file: Path, size: int) -> bool:
    """Make a file whose bytes have their place on the disk; False when there is no space."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError as error:
        return error.errno not in NO_SPACE
    finally:
        os.close(handle)
    return True
