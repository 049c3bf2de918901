"""The delays of a bystander are the server's, and not those of a machine that runs other processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from eventually import eventually
from fuzz.siege import Siege
from fuzz.watching import Stopwatch, scheduled


@contextmanager
def busy(processor: int) -> Iterator[int]:
    """A process that wants one processor all the time."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(process.pid, {processor})
        yield process.pid
    finally:
        process.kill()
        process.wait()


def has_queued(process: int, seconds: float) -> bool:
    return scheduled(str(process))[1] > seconds


def test_the_queue_for_a_processor_does_not_count() -> None:
    processor = min(os.sched_getaffinity(0))
    with busy(processor) as one, busy(processor) as other:
        for pid in (one, other):
            before, begun = scheduled(str(pid))[1], time.perf_counter()
            watch = Stopwatch(pid)
            eventually(partial(has_queued, pid, before + 0.1), "it to wait for the other", 60)
            assert watch.seconds() < time.perf_counter() - begun - 0.05


@pytest.mark.slow
def test_a_server_that_stands_still_is_waited_for() -> None:
    """A process that is stopped is not ready for a processor, so the time of those who wait is its own."""
    with Siege() as siege:
        for seconds in (0.3, 1, 3, 9):  # on a busy machine the bystander may ask late
            siege.bystander.seen()
            os.kill(siege.pid, signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(siege.pid, signal.SIGCONT)
            if siege.bystander.seen().longest > 0.2:
                return
    raise AssertionError("a server that stood still was not waited for")
