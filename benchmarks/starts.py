"""Many starts of a server, two at once: none may fail, and half of them are ready within a second.

usage: python benchmarks/starts.py [COUNT] [--at-once N] [--simulate]

Each start has a fresh directory, keys of its own and a store in memory, and is stopped once it has answered
/readyz; its exit status must be 0. Prints p50, p99 and the longest, the processor time of a start, and what
failed.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import startup

COUNT, AT_ONCE = 1000, 2
READY_SECONDS = 1.0
"""The goal for half of the starts."""


def start(flags: Sequence[str]) -> float:
    """Seconds until a server is ready. OSError when it is not, or does not end well."""
    with tempfile.TemporaryDirectory() as directory:
        port = startup.free_port()
        begun = time.monotonic()
        process = startup.serve(directory, port, "--storage-backend=memory", *flags)
        try:
            startup.wait_ready(port, process)
            seconds = time.monotonic() - begun
        finally:
            startup.end(process)
        if process.returncode != 0:
            raise OSError(f"the server ended with status {process.returncode}")
        return seconds


def measure(count: int, at_once: int, flags: Sequence[str]) -> tuple[list[float], list[str]]:
    """The seconds of the starts in ascending order, and why others failed."""
    seconds, failed = [], []
    with ThreadPoolExecutor(at_once) as pool:
        for started in [pool.submit(start, flags) for _ in range(count)]:
            try:
                seconds.append(started.result())
            except OSError as error:
                failed.append(str(error))
    return sorted(seconds), failed


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=COUNT)
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    parser.add_argument("--simulate", action="store_true")
    asked = parser.parse_args()
    seconds, failed = measure(asked.count, asked.at_once, ["--simulate=nodes=1"] if asked.simulate else [])
    for error in failed:
        print(error)
    if not seconds:
        return 1
    middle = statistics.median(seconds)
    print(f"{asked.count} starts, {asked.at_once} at once: {len(failed)} failed")
    print(f"p50 {middle:.2f} s, p99 {seconds[len(seconds) * 99 // 100]:.2f} s, longest {seconds[-1]:.2f} s")
    spent = os.times()
    each = (spent.children_user + spent.children_system) / asked.count
    print(f"{each:.2f} s of a processor for a start and the end")
    return bool(failed or middle > READY_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
