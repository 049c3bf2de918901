"""Writes files as a whole or not at all, and tells why a directory cannot be used."""

import contextlib
import errno
import os
import pathlib
import pwd
import stat
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


def read_limited(path: pathlib.Path, most: int) -> bytes:
    """The content of a regular file of at most so many bytes.

    ValueError for a larger one, a pipe and a device; OSError for a directory and what cannot be read.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path} is no regular file")
        if status.st_size > most:
            raise ValueError(f"{path} has more than {most} bytes")
        return file.read(most)


def write_file(path: pathlib.Path, data: bytes, mode: int = 0o600, *, sync: bool = True) -> None:
    """Write a file as a whole or not at all; its directory is made when missing. Without `sync` nothing waits
    for the disk, and the file may be empty after a failure of power."""
    with written(path, data, mode, sync=sync) as part:
        put(part, path)


def put(part: str, path: pathlib.Path) -> None:
    """Put a file into the place of another one."""
    with _named(path):
        os.replace(part, path)


def try_to_write(path: pathlib.Path, data: bytes) -> bool:
    """Write a file that every start writes, and a server can do without: a full disk is logged.
    Whether it has been written."""
    try:
        write_file(path, data, sync=False)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        log.error("The disk is full, a file was not written", path=str(path))
        return False
    return True


@contextlib.contextmanager
def written(path: pathlib.Path, data: bytes, mode: int = 0o600, *, sync: bool = True) -> Iterator[str]:
    """A temporary file beside `path` with the new content; it is removed unless it was renamed to `path`."""
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with _named(path), os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            if sync:
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


def check_usable(directory: pathlib.Path) -> pathlib.Path:
    """The part of a data directory's path that is there, mostly the whole.
    OSError when this user cannot use it or make the rest. Nothing is changed."""
    there = _existing(directory)
    try:
        if not stat.S_ISDIR(there.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        wanted = os.W_OK | os.X_OK | (os.R_OK if there == directory else 0)
        if not os.access(there, wanted, effective_ids=True):
            read_only = os.statvfs(there).f_flag & os.ST_RDONLY
            number = errno.EROFS if read_only else errno.EACCES
            raise OSError(number, os.strerror(number))
    except OSError as error:
        raise unusable(directory, error) from None
    return there


def make_private(directory: pathlib.Path) -> None:
    """Make a directory that only this user can enter; one that others can enter is closed to them.

    A directory of somebody else, or a shared one such as /tmp, stays as it is.
    """
    check_usable(directory)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(directory, error) from None
    found = directory.stat()
    mode = stat.S_IMODE(found.st_mode)
    if not mode & 0o077:
        return
    pairs = {"path": str(directory), "mode": f"{mode:04o}"}
    if found.st_uid != os.geteuid() or mode & stat.S_ISVTX:
        log.warning("Others can enter the data directory", **pairs)
        return
    try:
        directory.chmod(mode & 0o700)
    except OSError as error:
        log.warning("Others can enter the data directory", err=error, **pairs)
        return
    log.info("The data directory was closed to others", **pairs)


def _existing(path: pathlib.Path) -> pathlib.Path:
    """The part of a path that is there."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def unusable(directory: pathlib.Path, error: OSError) -> OSError:
    """The error of a data directory that this user cannot use:
    it names who owns it, or the part of its path that is there."""
    there = _existing(directory)
    found = there.lstat()
    return type(error)(
        error.errno,
        f"data directory {directory} can not be used: {error.strerror}; {there} is owned by"
        f" {_user(found.st_uid)} with mode {stat.S_IMODE(found.st_mode):04o}, and this process runs as"
        f" {_user(os.geteuid())}",
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
