"""Validation of workloads, except their templates."""

from collections.abc import Callable

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import apps as rules


def causes(check: Callable[..., None], *objects: Object) -> list[tuple[str, str]]:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


@pytest.mark.parametrize(("value", "faults"), [(1, 0), ("25%", 0), (-1, 1), ("25", 1), ("x%", 1), (None, 0)])
def test_numbers_or_percentages(value: object, faults: int) -> None:
    errs = Errors()
    rules.validate_int_or_percent(value, "p", errs)
    assert len(errs) == faults


def test_percentages_count_by_their_number() -> None:
    assert [rules.int_or_percent(v) for v in (3, "30%", "7", "x", None)] == [3, 30, 7, 0, 0]


def stateful(**spec: object) -> Object:
    return {"metadata": {"name": "s"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, **spec}}


def test_little_of_a_stateful_set_may_change() -> None:
    found = causes(rules.validate_stateful_set_update, stateful(serviceName="t"), stateful())
    assert found[-1] == ("spec", f"Forbidden: {rules.STATEFUL_SET_FIXED}")
    found = causes(rules.validate_stateful_set_update, stateful(minReadySeconds=5), stateful())
    assert "spec" not in [field for field, _ in found]


@pytest.mark.parametrize(
    ("status", "members"),
    [({"replicas": 2, "readyReplicas": 1, "availableReplicas": 1}, []), ({"replicas": 1, "readyReplicas": 2}, ["readyReplicas"]), ({"replicas": 2, "availableReplicas": 1}, ["availableReplicas"])],
)
def test_status_of_deployments(status: Object, members: list[str]) -> None:
    found = causes(rules.validate_deployment_status, {"status": status}, {})
    assert [f for f, _ in found] == [f"status.{m}" for m in members]


def test_collisions_never_go_down() -> None:
    found = causes(rules.validate_daemon_set_status, {"status": {}}, {"status": {"collisionCount": 2}})
    assert found == [("status.collisionCount", "Invalid value: 0: cannot be decremented")]
