"""Free loopback ports for processes that tests start, and detection of ports that are taken nevertheless."""

import os
import pathlib
import random
import socket
import subprocess
from collections.abc import Callable

ATTEMPTS = 3
"""Number of attempts to start a process on other ports."""

SHARES = 8
"""Number of parts into which the ports are divided for workers of pytest-xdist."""

_given: set[int] = set()


class EndedError(RuntimeError):
    """A process has ended instead of serving; the message is the end of its log."""

    def __init__(self, log: pathlib.Path) -> None:
        self.output = log.read_text(errors="replace")[-4000:]
        super().__init__(f"{log.name}: {self.output}")

    @property
    def port_taken(self) -> bool:
        """Whether the process has ended because its port was taken."""
        return "address already in use" in self.output.lower()


def check(process: "subprocess.Popen[bytes] | None", log: pathlib.Path) -> None:
    """Raise EndedError if a process that should be running has ended."""
    if process is not None and process.poll() is not None:
        raise EndedError(log)


def wait_or_move(wait: Callable[[], None], move: Callable[[], None]) -> None:
    """Wait until a process serves. When it has ended because a port was taken,
    `move` starts it on others, to wait again.

    `wait` raises EndedError when the process has ended;
    so does this for another reason, and after `ATTEMPTS` attempts.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            wait()
            return
        except EndedError as error:
            if not error.port_taken:
                raise
            move()
    wait()


def free_ports(count: int) -> list[int]:
    """Ports on which no process listens; each is returned once, until all have been.

    They are below the kernel's ephemeral range: a client could take a port in that range before the server
    starts. Each worker of pytest-xdist draws from ports of its own.
    """
    out: list[int] = []
    candidates = list(_share(_candidates(), os.environ.get("PYTEST_XDIST_WORKER", "")))
    random.shuffle(candidates)
    if len(_given) + count > len(candidates):
        _given.clear()  # all have been given: those that were given first are free again
    for port in candidates:
        if len(out) == count:
            break
        if port not in _given and _free(port):
            _given.add(port)
            out.append(port)
    if len(out) < count:
        raise OSError("no free loopback ports")
    return out


def _candidates() -> range:
    try:
        low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        low = 49152
    return range(max(low - 12_000, 10_000), low) if low > 11_000 else range(10_000, 60_000)


def _share(ports: range, worker: str) -> range:
    """The part of a worker named gw0, gw1 and so on; all ports where there are no workers."""
    number = worker.removeprefix("gw")
    return ports[int(number) % SHARES :: SHARES] if number.isdigit() else ports


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
