"""Builds a container image out of a static busybox:
an archive that `ctr images import` takes (docker save's form).

There is no registry where the rig runs, so it brings its images itself.
"""

import hashlib
import io
import json
import pathlib
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

NAME = "docker.io/library/rig:1"
PAUSE = "docker.io/library/rig-pause:1"
BUSYBOX = "/bin/busybox"

DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "var", "www")
FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": b"root:x:0:\n",
    "www/index.html": b"served by the rig\n",
}


class Files:
    """The files of a layer; the same files make the same bytes."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[tarfile.TarInfo, bytes]] = {}

    def directory(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
        self._entries[path] = entry, b""

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Add a file, and the directories above it."""
        path = path.lstrip("/")
        for above in reversed(pathlib.PurePosixPath(path).parents[:-1]):
            if str(above) not in self._entries:
                self.directory(str(above))
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode = len(data), mode
        self._entries[path] = entry, data

    def link(self, path: str, target: str) -> None:
        entry = tarfile.TarInfo(path)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._entries[path] = entry, b""

    def tar(self) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for entry, data in self._entries.values():
                tar.addfile(entry, io.BytesIO(data))
        return out.getvalue()


def archive(target: pathlib.Path, busybox: pathlib.Path, applets: Sequence[str]) -> None:
    """Write an archive with two images of one layer: NAME, which has a shell, and PAUSE, which sleeps."""
    files = Files()
    for path in DIRECTORIES:
        files.directory(path, 0o1777 if path == "tmp" else 0o755)
    files.file(BUSYBOX, busybox.read_bytes(), 0o755)
    for path, data in FILES.items():
        files.file(path, data)
    for applet in sorted(set(applets) - {"busybox"}):
        files.link(f"bin/{applet}", "busybox")
    commands = {NAME: ["/bin/sh"], PAUSE: ["/bin/sleep", "infinity"]}
    common = {"Env": ["PATH=/bin"], "WorkingDir": "/"}
    pack(target, files.tar(), {name: {"Cmd": command, **common} for name, command in commands.items()})


def pack(target: pathlib.Path, layer: bytes, images: Mapping[str, Mapping[str, Any]]) -> None:
    """Write an archive with images of one layer, by name:
    what an image's configuration says of its containers."""
    manifest, files = [], Files()
    files.file("layer.tar", layer)
    for name, config in images.items():
        described = _config(layer, config)
        path = f"{hashlib.sha256(described).hexdigest()}.json"
        files.file(path, described)
        manifest.append({"Config": path, "RepoTags": [name], "Layers": ["layer.tar"]})
    files.file("manifest.json", json.dumps(manifest).encode())
    target.write_bytes(files.tar())


def _config(layer: bytes, config: Mapping[str, Any]) -> bytes:
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "rig"}],
        }
    ).encode()
