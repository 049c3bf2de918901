"""Looks at the extensions of a wheel: `python tests/deploy/linked.py WHEEL` fails
when one is not what the wheel's tag says.

Each has to be compiled for the machine of the tag, linked against its C library unless it calls none, and to
need no version of glibc's symbols that is newer than the tag's. Nothing but the standard library and readelf
is used.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

MACHINES = {"x86_64": "Advanced Micro Devices X86-64", "aarch64": "AArch64"}
"""The names of machines in the output of readelf."""
LIBRARIES = {"manylinux": "libc.so.6", "musllinux": "libc.musl-{machine}.so.1"}


def faults(wheel: pathlib.Path) -> list[str]:
    """The faults of a wheel."""
    tag = re.search(r"[-.](manylinux|musllinux)_(\d+)_(\d+)_(\w+)\.whl$", wheel.name)
    if tag is None:
        return [f"{wheel.name}: no tag of manylinux or musllinux"]
    family, major, minor, machine = tag.groups()
    newest = (int(major), int(minor)) if family == "manylinux" else ()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
        found = sorted(pathlib.Path(folder).rglob("*.so"))
        if not found:
            return [f"{wheel.name}: no extensions"]
        return [
            f"{path.name}: {fault}"
            for path in found
            for fault in faults_of(path, MACHINES[machine], LIBRARIES[family].format(machine=machine), newest)
        ]


def faults_of(path: pathlib.Path, machine: str, library: str, newest: tuple[int, ...]) -> list[str]:
    """The faults of one extension; `newest` is the newest version of glibc that it may need,
    () for none at all."""
    command = ["readelf", "--wide", "--file-header", "--dynamic", "--version-info", str(path)]
    said = subprocess.check_output(command, text=True)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", said))
    versions = {
        tuple(int(part) for part in version.split(".")) for version in re.findall(r"\bGLIBC_(\d[\d.]*)", said)
    }
    wrong = [] if re.search(rf"Machine: +{machine}\n", said) else [f"not for {machine}"]
    if needed and library not in needed:
        wrong.append(f"not linked against {library}")
    wrong += [
        f"linked against {name}" for name in sorted(needed) if name.startswith("libc.") and name != library
    ]
    wrong += [
        f"needs GLIBC_{'.'.join(map(str, version))}" for version in sorted(versions) if version > newest
    ]
    return wrong


def main() -> None:
    wrong = [line for argument in sys.argv[1:] for line in faults(pathlib.Path(argument))]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
