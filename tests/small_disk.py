"""Programs on a small file system of their own:
a tmpfs in a mount namespace, which ends with its last program."""

import contextlib
import functools
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path


def command(directory: Path, mebibytes: int, program: Sequence[str]) -> list[str]:
    """The command line that runs a program with a file system of this size at `directory`."""
    mount = 'mount -t tmpfs -o size="$0" none "$1" && shift && exec "$@"'
    return ["unshare", "-rm", "sh", "-c", mount, f"{mebibytes}m", str(directory), *program]


def run(directory: Path, mebibytes: int, *program: str) -> str:
    """Run Python there, which must end well; what it has said on standard error."""
    whole = command(directory, mebibytes, [sys.executable, *program])
    done = subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@contextlib.contextmanager
def kept(directory: Path, mebibytes: int) -> Iterator[int]:
    """Keep such a file system for several programs;
    the id of the process that does so, for `inside` and `seen`."""
    program = command(directory, mebibytes, ["sh", "-c", "echo mounted; exec cat"])
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        try:
            assert keeper.stdout is not None and keeper.stdout.readline() == b"mounted\n"
            yield keeper.pid
        finally:
            keeper.kill()


def inside(keeper: int, program: Sequence[str]) -> list[str]:
    """The command line that runs a program where the file system of a keeper is mounted."""
    return ["nsenter", "-t", str(keeper), "-U", "-m", "--preserve-credentials", *program]


def seen(keeper: int, path: Path) -> Path:
    """A path of that file system, for a process that is not inside."""
    return Path(f"/proc/{keeper}/root{path}")


@functools.cache
def usable() -> bool:
    """Whether this machine lets us make mount namespaces."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return False
    return (
        subprocess.run(command(Path("/mnt"), 1, ["true"]), capture_output=True, check=False).returncode == 0
    )
