"""Writes files as a whole or not at all."""

import contextlib
import errno
import os
import pathlib
import tempfile
from collections.abc import Iterator

from pilothouse.logs import Logger

log = Logger(__name__)

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the system's errors for want of space on a disk."""


def write_file(path: pathlib.Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file as a whole or not at all; its directory is made when missing."""
    with written(path, data, mode) as part:
        os.replace(part, path)


def try_to_write(path: pathlib.Path, data: bytes) -> bool:
    """Write a file that a server can do without: a full disk is logged. Whether it has been written."""
    try:
        write_file(path, data)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        log.error("The disk is full, a file was not written", path=str(path))
        return False
    return True


@contextlib.contextmanager
def written(path: pathlib.Path, data: bytes, mode: int = 0o600) -> Iterator[str]:
    """A temporary file beside `path` with the new content; it is removed unless it was renamed to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield name
    finally:
        pathlib.Path(name).unlink(missing_ok=True)
