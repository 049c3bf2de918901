"""Overhead and scheduling come from the pod's runtime class."""

from typing import Any

import pytest
from harness import Rig, is_asked, pod

from pilothouse import errors
from pilothouse.admission.runtimeclass import RuntimeClass

CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
FIXED = {"cpu": "100m"}
TOLERATION = {"key": "k", "operator": "Exists"}


async def make(rig: Rig, name: str = "r", **members: Any) -> None:
    await rig.ok("POST", CLASSES, {"metadata": {"name": name}, "handler": "h", **members})


def admit(rig: Rig, **spec: Any) -> Any:
    obj = pod("p", spec=spec)
    attributes = rig.attributes(obj)
    plugin = RuntimeClass()
    plugin.mutate(attributes)
    plugin.validate(attributes)
    return obj["spec"]


def refused(rig: Rig, **spec: Any) -> str:
    with pytest.raises(errors.Forbidden) as caught:
        admit(rig, **spec)
    return caught.value.message.removeprefix('pods "p" is forbidden: ')


async def test_a_pod_without_a_class(rig: Rig) -> None:
    assert "overhead" not in admit(rig)
    assert refused(rig, overhead=FIXED) == (
        "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
    )


async def test_a_class_that_is_missing(rig: Rig) -> None:
    assert refused(rig, runtimeClassName="none") == 'pod rejected: RuntimeClass "none" not found'


async def test_overhead(rig: Rig) -> None:
    await make(rig, overhead={"podFixed": FIXED})
    assert admit(rig, runtimeClassName="r")["overhead"] == FIXED
    assert admit(rig, runtimeClassName="r", overhead=FIXED)["overhead"] == FIXED
    assert refused(rig, runtimeClassName="r", overhead={"cpu": "1"}) == (
        "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
    )


async def test_where_it_runs(rig: Rig) -> None:
    await make(rig, scheduling={"nodeSelector": {"a": "1"}, "tolerations": [TOLERATION]})
    spec = admit(rig, runtimeClassName="r", nodeSelector={"b": "2"})
    assert spec["nodeSelector"] == {"a": "1", "b": "2"} and spec["tolerations"] == [TOLERATION]
    spec = admit(rig, runtimeClassName="r", nodeSelector={"a": "1"}, tolerations=[TOLERATION])
    assert spec["nodeSelector"] == {"a": "1"} and spec["tolerations"] == [TOLERATION]
    assert refused(rig, runtimeClassName="r", nodeSelector={"a": "2"}) == (
        "conflict: runtimeClass.scheduling.nodeSelector[a] = 1; pod.spec.nodeSelector[a] = 2"
    )


async def test_what_it_looks_at(rig: Rig) -> None:
    plugin = RuntimeClass()
    assert is_asked(plugin, rig.attributes({}))
    assert not is_asked(plugin, rig.attributes({}, {})) and not is_asked(
        plugin, rig.attributes({}, subresource="eviction")
    )
