"""Measure what a plugin of a package adds to a create:
a look where it is not asked, else a call on its thread."""

import asyncio
from typing import Any

import pytest
from harness import Rig

from pilothouse.admission.api import AdmissionRequest, Plugin
from pilothouse.admission.chain import Chain
from pilothouse.admission.installed.calls import Calls
from pilothouse.admission.installed.hosted import Hosted
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.configuration.entry_points import Offered
from pilothouse.offload import Turns

CALLS = 200


class Threaded(Plugin):
    resources = ("pods",)

    def validate(self, request: AdmissionRequest) -> None:
        return None


class Awaited(Plugin):
    resources = ("pods",)

    async def validate(self, request: AdmissionRequest) -> None:
        return None


class Elsewhere(Threaded):
    resources = ("configmaps",)


@pytest.mark.parametrize("kind", [None, Elsewhere, Threaded, Awaited])
def test_validate(benchmark: Any, kind: type[Plugin] | None) -> None:
    """The time of CALLS validations, one after the other."""
    with asyncio.Runner() as runner:
        calls = Calls("bench", Turns())
        halves: list[Any] = []
        if kind is not None:
            hosted = Hosted(Offered("Bench", "", "bench 1.0"), kind({}), calls, AdmissionMetrics())
            halves = list(hosted.halves())
        chain, rig = Chain(halves), Rig()
        runner.run(rig.start())
        containers = [{"name": "c", "image": "i", "env": [{"name": "A", "value": "b"}]}]
        pod = {"metadata": {"name": "p"}, "spec": {"containers": containers}}
        attributes = rig.attributes(pod)

        async def run() -> None:
            for _ in range(CALLS):
                await chain.validate(attributes)

        benchmark(lambda: runner.run(run()))
        runner.run(rig.stop())
        calls.close()
