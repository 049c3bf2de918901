"""The server under test."""

import logging
import threading
from collections.abc import Iterator

import pytest
from extreme_player import Mistakes
from fuzzing import Target, bystander

from pilothouse.testing.server import Subprocess


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """One server for all garbage of a file; at the end it must live,
    have logged no traceback and answer everybody else."""
    with Subprocess(["--v=1"]) as server:
        target = Target(server)
        stop = threading.Event()
        slowest = [0.0]
        thread = threading.Thread(target=bystander, args=(server, stop, slowest))
        thread.start()
        yield target
        stop.set()
        thread.join()
        target.close()
        assert server.process is not None and server.process.poll() is None, "the server is gone"
        assert "Traceback" not in target.log(), target.log()[-6000:]
        assert slowest[0] < 5.0, f"another client waited {slowest[0]:.1f} s"


@pytest.fixture
def mistakes() -> Iterator[Mistakes]:
    handler = Mistakes()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)
