"""The programs and libraries around the server, on which the number of instructions depends as well."""

import importlib.metadata
import platform
import sqlite3
import ssl
import subprocess

PACKAGES = ("cython", "httptools", "orjson", "uvloop")


def environment() -> dict[str, str]:
    """Names and versions."""
    valgrind = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "glibc": platform.libc_ver()[1],
        "valgrind": valgrind.strip(),
        "machine": platform.machine(),
        "processor": _processor(),
    }


def differences(now: dict[str, str], then: dict[str, str]) -> list[str]:
    """A line for each name whose values differ."""
    names = sorted(now.keys() | then.keys())
    pairs = [(name, then.get(name, "none"), now.get(name, "none")) for name in names]
    return [f"{name} was {old} and is {new}" for name, old, new in pairs if old != new]


def _processor() -> str:
    """The model of the processor: libraries choose their functions by what it can do."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line for line in file if line.startswith("model name")]
    except OSError:
        lines = []
    return lines[0].partition(":")[2].strip() if lines else platform.processor()
