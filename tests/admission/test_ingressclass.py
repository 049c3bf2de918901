"""An ingress without a class gets the default one."""

from typing import Any

import pytest
from harness import Rig, is_asked

from pilothouse.admission.ingressclass import IS_DEFAULT, OLD_ANNOTATION, DefaultIngressClass

INGRESSES = ("networking.k8s.io", "v1", "ingresses")
CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"


async def classes(rig: Rig) -> None:
    for name, annotations in (("plain", {}), ("chosen", {IS_DEFAULT[0]: "true"})):
        body = {
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"controller": "example.com/c"},
        }
        await rig.ok("POST", CLASSES, body)


@pytest.mark.parametrize(
    ("ingress", "name"),
    [
        ({"metadata": {}}, "chosen"),
        ({"metadata": {}, "spec": {}}, "chosen"),
        ({"metadata": {}, "spec": {"ingressClassName": "own"}}, "own"),
        ({"metadata": {"annotations": {OLD_ANNOTATION: "x"}}, "spec": {}}, None),
    ],
)
async def test_the_default_class(rig: Rig, ingress: dict[str, Any], name: str | None) -> None:
    await classes(rig)
    DefaultIngressClass().mutate(rig.attributes(ingress, resource=INGRESSES))
    assert ingress["spec"].get("ingressClassName") == name


async def test_without_a_default_nothing_is_set(rig: Rig) -> None:
    ingress: dict[str, Any] = {"metadata": {}, "spec": {}}
    DefaultIngressClass().mutate(rig.attributes(ingress, resource=INGRESSES))
    assert ingress["spec"] == {}


async def test_what_it_looks_at(rig: Rig) -> None:
    plugin = DefaultIngressClass()
    assert is_asked(plugin, rig.attributes({}, resource=INGRESSES))
    assert not is_asked(plugin, rig.attributes({}, {}, resource=INGRESSES))
    assert not is_asked(plugin, rig.attributes({}))
