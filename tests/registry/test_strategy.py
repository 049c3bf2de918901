"""The strategies of all built-in kinds are consistent."""

from typing import Any

import pytest
from harness import ADMIN

from pilothouse.registry.catalog import built_in
from pilothouse.registry.strategy import Strategy, WriteContext

RESOURCES = [r for r in built_in() if not r.virtual]


def test_the_defaults_are_those_of_upstream() -> None:
    strategy = Strategy()
    assert not strategy.create_on_update and strategy.unconditional_update
    assert strategy.garbage_collection == "background" and strategy.grace_period is None
    assert list(strategy.name_check("a.b-c", False)) == [] and list(strategy.name_check("A", False))


def test_contexts_share_nothing() -> None:
    one, two = (WriteContext(user=ADMIN, verb="get", resource=RESOURCES[0]) for _ in range(2))
    one.warnings.append("x")
    one.undo.append(print)
    assert two.warnings == [] and two.undo == []


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: f"{r.group_resource}/{r.version}")
def test_the_rules_of_a_kind(resource: Any) -> None:
    strategy = resource.strategy
    assert strategy.garbage_collection in ("background", "namespace", "orphan", "unsupported")
    for path in (*strategy.reset_on_create, *strategy.keep_on_update, *strategy.generation_fields):
        assert isinstance(path, tuple) and path and all(isinstance(step, str) for step in path)
    if "update" not in resource.verbs:
        assert not strategy.create_on_update


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: f"{r.group_resource}/{r.version}")
def test_the_rules_of_its_subresources(resource: Any) -> None:
    for name, sub in resource.subresources.items():
        assert sub.name == name
        assert (sub.read is None) == (sub.write is None)
        if name == "status" and sub.strategy is not None:
            assert sub.strategy is not resource.strategy
            kept = {path[0] for path in sub.strategy.keep_on_update}
            assert "status" not in kept
