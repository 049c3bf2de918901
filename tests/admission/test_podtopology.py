"""Pods take the zone of their node."""

import asyncio
from typing import Any

import pytest
from harness import PODS, Rig, is_asked, pod

from pilothouse.admission.podtopology import PodTopologyLabels

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
NODE = {"metadata": {"name": "n", "labels": {ZONE: "z", REGION: "r", "other": "x"}}}
PLACED = {ZONE: "z", REGION: "r"}


def binding(node: Any, kind: str = "Node") -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "target": {"kind": kind, "name": node}}


@pytest.mark.parametrize(
    ("obj", "subresource", "expected"),
    [
        (pod("p", spec={"nodeName": "n"}), "", PLACED),
        (pod("p", labels={ZONE: "mine", "a": "b"}, spec={"nodeName": "n"}), "", {**PLACED, "a": "b"}),
        (pod("p", spec={"nodeName": "gone"}), "", None),
        (pod("p"), "", None),
        (binding("n"), "binding", PLACED),
        (binding("n", "Other"), "binding", None),
    ],
)
async def test_labels(rig: Rig, obj: Any, subresource: str, expected: Any) -> None:
    await rig.ok("POST", "/api/v1/nodes", NODE)
    asked = rig.attributes(obj, subresource=subresource)
    assert is_asked(PodTopologyLabels(), asked)
    PodTopologyLabels().mutate(asked)
    assert obj["metadata"].get("labels") == expected


def test_a_binding_hands_them_on(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Rig([PodTopologyLabels()]) as rig:
            await rig.ok("POST", "/api/v1/nodes", NODE)
            await rig.ok("POST", PODS, pod("p"))
            await rig.ok("POST", f"{PODS}/p/binding", binding("n"))
            assert (await rig.ok("GET", f"{PODS}/p"))["metadata"]["labels"] == PLACED

    runner.run(main())


async def test_what_it_looks_at(rig: Rig) -> None:
    plugin = PodTopologyLabels()
    assert not is_asked(plugin, rig.attributes({}, {})) and not is_asked(
        plugin, rig.attributes({}, subresource="eviction")
    )
