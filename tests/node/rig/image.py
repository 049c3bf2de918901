"""Builds a container image out of a static busybox: an archive that `ctr images import` takes (docker save's form).

There is no registry where the rig runs, so it brings its images itself.
"""

import hashlib
import io
import json
import pathlib
import tarfile
from collections.abc import Sequence

NAME = "docker.io/library/rig:1"
PAUSE = "docker.io/library/rig-pause:1"
BUSYBOX = "/bin/busybox"

DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "var", "www")
FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": b"root:x:0:\n",
    "www/index.html": b"served by the rig\n",
}


def archive(target: pathlib.Path, busybox: pathlib.Path, applets: Sequence[str]) -> None:
    """Write an archive with two images of one layer: NAME, which has a shell, and PAUSE, which sleeps."""
    layer = _layer(busybox, applets)
    images = {NAME: ["/bin/sh"], PAUSE: ["/bin/sleep", "infinity"]}
    manifest, files = [], {"layer.tar": layer}
    for name, command in images.items():
        config = _config(layer, command)
        path = f"{hashlib.sha256(config).hexdigest()}.json"
        files[path] = config
        manifest.append({"Config": path, "RepoTags": [name], "Layers": ["layer.tar"]})
    files["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(target, "w") as tar:
        for path, data in files.items():
            _add(tar, path, data)


def _config(layer: bytes, command: Sequence[str]) -> bytes:
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": list(command), "Env": ["PATH=/bin"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [digest]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "rig"}],
        }
    ).encode()


def _layer(busybox: pathlib.Path, applets: Sequence[str]) -> bytes:
    """The root file system; the same input makes the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in DIRECTORIES:
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if path == "tmp" else 0o755
            tar.addfile(entry)
        _add(tar, BUSYBOX.strip("/"), busybox.read_bytes(), 0o755)
        for path, data in FILES.items():
            _add(tar, path, data)
        for applet in sorted(set(applets) - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return out.getvalue()


def _add(tar: tarfile.TarFile, path: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))
