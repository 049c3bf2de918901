"""Fuzzes the decoders in processes of their own, which AddressSanitizer, a mistake or a hang may end.

`python -m fuzz.decoders` is a part of `make fuzz`, which runs it on modules that are built with sanitizers.
What an input shows to be wrong is kept in a file, and told with the command that repeats it. There is no
guidance by coverage: atheris takes extensions that clang has built,
and hypothesis keeps nothing of an input that ends the process.
"""

import argparse
import faulthandler
import mmap
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import random
import signal
import struct
import sys
import time
import traceback
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkProcess
from typing import NoReturn

from fuzz import engine_frames, engine_http1, engine_http2, engine_json, engine_objects, engine_texts
from fuzz.engines import LONGEST, Engine

ENGINES = (
    *engine_frames.ENGINES,
    engine_http1.ENGINE,
    engine_http2.ENGINE,
    *engine_json.ENGINES,
    *engine_objects.ENGINES,
    *engine_texts.ENGINES,
)

PATIENCE = 20
"""Seconds that an input may take."""

MOST = 20
"""Findings after which it ends early."""

_HEAD = struct.Struct(">IIQ")


class Board:
    """Memory that outlives a process: the input that it works on,
    and how many it has worked on of each engine."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._memory = mmap.mmap(-1, _HEAD.size + LONGEST + 8 * len(engines))
        self._engines = engines

    def begin(self, engine: int, data: bytes) -> None:
        self._memory[: _HEAD.size] = _HEAD.pack(engine, zlib.crc32(data), len(data))
        self._memory[_HEAD.size : _HEAD.size + len(data)] = data

    def end(self, engine: int) -> None:
        at = _HEAD.size + LONGEST + 8 * engine
        self._memory[at : at + 8] = struct.pack(">Q", self.counts()[engine] + 1)

    def last(self) -> tuple[Engine, bytes]:
        engine, _, size = _HEAD.unpack(self._memory[: _HEAD.size])
        return self._engines[engine], self._memory[_HEAD.size : _HEAD.size + size]

    def counts(self) -> tuple[int, ...]:
        return struct.unpack(f">{len(self._engines)}Q", self._memory[_HEAD.size + LONGEST :])


@dataclass
class Report:
    """How many inputs of each engine were tried, and the files of those that show a mistake."""

    counts: dict[str, int]
    found: list[pathlib.Path] = field(default_factory=list)


def hunt(
    engines: Sequence[Engine],
    seconds: float,
    seed: int,
    folder: pathlib.Path,
    jobs: int = 1,
    patience: int = PATIENCE,
) -> Report:
    """Try inputs in `jobs` processes at a time; one that ends is replaced, its input kept in `folder`."""
    ends = time.monotonic() + seconds
    report = Report(dict.fromkeys((engine.name for engine in engines), 0))
    fork = multiprocessing.get_context("fork")
    running: dict[int, tuple[ForkProcess, Board]] = {}
    number = 0
    while running or (time.monotonic() < ends and len(report.found) < MOST):
        while len(running) < jobs and time.monotonic() < ends and len(report.found) < MOST:
            board = Board(engines)
            process = fork.Process(target=_work, args=(engines, board, f"{seed}/{number}", ends, patience))
            number += 1
            process.start()
            running[process.sentinel] = process, board
        multiprocessing.connection.wait(list(running))
        for process, board in [pair for pair in running.values() if not pair[0].is_alive()]:
            del running[process.sentinel]
            process.join()
            for engine, count in zip(engines, board.counts(), strict=True):
                report.counts[engine.name] += count
            if process.exitcode:
                report.found.append(keep(*board.last(), folder))
                print(f"exit code {process.exitcode}; {repeat(report.found[-1])}", flush=True)
    return report


def _work(engines: Sequence[Engine], board: Board, seed: str, ends: float, patience: int) -> NoReturn:
    """Try inputs until time is over or one shows a mistake; the engine that has used least time is next."""
    faulthandler.enable()
    faulthandler.register(signal.SIGALRM, chain=True)
    used = [0.0] * len(engines)
    chances = [random.Random(f"{seed}/{engine.name}") for engine in engines]
    status = 0
    while not status and (begun := time.monotonic()) < ends:
        at = used.index(min(used))
        signal.alarm(patience)
        data = engines[at].input(chances[at])
        board.begin(at, data)
        status = tried(engines[at], data)
        board.end(at)
        signal.alarm(0)
        used[at] += time.monotonic() - begun
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def tried(engine: Engine, data: bytes) -> int:
    """0, or 1 with a traceback when an input shows a mistake."""
    try:
        engine.check(data)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def keep(engine: Engine, data: bytes, folder: pathlib.Path) -> pathlib.Path:
    """The file in which an input is kept; its name begins with the engine's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{engine.name}-{zlib.crc32(data):08x}"
    path.write_bytes(data)
    return path


def repeat(path: pathlib.Path) -> str:
    return f"to repeat it: make fuzz-decoders REPLAY={path}"


def replay(engines: Sequence[Engine], path: pathlib.Path, patience: int = PATIENCE) -> int:
    """Try the input in a file once more."""
    signal.alarm(patience)
    name = path.name.partition("-")[0]
    return tried(next(engine for engine in engines if engine.name == name), path.read_bytes())


def main(engines: Sequence[Engine] = ENGINES) -> int:
    parser = argparse.ArgumentParser(description="Fuzz the decoders.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", default="", help="a part of the names of the engines")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--patience", type=int, default=PATIENCE, help="seconds that an input may take")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("build/fuzz-found"))
    parser.add_argument("--replay", type=pathlib.Path, help="a file with an input, which alone is tried")
    args = parser.parse_args()
    if args.replay is not None:
        return replay(engines, args.replay, args.patience)
    print(f"FUZZ_SEED={args.seed}", flush=True)
    selected = [engine for engine in engines if args.only in engine.name]
    report = hunt(selected, args.seconds, args.seed, args.folder, args.jobs, args.patience)
    print(*(f"{name}: {count} inputs" for name, count in report.counts.items()), sep="\n")
    print(*map(repeat, report.found), f"{len(report.found)} found", sep="\n")
    return 1 if report.found else 0


if __name__ == "__main__":
    sys.exit(main())
