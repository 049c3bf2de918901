"""A file of lines that is rotated: by size, with a number and an age of old files, which may be compressed.

The names of old files are those of upstream's logger (lumberjack): `audit-2026-11-26T20-03-42.123.log`, with
`.gz` when it is compressed. Several processes may write one file: each line is appended in one write, one
process at a time rotates, and all look every second whether the file
at the path is still the one that they have open.
"""

import calendar
import contextlib
import fcntl
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pilothouse.logs import Logger

log = Logger(__name__)

LOOK = 1.0
"""Seconds between two looks whether the file was renamed or has reached its size."""

SETTLED = 5.0
"""Seconds after its last line when an old file is compressed: by then no process has it open any more."""

DAY = 86400.0
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}")


class RotatedFile:
    """Appends to a file and rotates it. `write` may be called on one thread at a time; it raises OSError."""

    def __init__(
        self,
        path: str,
        *,
        most_bytes: int = 0,
        most_days: int = 0,
        most_files: int = 0,
        compress: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """0 stands for no limit. The file and its directory are made here; OSError when that fails."""
        self.path = Path(path)
        self._most_bytes, self._most_days, self._most_files = most_bytes, most_days, most_files
        self._compress = compress
        self._clock, self._now = clock, now
        self._fd = -1
        self._identity = (0, 0)
        self._size = 0
        self._looked = 0.0
        self._torn = False
        self._tidying: threading.Thread | None = None
        self._closed = threading.Event()
        self._untidy = False
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open()
        self._tidy()

    def write(self, data: bytes) -> None:
        """Append whole lines. What a full disk took of them ends where the next ones begin,
        in a line of its own."""
        now = self._clock()
        size = len(data)
        if now - self._looked >= LOOK or self._fd < 0:
            self._look(now)
        if self._most_bytes and self._size + size > self._most_bytes and self._size:
            self._rotate(size)
        if self._torn:
            data = b"\n" + data
        written = os.write(self._fd, data)
        self._size += written
        while written < len(data):
            self._torn = True
            written += os.write(self._fd, data[written:])
        self._torn = False

    def close(self) -> None:
        """Close the file; what tidies old files up is given a moment to end."""
        self._closed.set()
        if self._tidying is not None:
            self._tidying.join(2 * SETTLED)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        found = os.fstat(fd)
        self._identity, self._size = (found.st_dev, found.st_ino), found.st_size
        self._looked = self._clock()

    def _look(self, now: float) -> None:
        """Open the file anew when another one is at the path; learn the size that others have made it."""
        self._looked = now
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._identity or self._fd < 0:
            self._torn = False
            self._open()
        else:
            self._size = found.st_size

    def _rotate(self, wanted: int) -> None:
        """Rename the file and begin a new one, unless another process just has."""
        lock = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._look(self._clock())
            if self._size + wanted > self._most_bytes and self._size:
                mode = os.fstat(self._fd).st_mode & 0o777
                os.rename(self.path, self._old_name())
                self._torn = False
                self._open()
                os.fchmod(self._fd, mode)
                self._tidy()
        finally:
            os.close(lock)

    def _old_name(self) -> Path:
        now = self._now()
        while True:
            stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}"
            found = self.path.with_name(f"{self.path.stem}-{stamp}{self.path.suffix}")
            if not found.exists() and not found.with_name(found.name + ".gz").exists():
                return found
            now += 0.001

    # Old files

    def old_files(self) -> list[Path]:
        """The files that were rotated, the newest first."""
        head, tail = f"{self.path.stem}-", self.path.suffix
        found = [
            path
            for path in self.path.parent.iterdir()
            if (name := path.name.removesuffix(".gz")).startswith(head)
            and name.endswith(tail)
            and _STAMP.fullmatch(name[len(head) : len(name) - len(tail)])
        ]
        return sorted(found, key=lambda path: path.name.removesuffix(".gz"), reverse=True)

    def _tidy(self) -> None:
        """Have old files deleted and compressed on a thread; one at a time."""
        if not (self._most_files or self._most_days or self._compress):
            return
        self._untidy = True
        if self._tidying is None or not self._tidying.is_alive():
            self._tidying = threading.Thread(target=self._tidy_up, name="audit-rotation", daemon=True)
            self._tidying.start()

    def _tidy_up(self) -> None:
        while self._untidy and not self._closed.is_set():
            self._untidy = False
            try:
                self.delete_old()
                if self._compress:
                    self._compress_all()
            except OSError as error:
                log.error("Old audit logs cannot be tidied up", err=error, path=str(self.path))

    def delete_old(self) -> None:
        """Delete the files that are too many or too old."""
        files = self.old_files()
        kept = files[: self._most_files] if self._most_files else files
        oldest = self._now() - self._most_days * DAY
        for path in files:
            if path not in kept or (self._most_days and _written(path) < oldest):
                path.unlink(missing_ok=True)

    def _compress_all(self) -> None:
        for path in self.old_files():
            if path.suffix == ".gz":
                continue
            while (left := path.stat().st_mtime + SETTLED - self._now()) > 0:
                if self._closed.wait(min(left, SETTLED)):
                    return
            compress_file(path)


def _written(path: Path) -> float:
    """The time at which a file was rotated, by its name."""
    found = _STAMP.search(path.name)
    assert found is not None
    head, _, millis = found[0].partition(".")
    date, _, clock = head.partition("T")
    parts = [int(part) for part in (*date.split("-"), *clock.split("-"))]
    year, month, day, hour, minute, second = parts
    return calendar.timegm((year, month, day, hour, minute, second)) + int(millis) / 1000


def compress_file(path: Path) -> None:
    """Replace a file by its gzip form."""
    import gzip
    import shutil

    made = path.with_name(path.name + ".gz")
    half = path.with_name(f"{path.name}.gz.{os.getpid()}.tmp")
    try:
        mode = path.stat().st_mode & 0o777
        fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with (
            path.open("rb") as source,
            open(fd, "wb") as raw,
            gzip.open(raw, "wb", compresslevel=6) as packed,
        ):
            shutil.copyfileobj(source, packed, 1 << 16)
        half.rename(made)
        path.unlink(missing_ok=True)
    except FileNotFoundError:
        return  # another process has been faster
    finally:
        with contextlib.suppress(FileNotFoundError):
            half.unlink()


class Stdout:
    """Writes lines to standard output (--audit-log-path=-)."""

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd

    def write(self, data: bytes) -> None:
        """Write whole lines; OSError."""
        at = 0
        while at < len(data):
            at += os.write(self._fd, data[at:])

    def close(self) -> None:
        """Leave standard output open."""
