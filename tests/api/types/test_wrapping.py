"""Integers that do not fit their type."""

from typing import Any

import pytest

from pilothouse.api.types import schema
from pilothouse.api.types.wrapping import wrapped

DEPLOYMENT = schema.for_kind("apps", "v1", "Deployment")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (3, 3),
        (2**31 - 1, 2**31 - 1),
        (2**31, -(2**31)),
        (2**32 + 5, 5),
        (-(2**31) - 1, 2**31 - 1),
        (2**63, 0),  # by way of the lowest int64
        ("x", "x"),
        (True, True),
    ],
)
def test_an_int32_keeps_its_low_bits(given: Any, kept: Any) -> None:
    assert wrapped({"spec": {"replicas": given}}, DEPLOYMENT)["spec"]["replicas"] == kept


@pytest.mark.parametrize("given", [2**63, 10**30, -(2**63) - 1])
def test_a_number_outside_int64_is_the_lowest(given: int) -> None:
    assert wrapped({"status": {"observedGeneration": given}}, DEPLOYMENT)["status"] == {
        "observedGeneration": -(2**63)
    }


@pytest.mark.parametrize(
    ("given", "kept"),
    [([1, 2], "AQI="), ([300, -1, 2.0, None], "LP8CAA=="), ([1.5], [1.5]), ([True], [True]), (["a"], ["a"])],
)
def test_numbers_of_bytes_keep_their_low_bits(given: Any, kept: Any) -> None:
    config_map = schema.for_kind("", "v1", "ConfigMap")
    assert wrapped({"binaryData": {"a": given}}, config_map) == {"binaryData": {"a": kept}}


def test_lists_and_maps_are_looked_into() -> None:
    pod: dict[str, Any] = {"containers": [{"name": "c", "ports": [{"containerPort": 2**32 + 80}]}]}
    out = wrapped({"spec": {"template": {"spec": pod}, "unknown": 2**70}}, DEPLOYMENT)
    assert out["spec"]["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 80}]
    assert out["spec"]["unknown"] == 2**70


def test_a_whole_float_becomes_an_integer() -> None:
    assert wrapped({"spec": {"replicas": 1000.0}}, DEPLOYMENT)["spec"] == {"replicas": 1000}
    assert wrapped({"spec": {"replicas": 1.5}}, DEPLOYMENT)["spec"] == {"replicas": 1.5}
