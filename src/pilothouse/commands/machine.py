"""The description of the machine on a sheet of figures,
and a calibration by which two machines are compared."""

import hashlib
import json
import os
import platform
import socket
import sqlite3
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pilothouse.process.cgroup import memory_limit

TRIES, TRY_SECONDS = 5, 0.1
SYNCS = 20
"""Durable writes that are timed."""


def facts(directory: Path) -> dict[str, Any]:
    """Processor, memory, system and software; `directory` lies on the disk whose durable writes are timed."""
    times = sorted(syncs(directory))
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memoryBytes": memory_limit() or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION.removeprefix("OpenSSL ").split()[0],
        "sqlite": sqlite3.sqlite_version,
        "load": round(os.getloadavg()[0], 2),
        "durableWriteSeconds": times[len(times) // 2],
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model", "cpu model"):
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def syncs(directory: Path) -> Iterator[float]:
    """The seconds that each of some durable writes of 4 KiB takes; the file is removed."""
    path = directory / f".pilothouse-{os.getpid()}"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for _ in range(SYNCS):
            began = time.perf_counter()
            os.write(handle, bytes(4096))
            os.fdatasync(handle)
            yield time.perf_counter() - began
    finally:
        os.close(handle)
        path.unlink()


def calibration() -> float:
    """Seconds of processor time that one round of a fixed work takes on this machine, at its best.

    A round reads and writes some JSON, hashes it and sends it through a socket of the kernel, as a server
    does. It uses the standard library alone and must stay as it is: sheets are compared by it.
    """
    labels = {f"example.com/label-{i}": f"value-{i}" for i in range(20)}
    containers = [
        {"name": f"c{i}", "image": "registry.example.com/a/b:1.2.3", "args": ["--x"] * 8} for i in range(8)
    ]
    document = {"metadata": {"name": "calibration", "labels": labels}, "spec": {"containers": containers}}
    one, other = socket.socketpair()
    best = float("inf")
    with one, other:
        for _ in range(TRIES):
            rounds, began = 0, time.process_time()
            while (taken := time.process_time() - began) < TRY_SECONDS:
                for _ in range(100):
                    data = json.dumps(document).encode()
                    hashlib.sha256(data).digest()
                    one.sendall(data)
                    json.loads(other.recv(1 << 16))
                rounds += 100
            best = min(best, taken / rounds)
    return best
