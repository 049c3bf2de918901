"""How long a server takes until it is ready, how much memory it has then,
how long the package takes to import.

A start from a state begins with 5 definitions and 100 objects, in memory and in the durable store. Beside the
medians of the seconds until ready stand the seconds of a processor until then, which a busy machine changes
less, and the least of both.

usage: python benchmarks/startup.py [ROUNDS]
"""

import contextlib
import http.client
import pathlib
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import processes

from pilothouse.testing.server import InProcess

READY_SECONDS, IDLE_MB, IMPORT_MS, STATE_SECONDS = 1.0, 120.0, 200.0, 0.3
"""The goals. That of a start from a state counts where the machine does nothing else."""
DEFINITIONS, OBJECTS = 5, 100
"""In the state."""
SETTLE_SECONDS = 2.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def serve(directory: str, port: int, *flags: str) -> "subprocess.Popen[bytes]":
    """`pilothouse serve` on a durable store."""
    command = [
        sys.executable,
        "-m",
        "pilothouse",
        "serve",
        f"--data-dir={directory}",
        f"--secure-port={port}",
    ]
    return subprocess.Popen([*command, "--bind-address=127.0.0.1", *flags], stderr=subprocess.DEVNULL)


def wait_ready(port: int, process: "subprocess.Popen[bytes]", seconds: float = 30) -> None:
    """Return after the first 200 on /readyz."""
    context = ssl._create_unverified_context()
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.002)
    raise TimeoutError("the server did not become ready")


def end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start_once(directory: str, settle: float = 0.0) -> tuple[float, float]:
    """Seconds until ready, and megabytes after a pause."""
    port = free_port()
    begun = time.monotonic()
    process = serve(directory, port)
    try:
        wait_ready(port, process)
        seconds = time.monotonic() - begun
        time.sleep(settle)
        return seconds, processes.resident(process.pid)
    finally:
        end(process)


def save_state(file: pathlib.Path) -> None:
    """Write a state from which servers start."""
    from crds import DEFINITIONS as PATH
    from crds import MAPS, definition

    with InProcess(["--test-api"]) as server:
        for number in range(DEFINITIONS):
            made = server.root.call("POST", PATH, definition(number, DEFINITIONS))
            server.wait(f"{PATH}/{made['metadata']['name']}", "Established")
        for number in range(OBJECTS):
            server.root.call("POST", MAPS, {"metadata": {"name": f"map-{number}"}, "data": {"a": "b" * 100}})
        server.save_state(file)


class FromState(NamedTuple):
    """Starts from a state: seconds until ready, and of a processor until then."""

    ready: float
    least: float
    processor: float
    least_processor: float


def from_state(rounds: int = 3, *flags: str) -> FromState:
    """Start servers from a state, each in a directory of its own; medians and the least."""
    ready, processor = [], []
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "state"
        save_state(file)
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as directory:
                port = free_port()
                begun = time.monotonic()
                process = serve(directory, port, f"--from-state={file}", *flags)
                try:
                    wait_ready(port, process)
                    ready.append(time.monotonic() - begun)
                    processor.append(processes.cpu_seconds(process.pid))
                finally:
                    end(process)
    return FromState(statistics.median(ready), min(ready), statistics.median(processor), min(processor))


def measure(rounds: int = 3) -> dict[str, float]:
    """Medians: seconds until ready on an empty and on an existing directory, megabytes when idle."""
    empty, existing, memory = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            empty.append(start_once(directory)[0])
            seconds, megabytes = start_once(directory, SETTLE_SECONDS)
            existing.append(seconds)
            memory.append(megabytes)
    return {
        "ready-empty": statistics.median(empty),
        "ready-existing": statistics.median(existing),
        "idle-mb": statistics.median(memory),
    }


def import_ms(module: str = "pilothouse.assembly.process", rounds: int = 5) -> float:
    """The best of a few imports in processes of their own, in milliseconds."""
    times = []
    for _ in range(rounds):
        command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
        found = re.search(r"\|\s*(\d+) \|", said[-1])
        assert found
        times.append(int(found[1]) / 1000)
    return min(times)


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    got = measure(rounds)
    rows: list[tuple[str, float, str, float]] = []
    for store in ("sqlite", "memory"):
        found, what = from_state(rounds, f"--storage-backend={store}"), f"from a state, {store}"
        rows += [
            (f"{what}: ready", found.ready, "s", STATE_SECONDS),
            (f"{what}: ready, the least", found.least, "s", STATE_SECONDS),
            (f"{what}: processor", found.processor, "s", STATE_SECONDS),
            (f"{what}: processor, the least", found.least_processor, "s", STATE_SECONDS),
        ]
    rows += [
        ("ready on an empty directory", got["ready-empty"], "s", READY_SECONDS),
        ("ready on an existing directory", got["ready-existing"], "s", READY_SECONDS),
        ("resident when idle", got["idle-mb"], "MB", IDLE_MB),
        ("import of pilothouse", import_ms("pilothouse"), "ms", IMPORT_MS),
        ("import of the server", import_ms("pilothouse.assembly.process"), "ms", IMPORT_MS),
    ]
    for what, value, unit, most in rows:
        print(f"{what:40} {value:8.2f} {unit:3} at most {most:g}{'' if value <= most else '   <-- missed'}")
    return any(value > most for _, value, _, most in rows)


if __name__ == "__main__":
    sys.exit(main())
