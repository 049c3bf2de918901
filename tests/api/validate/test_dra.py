"""Validation of resource claims and slices."""

from collections.abc import Callable

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import dra as rules
from pilothouse.api.validate import dra_slices as slices


def causes(check: Callable[..., None], *objects: Object) -> list[tuple[str, str]]:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


EXACTLY = {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1}


def claim(**devices: object) -> Object:
    return {"spec": {"devices": {"requests": [{"name": "r", "exactly": EXACTLY}], **devices}}}


@pytest.mark.parametrize(("devices", "members"), [
    ({}, []),
    ({"requests": [{"name": "r"}]}, ["requests[0]"]),
    ({"requests": [{"name": "r", "exactly": EXACTLY | {"count": 0}}]}, ["requests[0].exactly.count"]),
    ({"constraints": [{"requests": ["x"], "matchAttribute": "a.b/c"}]}, ["constraints[0].requests[0]"]),
    ({"constraints": [{"matchAttribute": "c"}]}, ["constraints[0].matchAttribute"]),
    ({"config": [{}]}, ["config[0].opaque"]),
])  # fmt: skip
def test_claims(devices: Object, members: list[str]) -> None:
    found = causes(rules.validate_claim, claim(**devices))
    assert [f for f, _ in found] == [f"spec.devices.{m}" for m in members]


def test_reservations_need_an_allocation() -> None:
    obj = claim() | {"status": {"reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]}}
    assert [f for f, _ in causes(rules.validate_claim_status, obj, claim())] == ["status.reservedFor"]


def test_slices_are_in_one_place() -> None:
    spec = {"driver": "d", "pool": {"name": "p", "resourceSliceCount": 1}, "nodeName": "n", "devices": [{"name": "a"}]}
    assert causes(slices.validate_slice, {"spec": spec}) == []
    assert [f for f, _ in causes(slices.validate_slice, {"spec": spec | {"allNodes": True}})] == ["spec"]
    assert [f for f, _ in causes(slices.validate_slice, {"spec": spec | {"nodeName": None}})] == ["spec"]
