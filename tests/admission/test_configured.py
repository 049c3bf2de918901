import asyncio
from typing import Any

import pytest
from quality.test_imports import python

from pilothouse.admission.chain import AdmissionPlugin, Chain
from pilothouse.admission.configured import ConfiguredMutating, ConfiguredPlugin, ConfiguredValidating
from pilothouse.api.values.identity import ANONYMOUS

RESOURCES = ("policies", "bindings")


class Readers:
    """Subscriptions by resource, and the resources that have an object from the beginning."""

    def __init__(self, *there: str) -> None:
        self.there = there
        self.callbacks: dict[str, Any] = {}

    def subscribe(self, resource: str, callback: Any) -> None:
        assert resource not in self.callbacks, "subscribed once"
        self.callbacks[resource] = callback
        if resource in self.there:
            callback("key", {"metadata": {}}, None)


class Attributes:
    def __init__(self, readers: Readers) -> None:
        self.readers = readers


class Judge(AdmissionPlugin):
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = False

    def wants(self, a: Any) -> bool:
        self.asked.append("wants")
        return True

    def mutate(self, a: Any) -> Any:
        self.asked.append("mutate")
        return {"changed": True}

    def validate(self, a: Any) -> None:
        self.asked.append("validate")

    async def close(self) -> None:
        self.closed = True


def stand_in(kind: type[ConfiguredPlugin]) -> tuple[ConfiguredPlugin, list[Judge]]:
    made: list[Judge] = []

    def make() -> Judge:
        made.append(Judge())
        return made[-1]

    return kind("Name", RESOURCES, make), made


@pytest.mark.parametrize("kind", [ConfiguredMutating, ConfiguredValidating])
def test_a_plugin_is_made_for_the_first_object(kind: type[ConfiguredPlugin]) -> None:
    plugin, made = stand_in(kind)
    a: Any = Attributes(Readers())
    assert not plugin.wants(a)
    assert not plugin.wants(a)
    assert made == []
    a.readers.callbacks["bindings"]("key", None, {"metadata": {}})
    assert made == []
    for _ in range(2):
        a.readers.callbacks["bindings"]("key", {"metadata": {}}, None)
        assert plugin.wants(a)
    [judge] = made
    assert judge.asked == ["wants", "wants"]


def test_objects_that_are_there_count() -> None:
    plugin, made = stand_in(ConfiguredValidating)
    a: Any = Attributes(Readers("policies"))
    assert plugin.wants(a)
    plugin.validate(a)
    assert made[0].asked == ["wants", "validate"]


def test_a_change_goes_through() -> None:
    plugin = stand_in(ConfiguredMutating)[0]
    a: Any = Attributes(Readers("policies"))
    assert plugin.wants(a) and plugin.mutate(a) == {"changed": True}


def test_each_stands_for_one_half() -> None:
    mutating, validating = stand_in(ConfiguredMutating)[0], stand_in(ConfiguredValidating)[0]
    chain = Chain([mutating, validating])
    assert (chain.mutators, chain.validators) == ([mutating], [validating])


def test_renewals_pass_until_there_is_an_object() -> None:
    plugin, made = stand_in(ConfiguredValidating)
    lease: Any = None
    assert plugin.passes_renewal(lease, ANONYMOUS, "", "") is False, "nobody knows yet whether there is one"
    a: Any = Attributes(Readers())
    plugin.wants(a)
    assert plugin.passes_renewal(lease, ANONYMOUS, "", "") is None
    a.readers.callbacks["policies"]("key", {"metadata": {}}, None)
    assert plugin.passes_renewal(lease, ANONYMOUS, "", "") is made[0].passes_renewal(lease, ANONYMOUS, "", "")


@pytest.mark.parametrize("there", [(), ("policies",)])
def test_what_was_made_is_closed(there: tuple[str, ...]) -> None:
    plugin, made = stand_in(ConfiguredValidating)
    plugin.wants(Attributes(Readers(*there)))  # type: ignore[arg-type]
    asyncio.run(plugin.close())
    assert [judge.closed for judge in made] == [True] * len(there)


def test_a_start_imports_no_expressions_and_no_policies() -> None:
    program = "import pilothouse.assembly.process, sys; print(*sys.modules)"
    found = python("-c", program).stdout.split()
    wanted = ("pilothouse.api.cel", "pilothouse.admission.policies", "pilothouse.admission.webhooks.calling")
    assert [name for name in found if name.startswith(wanted)] == []
