"""Volumes, claims, quotas, events and nodes."""

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import equal
from pilothouse.api.validate.event import validate_event
from pilothouse.api.validate.persistentvolume import validate_volume, validate_volume_update
from pilothouse.api.validate.persistentvolumeclaim import validate_claim, validate_claim_update
from pilothouse.api.validate.quota import validate_limit_range, validate_quota


def found(errs: Errors) -> list[tuple[str, str]]:
    return [(c["field"], c["message"]) for c in errs.causes]


def volume(**spec: object) -> Object:
    whole = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/v", "type": ""}, "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem", **spec}
    return {"metadata": {"name": "v"}, "spec": whole}


def claim(**spec: object) -> Object:
    resources = {"requests": {"storage": "1Gi"}}
    whole = {"accessModes": ["ReadWriteOnce"], "resources": resources, "volumeMode": "Filesystem", **spec}
    return {"metadata": {"name": "c"}, "spec": whole, "status": {"phase": "Pending"}}


@pytest.mark.parametrize(("bad", "field", "message"), [
    ({}, "", ""),
    ({"accessModes": []}, "spec.accessModes", "Required value"),
    ({"hostPath": None}, "spec", "Required value: must specify a volume type"),
    ({"capacity": None}, "spec.capacity", "Required value"),
    ({"nfs": {"server": "s", "path": "/"}}, "spec.nfs", "Forbidden: may not specify more than 1 volume type"),
])  # fmt: skip
def test_volumes(bad: Object, field: str, message: str) -> None:
    errs = Errors()
    validate_volume(volume(**bad), errs)
    assert (field, message) in found(errs) if field else not errs.causes


def test_source_is_fixed() -> None:
    errs = Errors()
    validate_volume_update(volume(hostPath={"path": "/w", "type": ""}), volume(), errs)
    [(field, message)] = found(errs)
    assert field == "spec.persistentvolumesource"
    assert message.startswith("Forbidden: spec.persistentvolumesource is immutable after creation")


@pytest.mark.parametrize(
    ("bad", "field"), [({}, ""), ({"accessModes": []}, "spec.accessModes"), ({"accessModes": ["ReadWriteOncePod", "ReadOnlyMany"]}, "spec.accessModes"), ({"resources": {}}, "spec.resources[storage]")]
)
def test_claims(bad: Object, field: str) -> None:
    errs = Errors()
    validate_claim(claim(**bad), errs)
    assert [f for f, _ in found(errs)] == ([field] if field else [])


def test_claim_spec_is_fixed() -> None:
    errs = Errors()
    validate_claim_update(claim(volumeMode="Block"), claim(), errs)
    assert "spec" in [f for f, _ in found(errs)]


def test_quota_scopes() -> None:
    errs = Errors()
    spec = {"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]}
    validate_quota({"metadata": {"name": "q"}, "spec": spec}, errs)
    assert [f for f, _ in found(errs)] == ["spec.scopes"]


def test_limits_in_order() -> None:
    errs = Errors()
    limit = {"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}
    validate_limit_range({"metadata": {"name": "l"}, "spec": {"limits": [limit]}}, errs)
    assert found(errs)[0][0] == "spec.limits[0].min[cpu]"


def test_event_is_in_the_namespace_of_its_object() -> None:
    event = {"metadata": {"name": "e", "namespace": "a"}, "involvedObject": {"namespace": "b"}}
    errs = Errors()
    validate_event(event, errs, strict=False)
    assert found(errs)[0][0] == "involvedObject.namespace"


def test_nothing_equals_empty() -> None:
    assert equal({"a": []}, {})
    assert equal({"a": {"b": None}}, {"a": {}})
    assert not equal({"a": 1}, {"a": 2})
