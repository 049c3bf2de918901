"""The order of plugins, and refusals that stop the chain."""

import asyncio
from typing import Any

import pytest
from harness import ADMIN, Rig

from pilothouse import errors
from pilothouse.admission.chain import AdmissionPlugin, Chain
from pilothouse.admission.metrics import VALIDATE, AdmissionMetrics
from pilothouse.registry.admission import Reinvocation


class Noted(AdmissionPlugin):
    def __init__(
        self, name: str, log: Any, *, wanted: bool = True, error: Any = None, waits: bool = False
    ) -> None:
        self.name, self.log = name, log
        self.wanted, self.error, self.waits = wanted, error, waits

    def wants(self, a: Any) -> Any:
        return self.wanted

    def _run(self, half: Any) -> Any:
        self.log.append(f"{self.name} {half}")
        if self.error:
            raise self.error
        return self._later(half) if self.waits else None

    async def _later(self, half: Any) -> None:
        await asyncio.sleep(0)
        self.log.append(f"{self.name} waited")

    def mutate(self, a: Any) -> Any:
        return self._run("mutates")

    def validate(self, a: Any) -> Any:
        return self._run("validates")


class Mutator(AdmissionPlugin):
    def mutate(self, a: Any) -> None:
        return None


async def test_plugins_run_in_order(rig: Rig) -> None:
    log: list[Any] = []
    chain = Chain([Noted("a", log), Noted("b", log, waits=True), Noted("c", log)])
    attributes = rig.attributes({"metadata": {"name": "x"}})
    await chain.mutate(attributes)
    await chain.validate(attributes)
    assert log == [
        "a mutates",
        "b mutates",
        "b waited",
        "c mutates",
        "a validates",
        "b validates",
        "b waited",
        "c validates",
    ]


async def test_a_refusal_ends_it(rig: Rig) -> None:
    log: list[Any] = []
    chain = Chain([Noted("a", log, error=errors.Forbidden("no")), Noted("b", log)])
    with pytest.raises(errors.Forbidden):
        await chain.mutate(rig.attributes({"metadata": {}}))
    assert log == ["a mutates"]


async def test_who_does_not_want_is_not_asked(rig: Rig) -> None:
    log: list[Any] = []
    await Chain([Noted("a", log, wanted=False)]).validate(rig.attributes({"metadata": {}}))
    assert log == []


def test_a_plugin_takes_part_in_the_halves_that_it_has() -> None:
    chain = Chain([Mutator(), AdmissionPlugin()])
    assert [type(p) for p in chain.mutators] == [Mutator] and chain.validators == []
    assert len(chain.plugins) == 2


@pytest.mark.parametrize(
    ("name", "metadata", "shown"),
    [
        ("a", {}, 'pods "a"'),
        ("", {"name": "b"}, 'pods "b"'),
        ("", {"generateName": "g-"}, 'pods "g-"'),
        ("", {}, 'pods "Unknown"'),
    ],
)
async def test_a_refusal_names_the_object(rig: Rig, name: str, metadata: dict[str, Any], shown: str) -> None:
    err = rig.attributes({"metadata": metadata}, name=name).refuse("because")
    assert err.message == f"{shown} is forbidden: because"
    assert err.details["kind"] == "pods"


async def test_the_mutating_half_runs_once_more_when_a_plugin_asks_for_it(rig: Rig) -> None:
    class Asks(AdmissionPlugin):
        name = "asks"

        def __init__(self) -> None:
            self.seen: list[bool] = []

        def mutate(self, a: Any) -> None:
            self.seen.append(a.reinvocation is not None and a.reinvocation.again)
            a.reinvocation = a.reinvocation or Reinvocation()
            a.reinvocation.needed = True

    asks = Asks()
    log: list[Any] = []
    chain = Chain([Noted("a", log), asks])
    for _ in range(2):  # attributes are used again when a write is retried
        attributes = rig.attributes({"metadata": {"name": "x"}})
        await chain.mutate(attributes)
    assert asks.seen == [False, True] * 2 and log == ["a mutates"] * 4


class Passing(AdmissionPlugin):
    """Says one word of every renewal."""

    def __init__(self, word: bool | None) -> None:
        self.word = word
        self.name = f"says {word}"

    def validate(self, a: Any) -> None:
        pass

    def passes_renewal(self, *_: Any) -> bool | None:
        return self.word


@pytest.mark.parametrize(
    ("words", "passes"), [((), True), ((None, True), True), ((True, False), False), ((False, None), False)]
)
def test_a_renewal_passes_where_nobody_has_to_see_it(
    rig: Rig, words: tuple[bool | None, ...], passes: bool
) -> None:
    metrics = AdmissionMetrics()
    chain = Chain([Passing(word) for word in words], metrics)
    leases = rig.catalog.get("coordination.k8s.io", "v1", "leases")
    assert leases is not None
    assert chain.passes_renewal(leases, ADMIN, "default", "a") is passes
    counted = {
        name: metrics.timers(VALIDATE)[name, "UPDATE"][0].count for name in ("", "says True", "says None")
    }
    assert counted == {"": int(passes), "says True": int(True in words), "says None": 0}
    chain.add(Passing(False))
    assert not chain.passes_renewal(leases, ADMIN, "default", "a")


def test_a_plugin_that_says_nothing_has_to_see_renewals(rig: Rig) -> None:
    leases = rig.catalog.get("coordination.k8s.io", "v1", "leases")
    assert leases is not None
    assert not Chain([Mutator()]).passes_renewal(leases, ADMIN, "default", "a")


async def test_a_plugin_is_added_while_requests_are_judged(rig: Rig) -> None:
    log: list[Any] = []
    chain = Chain([Noted("a", log)])
    attributes = rig.attributes({"metadata": {"name": "x"}})
    await chain.mutate(attributes)
    await chain.validate(attributes)
    chain.add(Noted("late", log, error=errors.Forbidden("no more")))
    with pytest.raises(errors.Forbidden, match="no more"):
        await chain.validate(attributes)
    with pytest.raises(errors.Forbidden, match="no more"):
        await chain.mutate(attributes)
    late = ["a mutates", "late mutates"]
    assert log == ["a mutates", "a validates", "a validates", "late validates", *late]
