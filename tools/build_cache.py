"""Keeps compiled modules between builds, so that a fresh clone need not compile what was compiled before.

PILOTHOUSE_BUILD_CACHE names the folder (for the Makefile ~/.cache/pilothouse); nothing is kept without it. A
folder inside it has the modules of one digest: of their sources, the compilers and the flags.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

VARIABLE = "PILOTHOUSE_BUILD_CACHE"
COMPILING = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS")
"""Variables of the environment by which a build differs."""
MOST = 4
"""Digests that are kept; the ones that were used last."""


def folder(root: Path, flags: Iterable[str]) -> Path | None:
    """Where the compiled modules of a tree are kept; None when none are."""
    cache = os.environ.get(VARIABLE)
    return Path(cache).expanduser() / digest(root, flags) if cache else None


def digest(root: Path, flags: Iterable[str]) -> str:
    """The digest of what the modules of a tree depend on."""
    found = hashlib.sha256()
    outside = [
        version("cython"),
        sys.version,
        str(sysconfig.get_config_var("EXT_SUFFIX")),
        _compiler(),
        *flags,
    ]
    outside += [os.environ.get(name, "") for name in COMPILING]
    for text in outside:
        found.update(f"{len(text)} {text}\n".encode())
    for path in (root / "setup.py", *sorted((root / "ext").rglob("*.p*"))):
        data = path.read_bytes()
        found.update(f"{path.relative_to(root)} {len(data)}\n".encode())
        found.update(data)
    return found.hexdigest()[:32]


def _compiler() -> str:
    """The version that the C compiler tells, "" when there is none."""
    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    try:
        return subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def keep(module: Path, kept: Path) -> None:
    """Keep a compiled module. A cache that cannot be written is left alone: it only saves time."""
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        _prune(kept.parent)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as copy:
            shutil.copyfile(module, copy.name)
        Path(copy.name).replace(kept)  # another build may keep the same module now


def _prune(used: Path) -> None:
    """Drop all digests but this one and those that were used last."""
    others = [one for one in used.parent.iterdir() if one.is_dir() and one != used]
    others.sort(key=lambda one: one.stat().st_mtime)
    for old in others[: -(MOST - 1)]:
        shutil.rmtree(old, ignore_errors=True)


def use(kept: Path, module: Path) -> None:
    """Lay a module that was kept where it belongs."""
    module.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept, module)
    with contextlib.suppress(OSError):
        os.utime(kept.parent)
