"""Keeps compiled modules between builds, so that a fresh clone need not compile what was compiled before.

PILOTHOUSE_BUILD_CACHE names the folder (for the Makefile ~/.cache/pilothouse); nothing is kept without it. A
folder inside it has the modules of one digest, of their sources, the C compiler and the flags, as one version
of Cython compiled them. A build without Cython takes those that were compiled last. Another folder has the
descriptions of the built-in types.
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
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VARIABLE = "PILOTHOUSE_BUILD_CACHE"
COMPILING = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS")
"""Variables of the environment by which a build differs."""
MOST = 5
"""Folders that are kept; the ones that were used last."""


def _cython() -> str:
    """The version of Cython, "" when it is not installed."""
    try:
        return version("cython")
    except PackageNotFoundError:
        return ""


CYTHON = _cython()


def folder(root: Path, flags: Iterable[str], cython: str = CYTHON) -> Path | None:
    """Where the compiled modules of a tree are kept; None when none are."""
    cache = os.environ.get(VARIABLE)
    if not cache:
        return None
    place, found = Path(cache).expanduser(), digest(root, flags)
    if cython:
        return place / f"{found}-{cython}"
    return max(place.glob(f"{found}-*"), key=lambda kept: kept.stat().st_mtime, default=None)


def descriptions(maker: Path) -> Path | None:
    """Where the descriptions are kept that a program has made; None when none are."""
    cache = os.environ.get(VARIABLE)
    if not cache:
        return None
    return Path(cache).expanduser() / f"descriptions-{hashlib.sha256(maker.read_bytes()).hexdigest()[:32]}"


def module(folder: Path | None, name: str) -> Path | None:
    """Where a folder keeps the compiled module of a full name."""
    return folder and folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"


def complete(folder: Path | None, names: Iterable[str]) -> bool:
    """Whether a folder keeps all modules of these names."""
    return all((path := module(folder, name)) is not None and path.is_file() for name in names)


def digest(root: Path, flags: Iterable[str]) -> str:
    """The digest of what the modules of a tree depend on."""
    found = hashlib.sha256()
    outside = [
        sys.version,
        str(sysconfig.get_config_var("EXT_SUFFIX")),
        _compiler(),
        *flags,
    ]
    outside += [os.environ.get(name, "") for name in COMPILING]
    for text in outside:
        found.update(f"{len(text)} {text}\n".encode())
    for path in (root / "setup.py", root / "tools/build_modules.py", *sorted((root / "ext").rglob("*.p*"))):
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


def keep(made: Path, kept: Path) -> None:
    """Keep a file that was made. A cache that cannot be written is left alone: it only saves time."""
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        _prune(kept.parent)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as copy:
            shutil.copyfile(made, copy.name)
        Path(copy.name).replace(kept)  # another build may keep the same file now


def _prune(used: Path) -> None:
    """Drop all folders but this one and those that were used last."""
    others = [one for one in used.parent.iterdir() if one.is_dir() and one != used]
    others.sort(key=lambda one: one.stat().st_mtime)
    for old in others[: -(MOST - 1)]:
        shutil.rmtree(old, ignore_errors=True)


def use(kept: Path, place: Path) -> None:
    """Lay a file that was kept where it belongs."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept, place)
    with contextlib.suppress(OSError):
        os.utime(kept.parent)
