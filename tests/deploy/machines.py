"""A Debian that boots in a folder of its own, with its own systemd, processes and network."""

import contextlib
import os
import pathlib
import platform
import signal
import subprocess
from collections.abc import Callable, Iterator

from eventually import eventually

PROGRAMS = ("mmdebstrap", "systemd-nspawn", "nsenter", "podman", "nft")
"""nft is what podman makes a container's network with."""
CONTENTS = "python3-venv,ca-certificates,systemd-sysv,dbus"
"""The packages that the root has beside the base of the distribution:
what an image is built from, and what boots."""
HALT = signal.SIGRTMIN + 3
"""The signal on which systemd halts (systemd(1), Signals)."""


def wanting(which: Callable[[str], str | None], user: int) -> str:
    """Why this user cannot try packages where `which` finds programs; empty if they can."""
    missing = [program for program in PROGRAMS if which(program) is None]
    if missing:
        return (
            f"{', '.join(missing)} not installed; apt-get install mmdebstrap systemd-container podman"
            " nftables"
        )
    return "" if user == 0 else "only root makes other roots"


def make_root(archive: pathlib.Path) -> None:
    """Make an archive of a Debian like the host's, from the mirror that mmdebstrap knows."""
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={CONTENTS}", suite, str(archive)]
    subprocess.run(command, check=True)


class Machine:
    """A root that is booted; its commands are run as root within it."""

    def __init__(self, root: pathlib.Path, process: subprocess.Popen[bytes]) -> None:
        self.root = root
        self._process = process

    @property
    def leader(self) -> int:
        """The machine's first process, as the host numbers it; 0 before there is one.
        systemd-nspawn has another child before."""
        assert self._process.poll() is None, "systemd-nspawn ended"
        number = self._process.pid
        children = pathlib.Path(f"/proc/{number}/task/{number}/children").read_text().split()
        return int(children[0]) if children else 0

    def is_up(self) -> bool:
        """Whether it has booted."""
        said = self.run("systemctl", "is-system-running").stdout if self.leader else ""
        return said.strip() in ("running", "degraded")

    def __call__(self, *command: str) -> str:
        """The output of a command; CalledProcessError when it fails."""
        done = self.run(*command)
        done.check_returncode()
        return done.stdout

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command, as from a shell of a fresh login."""
        inside = [
            "nsenter",
            f"--target={self.leader}",
            *("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"),
            *("env", "--ignore-environment", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", *command),
        ]
        return subprocess.run(inside, capture_output=True, text=True, check=False, timeout=120)

    def state(self, unit: str, *names: str) -> list[str]:
        """The values of properties of a unit."""
        return [self("systemctl", "show", f"--property={name}", "--value", unit).strip() for name in names]


@contextlib.contextmanager
def booted(root: pathlib.Path) -> Iterator[Machine]:
    """Boot a root; at the end it is halted."""
    command = ["systemd-nspawn", "--quiet", f"--directory={root}", "--register=no", "--keep-unit"]
    process = subprocess.Popen(
        [*command, "--private-network", "--boot"],
        env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        machine = Machine(root, process)
        eventually(machine.is_up, "the boot", 120)
        yield machine
        os.kill(machine.leader, HALT)
        process.wait(60)
    finally:
        process.terminate()
        process.wait(60)
