"""Validation of autoscalers."""

from collections.abc import Callable

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import autoscaling as rules

Causes = list[tuple[str, str]]


def causes(check: Callable[..., None], *objects: Object) -> Causes:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}


def autoscaler(**spec: object) -> Object:
    return {"spec": {"scaleTargetRef": TARGET, "minReplicas": 1, "maxReplicas": 3, **spec}}


def check(obj: Object, errs: Errors) -> None:
    rules.validate_autoscaler(obj, None, errs)


@pytest.mark.parametrize(("spec", "wanted"), [
    ({}, []),
    ({"minReplicas": 0, "metrics": [{"type": "External", "external": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}}}]}, ["spec.minReplicas"]),
    ({"maxReplicas": 0}, ["spec.maxReplicas", "spec.maxReplicas"]),
    ({"scaleTargetRef": {}}, ["spec.scaleTargetRef.kind", "spec.scaleTargetRef.name", "spec.scaleTargetRef.apiVersion"]),
    ({"scaleTargetRef": {"kind": "ReplicationController", "name": "r", "apiVersion": "v1"}}, []),
    ({"metrics": [{"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "0"}}}]}, ["spec.metrics[0].pods.target.averageValue"]),
    ({"metrics": [{"type": "Object", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}}}]}, ["spec.metrics[0].object"]),
    ({"behavior": {"scaleUp": {"policies": []}}}, ["spec.behavior.scaleUp.policies"]),
])  # fmt: skip
def test_specs(spec: Object, wanted: list[str]) -> None:
    assert [field for field, _ in causes(check, autoscaler(**spec))] == wanted


def test_an_old_target_may_stay() -> None:
    old = autoscaler(scaleTargetRef={"kind": "Thing", "name": "t"})
    new = autoscaler(scaleTargetRef={"kind": "Thing", "name": "u"})
    assert causes(rules.validate_autoscaler_update, new, old) == []


def test_status_counts() -> None:
    status: Object = {"status": {"currentReplicas": -1, "desiredReplicas": 1}}
    assert [f for f, _ in causes(rules.validate_autoscaler_status, status, {})] == ["status.currentReplicas"]


def test_a_scale() -> None:
    errs = Errors()
    rules.validate_scale({"spec": {"replicas": 0}}, errs)
    rules.validate_scale({}, errs)
    assert errs.causes == []
    rules.validate_scale({"spec": {"replicas": -1}}, errs)
    assert [c["field"] for c in errs.causes] == ["spec.replicas"]
