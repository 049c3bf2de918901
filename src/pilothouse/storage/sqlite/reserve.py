"""Space on the disk that is kept free for deletions: a file that is given up when the disk is full."""

import errno
import os
import sqlite3
from pathlib import Path

from pilothouse.logs import Logger

log = Logger(__name__)

SIZE = 16 * 1024 * 1024
"""Bytes: enough for the log of some thousand deletions, and for a compaction, which works in steps of 1 MiB."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


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
        """Make the file again; False when the disk has no space for it.

        It has to have space for twice as much, else it would be full again at the next write.
        """
        was, self._full = self._full, not self._allocate()
        if was and not self._full:
            log.info("The disk has space again, the store accepts all writes", file=self._file)
        elif self._full and not was:
            log.error("The disk is full, the store accepts deletions only", file=self._file)
        return not self._full

    def exhausted(self, error: Exception) -> bool:
        """Give the file up if an error of SQLite says that the disk is full; whether that has made space."""
        if self._full or not self._says_full(error):
            return False
        self._full = True
        self._file.unlink(missing_ok=True)
        log.error("The disk is full, the store accepts deletions only", file=self._file, err=error)
        return True

    def _says_full(self, error: Exception) -> bool:
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

    def _allocate(self) -> bool:
        try:
            if self._file.stat().st_blocks * 512 >= self._size:
                return True
        except FileNotFoundError:
            pass
        disk = os.statvfs(self._file.parent)
        if disk.f_bavail * disk.f_frsize < 2 * self._size or not _allocated(self._file, self._size):
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
