"""Which requests a plugin is asked about."""

from typing import Any

import pytest
from harness import Rig, plug

from pilothouse.admission.about import CREATE, OPERATIONS, UPDATE, WRITES, About
from pilothouse.admission.chain import AdmissionPlugin

PODS, DEPLOYMENTS = ("", "v1", "pods"), ("apps", "v1", "deployments")


@pytest.mark.parametrize(
    ("about", "covered"),
    [
        (About(WRITES, ("pods",)), {"pods"}),
        (About(WRITES, ("pods/status",)), {"pods/status"}),
        (About(WRITES, ("pods/*",)), {"pods", "pods/status"}),
        (About(WRITES, ("deployments.apps",)), {"deployments.apps"}),
        (About(WRITES, ("deployments",)), set()),
        (About(WRITES, ("*",)), {"pods", "deployments.apps"}),
        (About(WRITES, ("*/*",)), {"pods", "pods/status", "deployments.apps", "deployments.apps/status"}),
        (
            About(WRITES, ("*/*",), but=("pods/status",)),
            {"pods", "deployments.apps", "deployments.apps/status"},
        ),
        (About(WRITES, ("*/*",), but=("pods/*",)), {"deployments.apps", "deployments.apps/status"}),
        (About((UPDATE,), ("*/*",)), set()),
    ],
)
async def test_resources(rig: Rig, about: About, covered: set[str]) -> None:
    found = set()
    for key in (PODS, DEPLOYMENTS):
        resource = rig.catalog.get(*key)
        assert resource is not None
        for subresource, name in (("", ""), ("status", "/status")):
            if about.covers(CREATE, resource, subresource):
                found.add(resource.group_resource + name)
    assert found == covered


class Noting(AdmissionPlugin):
    """Notes what it is asked about; `looked` counts how often it was asked whether a request concerns it."""

    name = "Noting"
    about = (About(OPERATIONS, ("configmaps",)),)

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.looked = 0

    def concerns(self, operation: str, resource: Any, subresource: str) -> bool:
        self.looked += 1
        return super().concerns(operation, resource, subresource)

    def validate(self, a: Any) -> None:
        self.asked.append(a.operation)


async def test_what_a_plugin_is_about_is_looked_at_once(rig: Rig) -> None:
    plugin = plug(rig.chain, Noting())
    for number in range(5):
        await rig.config_map(f"a{number}")
        await rig.ok("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": f"s{number}"}})
    assert plugin.asked == ["CREATE"] * 5
    assert plugin.looked == 2, "once for each kind of request"
