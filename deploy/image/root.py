"""Gathers the root of the image: `python3 root.py VENV FOLDER` copies Python, a virtual environment and the
libraries that they load into FOLDER, and nothing else.

Modules are compiled and lie there without their sources. Libraries have lost their symbols. There is no
shell, no package manager and no compiler.
"""

import compileall
import os
import pathlib
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig

UNUSED = frozenset(
    ("__pycache__", "tests", "test", "idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip", "lib2to3")
).union(("pydoc_data", "venv", "pip", "site-packages", "dist-packages", "include", "share"))
"""Folders and modules that a server never imports."""
PREFIXES = ("config-", "_test", "_ctypes_test", "_dbm", "_gdbm", "_curses", "readline")
"""How the names of others begin."""
PROGRAMS = ("pilothouse", "kube-apiserver", "kubectl-history")
SOURCES = frozenset({".pyi", ".pyx", ".pxd", ".c", ".h", ".hpp", ".cc", ".a", ".exe"})
FILES = (
    "/etc/ld.so.cache",
    "/etc/ssl/certs/ca-certificates.crt",
    "/usr/share/zoneinfo",
    "/usr/lib/os-release",
)
TEXTS = {
    "etc/passwd": "root:x:0:0::/:/sbin/nologin\npilothouse:x:65532:65532::/data:/sbin/nologin\n",
    "etc/group": "root:x:0:\npilothouse:x:65532:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
LATER = ("libgcc_s.so.1",)
"""Libraries that the C library loads by their names."""


class Root:
    """The folder that becomes the image's root."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    def at(self, path: "str | os.PathLike[str]") -> pathlib.Path:
        """The place of an absolute path. Links on the way to it are made anew."""
        place, real = self._folder, pathlib.Path("/")
        for part in pathlib.Path(path).parts[1:-1]:
            real /= part
            if real.is_symlink():
                target = os.path.normpath(real.parent / os.readlink(real))
                link = place / part
                if not link.is_symlink():
                    link.symlink_to(os.path.relpath(self._folder / target[1:], place))
                (self._folder / target[1:]).mkdir(parents=True, exist_ok=True)
                place, real = self._folder / target[1:], pathlib.Path(target)
            else:
                place /= part
                place.mkdir(exist_ok=True)
        return place / pathlib.Path(path).name

    def copy(self, path: "str | os.PathLike[str]") -> None:
        """Copy a file, or what its link leads to as well."""
        place = self.at(path)
        if place.is_symlink() or place.exists():
            return
        if os.path.islink(path):
            target = os.path.normpath(pathlib.Path(path).parent / os.readlink(path))
            place.symlink_to(os.readlink(path))
            self.copy(target)
        elif os.path.isdir(path):
            shutil.copytree(path, place, symlinks=True, ignore=shutil.ignore_patterns("right", "posix"))
        else:
            shutil.copy2(path, place)

    def copy_modules(self, path: str) -> None:
        """Copy a folder of modules without what is not used."""

        def unused(_: str, names: list[str]) -> list[str]:
            return [name for name in names if name in UNUSED or name.startswith(PREFIXES) or _is_source(name)]

        shutil.copytree(path, self.at(path), ignore=unused, dirs_exist_ok=True)

    def compile(self) -> None:
        """Put compiled modules in the places of their sources."""
        for top in ("usr", "opt"):
            compiled = compileall.compile_dir(
                self._folder / top,
                quiet=1,
                maxlevels=50,
                legacy=True,
                stripdir=str(self._folder),
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            if (self._folder / top).exists() and not compiled:
                raise SystemExit(f"modules below /{top} cannot be compiled")
        for source in self._folder.rglob("*.py"):
            if source.with_suffix(".pyc").exists():
                source.unlink()

    def strip(self) -> None:
        """Take the symbols from programs and libraries."""
        for path in self._folder.rglob("*"):
            if (
                path.is_file()
                and not path.is_symlink()
                and (path.stat().st_mode & 0o100 or ".so" in path.name)
            ):
                with path.open("rb") as file:
                    if file.read(4) == b"\x7fELF":
                        subprocess.run(["/usr/bin/strip", "--strip-unneeded", path], check=True)

    def libraries(self) -> set[str]:
        """The libraries that what has been copied is linked against."""
        programs = [str(path) for path in self._folder.rglob("*.so*") if not path.is_symlink()]
        said = subprocess.run(
            ["/usr/bin/ldd", sys.executable, *programs], capture_output=True, text=True, check=False
        ).stdout
        found = set(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.M))
        return {path for path in found if not path.startswith(str(self._folder))}


def _is_source(name: str) -> bool:
    return pathlib.PurePath(name).suffix in SOURCES


def gather(environment: pathlib.Path, folder: pathlib.Path) -> None:
    """Make the root of an environment, which belongs to this Python."""
    root = Root(folder)
    folder.mkdir(parents=True)
    root.copy(os.path.realpath(sys.executable))
    for name in ("stdlib", "platstdlib"):
        root.copy_modules(sysconfig.get_path(name))
    packages = sysconfig.get_path(
        "purelib", "venv", vars={"base": str(environment), "platbase": str(environment)}
    )
    shutil.copy2(environment / "pyvenv.cfg", root.at(environment / "pyvenv.cfg"))
    root.copy_modules(packages)
    for name in ("python3", *PROGRAMS):
        root.copy(environment / "bin" / name)
    libraries = root.libraries()
    beside = {str(pathlib.Path(path).parent / name) for path in libraries for name in LATER}
    for path in sorted(libraries | {*FILES} | beside):
        if os.path.exists(path):
            root.copy(path)
    root.strip()
    root.compile()
    for name, text in TEXTS.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)


if __name__ == "__main__":
    gather(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
