"""The field managers of a Scale and of the object that it shows."""

from typing import Any

from pilothouse.api.changes.managed_scale import to_object, to_scale

REPLICAS = ("spec", "replicas")
BOTH: Any = {"f:spec": {"f:replicas": {}, "f:paused": {}}}
ALONE: Any = {"f:spec": {"f:replicas": {}}}
REST: Any = {"f:spec": {"f:paused": {}}}


def entry(manager: str, fields: Any, operation: str = "Update", version: str = "apps/v1", **more: str) -> Any:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": version,
        **({"time": more["time"]} if "time" in more else {}),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **({"subresource": more["subresource"]} if "subresource" in more else {}),
    }


def test_managers_of_the_replicas_manage_the_scale() -> None:
    whole = [entry("a", BOTH, "Apply"), entry("b", REST), entry("c", BOTH, time="t")]
    assert to_scale(whole, REPLICAS) == [
        entry("a", ALONE, "Apply", "autoscaling/v1"),
        entry("c", ALONE, version="autoscaling/v1", time="t"),
    ]
    assert to_scale(None, REPLICAS) == []


def test_whoever_no_longer_manages_the_scale_loses_the_replicas() -> None:
    whole = [entry("a", BOTH, "Apply"), entry("b", REST), entry("c", ALONE)]
    new = [entry("d", {**ALONE, "f:status": {}}, version="autoscaling/v1", subresource="scale", time="t")]
    assert to_object(whole, new, REPLICAS, "apps/v1") == [
        entry("a", REST, "Apply"),
        entry("b", REST),
        entry("d", ALONE, subresource="scale"),
    ]
    assert to_object(whole, [], REPLICAS, "apps/v1") == [entry("a", REST, "Apply"), entry("b", REST)]


def test_an_applied_entry_stays_as_it_is() -> None:
    whole = [entry("a", BOTH, "Apply", time="t")]
    assert to_object(whole, to_scale(whole, REPLICAS), REPLICAS, "apps/v1") == whole


def test_an_entry_of_an_update_is_split() -> None:
    whole = [entry("a", BOTH, time="t")]
    split = to_object(whole, to_scale(whole, REPLICAS), REPLICAS, "apps/v1")
    assert split == [entry("a", ALONE), entry("a", REST, time="t")]


def test_the_scale_may_own_other_fields_alone() -> None:
    other = [entry("d", {"f:status": {}}, version="autoscaling/v1", subresource="scale")]
    assert to_object(None, other, REPLICAS, "apps/v1") == []
