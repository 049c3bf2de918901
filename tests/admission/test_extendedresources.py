"""Devices bring the tolerations of their nodes."""

from typing import Any

import pytest
from harness import Rig, is_asked, pod

from pilothouse.admission.extendedresources import ExtendedResourceToleration


def device(name: str) -> dict[str, Any]:
    return {"key": name, "operator": "Exists", "effect": "NoSchedule"}


def asking(*names: Any, kind: str = "containers", tolerations: Any = None) -> Any:
    containers = [{"name": "c", "resources": {"requests": dict.fromkeys(names, "1")}}]
    spec = {"containers": [{"name": "d"}], kind: containers}
    return pod("p", spec=spec if tolerations is None else spec | {"tolerations": tolerations})


GPU, NIC = "example.com/gpu", "example.com/nic"
OTHER = {"key": GPU, "operator": "Equal", "value": "x", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (pod("p"), None),
        (asking("cpu", "hugepages-2Mi", "kubernetes.io/x"), None),
        (asking(NIC, GPU), [device(GPU), device(NIC)]),
        (asking(GPU, kind="initContainers"), [device(GPU)]),
        (asking(GPU, tolerations=[device(GPU)]), [device(GPU)]),
        (asking(GPU, tolerations=[OTHER]), [OTHER, device(GPU)]),
        (asking(GPU, tolerations=[{**device(GPU), "tolerationSeconds": 3}, OTHER]), [device(GPU), OTHER]),
    ],
)
async def test_tolerations(rig: Rig, obj: Any, expected: list[Any] | None) -> None:
    asked = rig.attributes(obj)
    assert is_asked(ExtendedResourceToleration(), asked)
    ExtendedResourceToleration().mutate(asked)
    assert obj["spec"].get("tolerations") == expected
