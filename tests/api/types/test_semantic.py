"""Equality by meaning."""

from typing import Any

import pytest

from pilothouse.api.types import schema
from pilothouse.api.types.semantic import same_meaning

POD = schema.for_kind("", "v1", "Pod")


def pod(**container: object) -> dict[str, object]:
    return {"spec": {"containers": [{"name": "c", **container}]}}


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (
            {"resources": {"limits": {"memory": "1Gi"}}},
            {"resources": {"limits": {"memory": "1073741824"}}},
            True,
        ),
        ({"resources": {"limits": {"memory": "1Gi"}}}, {"resources": {"limits": {"memory": "1G"}}}, False),
        ({"resources": {"limits": {"cpu": "1"}}}, {"resources": {"limits": {"memory": "1"}}}, False),
        ({"args": []}, {}, True),
        ({"args": ["1"]}, {"args": ["1000m"]}, False),
        ({"ports": [{"containerPort": 1}]}, {"ports": [{"containerPort": 2}]}, False),
        ({"stdin": True}, {"stdin": True}, True),
    ],
)
def test_values_that_are_written_otherwise_may_mean_the_same(
    a: dict[str, Any], b: dict[str, Any], same: bool
) -> None:
    assert same_meaning(POD, pod(**a), pod(**b)) is same
    assert same_meaning(POD, pod(**b), pod(**a)) is same
