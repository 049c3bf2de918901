"""Pods do not outgrow their node."""

from typing import Any

import pytest
from harness import Rig, is_asked, pod

from pilothouse import errors
from pilothouse.admission.podresize import PodResizeValidator


async def node(rig: Rig, allocatable: Any, system: str = "linux") -> None:
    body = {"metadata": {"name": "n", "labels": {"kubernetes.io/os": system}}}
    await rig.ok("POST", "/api/v1/nodes", body)
    await rig.ok("PUT", "/api/v1/nodes/n/status", {**body, "status": {"allocatable": allocatable}})


def sized(generation: Any, node: str = "n", requests: Any = None, **spec: Any) -> Any:
    containers = [{"name": "c", "image": "i", "resources": {"requests": requests or {}}}]
    return pod("p", generation=generation, spec={"containers": containers, "nodeName": node, **spec})


def refusal(rig: Rig, new: Any, generation: int = 1) -> tuple[str, Any]:
    asked = rig.attributes(new, sized(generation), subresource="resize")
    assert is_asked(PodResizeValidator(), asked)
    try:
        PodResizeValidator().validate(asked)
    except errors.Forbidden as err:
        causes = [cause["reason"] for cause in err.details.get("causes", ())]
        return err.message.removeprefix('pods "p" is forbidden: '), causes
    return "", []


MUCH = {"cpu": "3", "memory": "2Gi"}
SHORT = "node didn't have enough allocatable resources: "
CPU, MEMORY = (
    "cpu, requested: 3000, allocatable: 2500",
    "memory, requested: 2147483648, allocatable: 1073741824",
)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (sized(2, requests={"cpu": "2500m", "memory": "1Gi"}), ("", [])),
        (sized(2, requests={"cpu": "3"}), (SHORT + CPU, ["NodeCapacity"])),
        (sized(2, requests=MUCH), (f"{SHORT}{CPU}; {MEMORY}", ["NodeCapacity"])),
        (sized(2, requests={"cpu": "2"}, overhead={"cpu": "1"}), (SHORT + CPU, ["NodeCapacity"])),
        (sized(2, resources={"requests": {"cpu": "3"}}), (SHORT + CPU, ["NodeCapacity"])),
        (sized(1, requests=MUCH), ("", [])),  # nothing of its spec has changed
        (sized(2, node="", requests=MUCH), ("", [])),
        (sized(2, node="gone"), ('node "gone" not found', [])),
    ],
)
async def test_what_a_node_has(rig: Rig, new: Any, expected: tuple[Any, Any]) -> None:
    await node(rig, {"cpu": "2500m", "memory": "1Gi"})
    assert refusal(rig, new) == expected


async def test_other_systems(rig: Rig) -> None:
    await node(rig, {}, "windows")
    why = 'pod resize is only supported on linux nodes, node "n" is "windows"'
    assert refusal(rig, sized(2)) == (why, ["UnsupportedPlatform"])


async def test_what_it_looks_at(rig: Rig) -> None:
    plugin = PodResizeValidator()
    assert not is_asked(plugin, rig.attributes({}, {}))
    assert not is_asked(plugin, rig.attributes({}, subresource="resize"))
