"""A server that evaluates policies."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Rig

from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.policies.mutating import MutatingAdmissionPolicy
from pilothouse.admission.policies.validating import ValidatingAdmissionPolicy


class Judge:
    """An authorizer that allows the verb "get", waits for its answer if it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.waits = False

    async def authorize(self, attributes: Any) -> Any:
        self.asked.append(attributes)
        if self.waits:
            await asyncio.sleep(0)
        return Answer(attributes.verb == "get")


class Answer:
    reason = "because"

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def metrics() -> AdmissionMetrics:
    return AdmissionMetrics()


@pytest.fixture
def rig(runner: asyncio.Runner, judge: Judge, metrics: AdmissionMetrics) -> Iterator[Rig]:
    policies = MutatingAdmissionPolicy(judge, metrics), ValidatingAdmissionPolicy(judge, metrics)
    rig = Rig([NamespaceLifecycle(), *policies])
    runner.run(rig.start())
    yield rig
    runner.run(rig.stop())
