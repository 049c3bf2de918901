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


def said(error: BaseException) -> str:
    """The text of an error; of one of the system the file and the reason, without the number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def write_file(path: pathlib.Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file as a whole or not at all; its directory is made when missing."""
    with written(path, data, mode) as part:
        put(part, path)


def put(part: str, path: pathlib.Path) -> None:
    """Put a file into the place of another one."""
    with _named(path):
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
    """A file beside `path` with its content, to be put into its place; it is removed when it was not."""
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with _named(path), os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield name
    finally:
        pathlib.Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def _named(path: pathlib.Path) -> Iterator[None]:
    """Errors of the system name this file, not the one that is to be put into its place."""
    try:
        yield
    except OSError as error:
        number = errno.ENOTDIR if error.errno == errno.EEXIST else error.errno  # of a file in its path
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error
