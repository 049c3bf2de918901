"""Programs that run in the background, in a network namespace of their own,
and a namespace to run them in."""

import contextlib
import os
import pathlib
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from eventually import eventually

LINES = 30
"""Lines of a program's log that an error shows."""


class Namespace:
    """A network namespace that has one address of its own. Nothing in it reaches the host's network."""

    def __init__(self, address: str) -> None:
        self.name = f"rig-{secrets.token_hex(4)}"
        self.address = address

    def enter(self, *command: str) -> list[str]:
        """The command line that runs a command in it. Mounts stay the host's, so that cgroups can be seen."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *command]

    def run(self, *command: str) -> str:
        return run(*self.enter(*command))

    def open(self) -> None:
        run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")
        self.run(
            "ip", "link", "add", "rig0", "type", "veth", "peer", "name", "rig1"
        )  # both ends stay in here
        self.run("ip", "link", "set", "rig1", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "rig0")
        self.run("ip", "link", "set", "rig0", "up")
        self.run("ip", "route", "add", "default", "dev", "rig0")
        self.run("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def close(self) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)


class Daemon:
    """One program; what it says goes to a file."""

    def __init__(self, name: str, command: Sequence[str], directory: pathlib.Path) -> None:
        self.name = name
        self.command = list(command)
        self.log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def wait_for(self, check: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Wait until `check` is true; AssertionError with the end
        of the log when the program ends or time is over."""

        def look() -> object:
            assert self._process is not None and self._process.poll() is None, f"{self.name} has ended"
            return check()

        try:
            eventually(look, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def tail(self) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join([f"--- {self.name}", *text.splitlines()[-LINES:]])

    def stop(self, seconds: float = 15) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(*command: str, seconds: float = 60) -> str:
    """Run a command to its end; its output, or AssertionError with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


def kill_shims_of(socket: pathlib.Path) -> None:
    """Kill the shims of a containerd, which outlive it,
    and first the containers, which outlive their shims."""
    shims, children = set(), []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        children.append((int(entry.name), parent))
        if words[0].endswith(b"containerd-shim-runc-v2") and str(socket).encode() in words:
            shims.add(int(entry.name))
    for process in [*(child for child, parent in children if parent in shims), *shims]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def unmount_below(directory: pathlib.Path) -> None:
    """Unmount everything below a directory, the deepest first."""
    for _ in range(3):
        mounts = [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
        below = sorted((m for m in mounts if m.startswith(f"{directory}/")), key=len, reverse=True)
        if not below:
            return
        for mount in below:
            subprocess.run(["umount", "-l", mount], capture_output=True, check=False)
        time.sleep(0.01)
