"""How much memory the control group of this process may use (cgroups(7), versions 1 and 2)."""

from collections.abc import Iterator
from pathlib import Path

UNLIMITED = 1 << 60
"""Limits from here on are none: version 1 writes the largest number of pages there is."""


def memory_limit(root: Path = Path("/")) -> int | None:
    """The bytes of the strictest limit on the way from the group of this process to the root;
    None: there is none."""
    limits = [limit for file in _files(root) if (limit := _read(file)) is not None]
    return min(limits, default=None)


def _files(root: Path) -> Iterator[Path]:
    """The files with the limits of the group and of those above it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = Path(path.lstrip("/"))
        for one in (group, *group.parents):
            yield top / one / name


def _read(file: Path) -> int | None:
    """The limit in a file; None for `max`, for no limit of version 1, and where there is no such file."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() and int(text) < UNLIMITED else None
