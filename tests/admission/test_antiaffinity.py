"""Pods keep others off their node only."""

from typing import Any

import pytest
from harness import Rig, is_asked, pod

from pilothouse import errors
from pilothouse.admission.antiaffinity import LimitPodHardAntiAffinityTopology

PLUGIN = LimitPodHardAntiAffinityTopology()
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def repelling(*keys: Any, kind: str = REQUIRED) -> Any:
    return pod("p", spec={"affinity": {"podAntiAffinity": {kind: [{"topologyKey": key} for key in keys]}}})


@pytest.mark.parametrize(
    "obj",
    [
        pod("p"),
        pod("p", spec={"affinity": {"podAffinity": {REQUIRED: [{"topologyKey": "zone"}]}}}),
        repelling(),
        repelling("kubernetes.io/hostname"),
        repelling("zone", kind="preferredDuringSchedulingIgnoredDuringExecution"),
    ],
)
async def test_what_is_allowed(rig: Rig, obj: Any) -> None:
    assert is_asked(PLUGIN, rig.attributes(obj))
    PLUGIN.validate(rig.attributes(obj))


async def test_a_whole_zone(rig: Rig) -> None:
    with pytest.raises(errors.Forbidden) as caught:
        PLUGIN.validate(rig.attributes(repelling("kubernetes.io/hostname", "zone")))
    assert (
        caught.value.message
        == 'pods "p" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey zone but'
        " only key kubernetes.io/hostname is allowed"
    )
