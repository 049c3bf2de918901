"""The clock of a simulation whose time the test moves."""

import asyncio
from collections.abc import Iterator

import pytest
from virtual_time import VirtualLoop

from pilothouse.simulate.clock import Clock

START = 1_780_000_000
"""The Unix time at which the loop's time is 0."""


@pytest.fixture
def clock(virtual: VirtualLoop, runner: asyncio.Runner) -> Iterator[Clock]:
    """A clock that goes on with the loop's virtual time."""
    clock = Clock(lambda: START + virtual.time())
    yield clock
    runner.run(clock.close())
