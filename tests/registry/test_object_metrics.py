"""The rules of custom resources are timed, and changes of definitions counted."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from converters import DEFINITIONS
from harness import Rig
from metric_samples import samples

from pilothouse.controllers.crds import CustomResourceDefinitions
from pilothouse.registry.crd import Definitions

WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
NAME = "widgets.example.com"


@pytest.fixture
async def served(rig: Rig) -> AsyncIterator[Rig]:
    """A registry in which widgets are served, whose size must not shrink."""
    controller = CustomResourceDefinitions(rig.client("kube-apiserver"), Definitions(rig.store, rig.catalog))
    controller.start()
    rule = {"rule": "self.size >= oldSelf.size", "message": "it must not shrink"}
    size = {"type": "object", "properties": {"size": {"type": "integer"}}, "x-kubernetes-validations": [rule]}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": size}}}
    spec = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
    }
    await rig.ok("POST", DEFINITIONS, {"metadata": {"name": NAME}, "spec": spec})
    await rig.settle()
    yield rig
    await controller.close()


def widget(size: int) -> dict[str, Any]:
    return {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w"},
        "spec": {"size": size},
    }
