"""Builds an image of the server for the manifests in deploy/:
the Python that runs the tests, and what the package needs.

It stands in for the image of deploy/image/Containerfile, which needs a base image out of a registry: the same
name, user, volume and commands, other files below them.
"""

import importlib.metadata
import pathlib
import subprocess
import sys
import sysconfig
from collections.abc import Iterator

from node.rig.image import Files, pack
from packaging.requirements import Requirement

import pilothouse

NAME = "localhost/pilothouse:latest"
NAME_FOR_KUBEADM = "localhost/pilothouse:v1.36.2"
USER = 65532
EXTRAS = ("etcd", "kms", "secretbox")
BIN = "opt/pilothouse/bin"
COMMANDS = {"pilothouse": "main", "kube-apiserver": "kube_apiserver"}
LEFT_OUT = {
    "__pycache__",
    "site-packages",
    "test",
    "idlelib",
    "ensurepip",
    "lib2to3",
    "tkinter",
    "turtledemo",
}


def archive(target: pathlib.Path) -> None:
    """Write an archive with the image and its names, as docker save does."""
    package = pathlib.Path(pilothouse.__file__).parent
    modules = [
        *_below(pathlib.Path(sysconfig.get_path("stdlib"))),
        *_below(package),
        *_installed("pilothouse", EXTRAS),
    ]
    programs = [pathlib.Path(sys.executable).resolve()]
    files = Files()
    for path in sorted({*modules, *programs, *_libraries(programs, modules)}):
        files.file(str(path), path.read_bytes(), 0o755)
    for command, function in COMMANDS.items():
        line = f"#!{programs[0]}\nimport sys\nfrom pilothouse.cli import {function}\nsys.exit({function}())\n"
        files.file(f"{BIN}/{command}", line.encode(), 0o755)
    files.directory("data", 0o700, USER)
    files.directory("tmp", 0o1777)
    search = [str(package.parent), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    config = {
        "Entrypoint": ["pilothouse"],
        "Cmd": ["serve", "--data-dir", "/data"],
        "Env": [f"PATH=/{BIN}", "HOME=/data", f"PYTHONPATH={':'.join(search)}", "PYTHONDONTWRITEBYTECODE=1"],
        "User": f"{USER}:{USER}",
        "Volumes": {"/data": {}},
    }
    pack(target, files.tar(), {NAME: config, NAME_FOR_KUBEADM: config})


def _below(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    for path in directory.rglob("*"):
        wanted = path.suffix != ".a" and not LEFT_OUT.intersection(path.relative_to(directory).parts)
        if wanted and path.is_file():
            yield path


def _installed(name: str, extras: tuple[str, ...] = ()) -> Iterator[pathlib.Path]:
    """The files of all packages that a package needs, and so on; not its own."""
    wanted, seen = [(name, extras)], set()
    while wanted:
        name, extras = wanted.pop()
        for line in importlib.metadata.requires(name) or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker and not any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                continue
            if requirement.name in seen:
                continue
            seen.add(requirement.name)
            wanted.append((requirement.name, tuple(requirement.extras)))
            for entry in importlib.metadata.files(requirement.name) or ():
                path = pathlib.Path(str(entry.locate()))
                if path.is_file() and ".." not in entry.parts and "__pycache__" not in entry.parts:
                    yield path


def _libraries(programs: list[pathlib.Path], modules: list[pathlib.Path]) -> set[pathlib.Path]:
    """The shared libraries that they are linked with, by the paths at which they are looked for."""
    linked = [*programs, *(path for path in modules if ".so" in path.suffixes)]
    said = subprocess.run(["ldd", *map(str, linked)], capture_output=True, text=True, check=False).stdout
    words = {word for line in said.splitlines() if line.startswith("\t") for word in line.split()}
    return {pathlib.Path(word) for word in words if word.startswith("/")}
