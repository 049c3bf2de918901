"""Counts the instructions of keeping one change in the history's file, beside the requests.

    python benchmarks/count_history.py [KIND ...]

A process under callgrind (Debian: valgrind) writes changes to a store of 200 pods of 6 KB, and counts while
they are moved. The kinds are changes of a status and of a spec that are kept, creations, deletions, and
changes of a status of which a later one of the same minute is kept: of ten of those, one is kept.
"""

import asyncio
import ctypes
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import bench_history
import once
from bench_history import EVERYTHING, bench
from count_server import CALLGRIND, compile_probe

from pilothouse.history.policy import HistoryPolicy
from pilothouse.storage.sqlite.changes import last_of

KINDS = ("status", "spec", "create", "delete", "left-out")
OBJECTS, TURNS = 200, 10
PROBE = """
#include <valgrind/callgrind.h>
void begin(void) { CALLGRIND_START_INSTRUMENTATION; }
void end(void) { CALLGRIND_DUMP_STATS_AT("counted"); CALLGRIND_STOP_INSTRUMENTATION; }
"""


async def move(kind: str, probe: ctypes.CDLL) -> None:
    """Write changes of a kind, and count while they are moved; called under callgrind."""
    policy = HistoryPolicy() if kind == "left-out" else EVERYTHING
    with tempfile.TemporaryDirectory() as folder:
        async with bench(folder, policy) as one:
            names = [f"pod-{number:06}" for number in range(OBJECTS)]
            await one.write(names)
            await one.move()
            one.subresource = "status" if kind == "left-out" else ""
            for turn in range(TURNS):
                if kind == "create":
                    await one.write([f"{name}-{turn}" for name in names])
                elif kind != "delete":
                    await one.write(names, bench_history.CHANGES["spec" if kind == "spec" else "status"])
            if kind == "delete":
                await one.delete(names)
            probe.begin()
            while await one.recorder.step(last_of(one.storage.revision)):
                pass
            probe.end()


def counted(kind: str, folder: pathlib.Path) -> int:
    """The instructions of keeping one change of a kind."""
    command = [*CALLGRIND, f"--callgrind-out-file={folder}/{kind}", sys.executable, __file__, kind]
    environment = {**os.environ, "COUNT_HISTORY": str(folder), "PYTHONHASHSEED": "0"}
    subprocess.run(command, check=True, env=environment)
    [total] = re.findall(r"^totals: (\d+)", (folder / f"{kind}.1").read_text(), re.MULTILINE)
    return int(total) // (OBJECTS * (1 if kind == "delete" else TURNS))


def main() -> None:
    asked = once.arguments()
    if "COUNT_HISTORY" in os.environ:
        asyncio.run(move(asked[0], ctypes.CDLL(os.environ["COUNT_HISTORY"] + "/probe.so")))
        return
    with tempfile.TemporaryDirectory(prefix="pilothouse-count-") as path:
        folder = pathlib.Path(path)
        source = folder / "probe.c"
        source.write_text(PROBE)
        compile_probe(folder, source)
        for kind in asked or KINDS[: once.rounds(len(KINDS))]:
            print(f"{kind:10} {counted(kind, folder):12,}", flush=True)


if __name__ == "__main__":
    main()
