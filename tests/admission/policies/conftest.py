"""A server that evaluates policies."""

import asyncio
from collections.abc import Iterator

import pytest
from harness import Rig
from policies import Judge, policed


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def rig(runner: asyncio.Runner, judge: Judge) -> Iterator[Rig]:
    rig = policed(judge)
    runner.run(rig.start())
    yield rig
    runner.run(rig.stop())
