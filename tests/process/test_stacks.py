"""The stacks of threads where the C library gives little."""

import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from fuzzing import JSON, MAPS, Target

from pilothouse.process import stacks
from pilothouse.testing.server import InProcess, Subprocess

MUSL = 128 << 10
"""The stack that musl gives a thread."""
DEEP = b'{"metadata":{"name":"m","managedFields":' + b"[" * 9900 + b"]" * 9900 + b"}}"
"""Enough bytes to be read on a thread."""
RUN = f"""
import sys, threading
threading.stack_size({MUSL})
from pilothouse import cli
"""
TELL = """
from pilothouse.assembly import process

async def serve(*arguments):
    print(threading.stack_size())
    return 0

process.serve = serve
"""
SERVE = "sys.exit(cli.main(sys.argv[1:]))"


class Small(Subprocess):
    """A server in a process whose threads have what musl gives them, unless it asks for more."""

    def _spawn(self) -> None:
        [self.port] = self._choose(1)
        command = [sys.executable, "-c", RUN + SERVE, "serve", *self.arguments()]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)


@pytest.fixture
def restored() -> Iterator[None]:
    """Threads of later tests get what they got before."""
    before = threading.stack_size(0)
    yield
    threading.stack_size(before)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(("before", "after"), [(0, stacks.STACK), (MUSL, stacks.STACK), (64 << 20, 64 << 20)])
def test_stacks_are_made_larger_only(before: int, after: int) -> None:
    threading.stack_size(before)
    stacks.deepen()
    assert threading.stack_size(0) == after


def test_a_process_gives_its_threads_enough(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-c", RUN + TELL + SERVE, "serve", f"--data-dir={tmp_path}"]
    assert subprocess.check_output(command, text=True) == f"{stacks.STACK}\n"


@pytest.mark.usefixtures("restored")
def test_a_server_within_a_test_does_as_well() -> None:
    threading.stack_size(MUSL)
    with InProcess():
        assert threading.stack_size(0) == stacks.STACK


@pytest.mark.slow
def test_a_deep_value_ends_no_process() -> None:
    """A deep value would end a process of CPython 3.13 with a small stack."""
    with Small() as server:
        target = Target(server)
        for _ in range(3):
            assert target.send("POST", MAPS, DEEP, JSON).status == 400
        assert target.send("GET", "/readyz").body == b"ok"
        target.close()
