"""The objects of a request in the versions that policies and webhooks ask for."""

from typing import Any

import pytest
from harness import Rig

from pilothouse import errors
from pilothouse.admission.matching import Matched
from pilothouse.admission.objects import completed, type_of
from pilothouse.admission.views import Views
from pilothouse.authz.modes import AlwaysAllow

SCALER: Any = {
    "apiVersion": "autoscaling/v1",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "a", "namespace": "default"},
    "spec": {
        "maxReplicas": 3,
        "scaleTargetRef": {"kind": "Deployment", "name": "d"},
        "targetCPUUtilizationPercentage": 50,
    },
    "status": {"currentReplicas": 0, "desiredReplicas": 0},
}
KIND = "HorizontalPodAutoscaler"


def resource(rig: Rig, version: str) -> Any:
    return rig.catalog.get("autoscaling", version, "horizontalpodautoscalers")


async def test_objects_are_converted_once_and_changes_are_seen_in_every_version(rig: Rig) -> None:
    a = rig.attributes(SCALER, SCALER, resource=("autoscaling", "v1", "horizontalpodautoscalers"))
    views = Views(a, AlwaysAllow())
    own = await views.scope(Matched(a.resource, a.kind))
    v2 = await views.scope(Matched(resource(rig, "v2"), ("autoscaling", "v2", KIND)))
    assert own.obj is a.obj and v2.obj is not None and v2.old is not None
    assert v2.obj["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
    assert v2.old["apiVersion"] == "autoscaling/v2"
    assert await views.scope(Matched(resource(rig, "v2"), ("autoscaling", "v2", KIND))) is v2
    v2.obj = {**v2.obj, "spec": {**v2.obj["spec"], "maxReplicas": 7}}
    await views.keep(v2)
    assert a.obj is not None and (a.obj["apiVersion"], a.obj["spec"]["maxReplicas"]) == ("autoscaling/v1", 7)
    assert a.obj["spec"]["targetCPUUtilizationPercentage"] == 50
    assert own.obj == a.obj


async def test_a_changed_object_is_decoded_and_defaulted(rig: Rig) -> None:
    found = rig.catalog.get("", "v1", "pods")
    assert found is not None
    kind = ("", "v1", "Pod")
    raw: Any = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i", "x": 1}]}}
    type = type_of(found, kind)
    made = completed(found, kind, raw, type, strict=False)
    assert made["spec"]["containers"][0]["imagePullPolicy"] == "Always" and made["kind"] == "Pod"
    with pytest.raises(errors.InternalError, match="strict decoding error"):
        completed(found, kind, raw, type, strict=True)
    with pytest.raises(errors.InternalError, match="cannot unmarshal"):
        completed(found, kind, {"spec": 5}, type, strict=False)
    with pytest.raises(errors.ServiceUnavailable):
        type_of(found, ("", "v1", "PodExecOptions"))
