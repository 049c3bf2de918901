"""Read what a process has used so far, as the kernel reports it."""

import pathlib
import time


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time of all threads, in the kernel as well, to the nanosecond.

    Linux keeps a clock for each process; its number is made of the pid (clock_getcpuclockid(3)).
    """
    return time.clock_gettime((~pid << 3) | 2)


def resident(pid: int) -> float:
    """Megabytes that are in memory."""
    return _megabytes(pid, "VmRSS")


def peak(pid: int) -> float:
    """The most megabytes that were in memory."""
    return _megabytes(pid, "VmHWM")


def _megabytes(pid: int, name: str) -> float:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024
