"""A server of its own for each test: it loses leases and clusters."""

import asyncio
import pathlib
from collections.abc import Iterator

import pytest
from clusters.sharing import SharingRig
from event_loops import running


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """The event loop of a test."""
    with running() as runner:
        yield runner


@pytest.fixture
def rig(runner: asyncio.Runner, tmp_path: pathlib.Path) -> Iterator[SharingRig]:
    """The server."""
    rig = SharingRig(tmp_path)
    runner.run(rig.start())
    yield rig
    rig.mine.gate.set()
    runner.run(rig.stop())
