"""Pods are changed only into what their node declares to carry out."""

from typing import Any

import pytest
from harness import Rig, is_asked, pod

from pilothouse import errors
from pilothouse.admission.nodefeatures import NodeDeclaredFeatureValidator

POD_LEVEL, INIT = "InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers"


def made(generation: int = 2, node: str = "n", init: Any = None, sidecar: Any = None, **spec: Any) -> Any:
    containers = [
        {"name": "i", "image": "i", "resources": init or {}},
        {"name": "s", "image": "i", "resources": sidecar or {}, "restartPolicy": "Always"},
    ]
    whole = {"containers": [{"name": "c", "image": "i"}], "initContainers": containers, "nodeName": node}
    return pod("p", generation=generation, spec={**whole, **spec})


CPU = {"requests": {"cpu": "1"}}


def missing(*features: str) -> str:
    return f'pod update requires features {", ".join(features)} which are not available on node "n"'


@pytest.mark.parametrize("subresource", ["", "resize"])
@pytest.mark.parametrize(
    ("new", "declared", "why"),
    [
        (made(init=CPU, resources=CPU), [], missing(POD_LEVEL, INIT)),
        (made(init=CPU, resources=CPU), [INIT], missing(POD_LEVEL)),
        (made(init=CPU, resources=CPU), sorted([INIT, POD_LEVEL]), ""),
        (made(init=CPU), ["Other"], missing(INIT)),
        (made(sidecar=CPU), [], ""),
        (made(), [], ""),
        (made(generation=1, init=CPU), [], ""),
        (made(node="", init=CPU), [], ""),
        (made(node="gone", init=CPU), [], 'node "gone" not found'),
        (made(node="gone"), [], ""),
    ],
)
async def test_updates(rig: Rig, subresource: str, new: Any, declared: list[str], why: str) -> None:
    body = {"metadata": {"name": "n"}}
    await rig.ok("POST", "/api/v1/nodes", body)
    await rig.ok("PUT", "/api/v1/nodes/n/status", {**body, "status": {"declaredFeatures": declared}})
    asked = rig.attributes(new, made(1), subresource=subresource)
    assert is_asked(NodeDeclaredFeatureValidator(), asked)
    try:
        NodeDeclaredFeatureValidator().validate(asked)
        found = ""
    except errors.Forbidden as err:
        found = err.message.removeprefix('pods "p" is forbidden: ')
    assert found == why


async def test_only_updates_of_pods(rig: Rig) -> None:
    plugin = NodeDeclaredFeatureValidator()
    assert not is_asked(plugin, rig.attributes(made()))
    assert not is_asked(plugin, rig.attributes(made(), made(1), subresource="status"))
    assert not is_asked(plugin, rig.attributes({}, {}, resource=("apps", "v1", "deployments")))
