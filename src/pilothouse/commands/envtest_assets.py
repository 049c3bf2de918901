"""The programs that controller-runtime's envtest starts, as a folder without an etcd: KUBEBUILDER_ASSETS."""

import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

SERVER = "import sys; from pilothouse.cli import kube_apiserver; sys.exit(kube_apiserver())"
FLAGS = ("--storage-backend=memory", "--controllers=")
"""The flags before those of the suite: objects stay in memory, and no controller runs unless the suite asks
for it, as with kube-apiserver alone."""


def write(folder: Path) -> list[str]:
    """Write the programs into a folder; their names. kubectl is a link to the one in the path, if any."""
    folder.mkdir(parents=True, exist_ok=True)
    stand_in = find_spec("pilothouse.testing.etcd_stand_in")
    assert stand_in is not None and stand_in.origin is not None
    _program(folder / "etcd", sys.executable, "-IS", stand_in.origin)
    _program(folder / "kube-apiserver", sys.executable, "-P", "-c", SERVER, *FLAGS)
    names = ["etcd", "kube-apiserver"]
    if found := shutil.which("kubectl"):
        link, kubectl = folder / "kubectl", Path(found).resolve()  # the folder may be in the path, too
        if link.absolute() != kubectl:
            link.unlink(missing_ok=True)
            link.symlink_to(kubectl)
        names.append("kubectl")
    return names


def _program(path: Path, *words: str) -> None:
    """Write a script of the shell that runs a command with its own arguments after it."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o755)
    path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
