"""What a process has used so far, as /proc tells it."""

import os
import pathlib


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time of all threads, in the kernel as well."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Megabytes that are in memory."""
    return _megabytes(pid, "VmRSS")


def peak(pid: int) -> float:
    """The most megabytes that were in memory."""
    return _megabytes(pid, "VmHWM")


def _megabytes(pid: int, name: str) -> float:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024
