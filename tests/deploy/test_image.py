"""The image of deploy/image, built and run by the commands of docs/install.md."""

import gzip
import json
import os
import pathlib
import re
import resource
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from clients.drivers import BINARY as KUBECTL
from deploy.page import commands
from eventually import eventually

from pilothouse.testing.ports import free_ports

ROOT = pathlib.Path(__file__).parents[2]
CONTAINERFILE = ROOT / "deploy/image/Containerfile"
OF_THE_HOST = ("/etc/ssl/certs", "/etc/pip.conf")
"""The files by which the host reaches the registry of packages; mounted when the image is built."""
READY = "A kubeconfig was written"
"""The line of the log for which testcontainers and others wait."""
MEGABYTES = 60
"""The image at most, as registries count it."""
HYBRID = "/sys/fs/cgroup/unified"
"""crun starts nothing where both versions of cgroups are mounted."""


class Podman:
    """Podman with images and containers of its own, in a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        limits = [
            f"{name}={high}:{high}" for name, high in (("nofile", _most("NOFILE")), ("nproc", _most("NPROC")))
        ]
        (folder / "containers.conf").write_text(
            f'[containers]\ndefault_ulimits = {json.dumps(limits)}\n[engine]\ncgroup_manager = "cgroupfs"\n'
        )
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
        )
        self.environment = os.environ | {
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
        }
        # One mount namespace for all commands:
        # what podman mounts for the network of a container is found again there.
        hidden = f"! mountpoint --quiet {HYBRID} || umount {HYBRID}; echo; exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-euc", hidden], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None and self._holder.stdout.readline() == b"\n"

    def close(self) -> None:
        """End what keeps the mount namespace, once all containers are gone."""
        self._holder.communicate()

    def run(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Run a script of commands of podman's, and end at the first that fails."""
        return subprocess.run(
            ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", f"--wd={ROOT}", "sh", "-euc", script],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(self, *arguments: str) -> str:
        done = self.run("podman " + " ".join(arguments))
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout


def _most(name: str) -> int:
    hard: int = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1]
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


@pytest.fixture(scope="module")
def podman(debian: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    folder = tmp_path_factory.mktemp("podman")
    made = Podman(folder)
    made("import", str(debian), "localhost/debian")
    yield made
    made("rm", "--all", "--force", "--time=1")
    made("rmi", "--all", "--force")
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


def health_check() -> str:
    """The command of the image's HEALTHCHECK, for a shell. Podman's own format of images has none."""
    found = re.search(r"^HEALTHCHECK .* CMD (\[.*?\])$", CONTAINERFILE.read_text(), re.M | re.S)
    assert found
    return shlex.join(json.loads(found[1].replace("\\\n", "")))


def test_a_health_check_needs_no_shell() -> None:
    assert shlex.split(health_check())[:2] == ["python3", "-c"]


@pytest.mark.slow
@pytest.mark.kubectl
@pytest.mark.timeout(3600)
def test_it_runs_read_only_as_nobody(podman: Podman, tmp_path: pathlib.Path) -> None:
    """The commands of the page; the base is a Debian, and the port on the host a free one."""
    build, run, kubeconfig = commands("As an image")
    mounts = " ".join(f"--volume {path}:{path}:ro" for path in OF_THE_HOST if os.path.exists(path))
    base = "--build-arg BASE=localhost/debian --build-arg BUILD_PACKAGES='gcc libc6-dev python3-dev'"
    done = podman.run(build.replace("podman build", f"podman build {mounts} {base}"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    archive = tmp_path / "image.tar"
    podman("save", f"--output={archive}", "pilothouse")
    packed = len(gzip.compress(archive.read_bytes(), 6)) / 1e6
    assert packed <= MEGABYTES
    port = str(free_ports(1)[0])
    done = podman.run(run.replace("-p 6443:", f"-p 127.0.0.1:{port}:"))
    assert done.returncode == 0, done.stderr
    target = tmp_path / "admin.kubeconfig"
    line = kubeconfig.replace("127.0.0.1:6443", f"127.0.0.1:{port}").replace("admin.kubeconfig", str(target))
    eventually(lambda: READY in podman.run("podman logs pilothouse").stderr, "the line that it is ready", 60)
    assert podman.run(line).returncode == 0

    def kubectl(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [str(KUBECTL), f"--kubeconfig={target}", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert eventually(lambda: kubectl("get", "--raw", "/readyz").stdout, "the server", 60) == "ok"
    assert kubectl("create", "namespace", "kept").returncode == 0
    python = 'podman exec {} pilothouse python3 -c \'print(open("{}", "{}").read())\''
    status = podman.run(python.format("", "/proc/1/status", "r")).stdout
    assert "Uid:\t65532\t65532\t65532\t65532" in status and "CapEff:\t0000000000000000" in status
    assert "Read-only file system" in podman.run(python.format("--user=0", "/etc/x", "w")).stderr
    for gone in ("sh", "gcc", "pip"):
        assert "not found" in podman.run(f"podman exec pilothouse {gone}").stderr
    assert podman.run(f"podman exec pilothouse {health_check()}").returncode == 0
    podman("stop", "--time=60", "pilothouse")
    assert podman("inspect", "--format='{{.State.ExitCode}}'", "pilothouse").strip() == "0"
    podman("rm", "pilothouse")
    assert podman.run(run.replace("-p 6443:", f"-p 127.0.0.1:{port}:")).returncode == 0
    assert eventually(lambda: kubectl("get", "namespace", "kept", "-o", "name").stdout, "the volume", 60)
