"""Programs on a small file system of their own: a tmpfs in a mount namespace, which ends with the program."""

import functools
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


def command(directory: Path, mebibytes: int, program: Sequence[str]) -> list[str]:
    """The command line that runs a program with a file system of this size at `directory`."""
    mount = 'mount -t tmpfs -o size="$0" none "$1" && shift && exec "$@"'
    return ["unshare", "-rm", "sh", "-c", mount, f"{mebibytes}m", str(directory), *program]


@functools.cache
def usable() -> bool:
    """Whether this machine lets us make mount namespaces."""
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(command(Path("/mnt"), 1, ["true"]), capture_output=True, check=False).returncode == 0
    )
