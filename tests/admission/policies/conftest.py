"""A server that evaluates policies."""

import asyncio
from collections.abc import Iterator

import pytest
from harness import Rig
from policies import Judge, policed

from pilothouse.admission.metrics import AdmissionMetrics


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def metrics() -> AdmissionMetrics:
    return AdmissionMetrics()


@pytest.fixture
def rig(runner: asyncio.Runner, judge: Judge, metrics: AdmissionMetrics) -> Iterator[Rig]:
    rig = policed(judge, metrics)
    runner.run(rig.start())
    yield rig
    runner.run(rig.stop())
