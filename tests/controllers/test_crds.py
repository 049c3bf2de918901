"""Definitions from their first name to their last object."""

import asyncio
from typing import Any

import pytest

from pilothouse.api.fields import Object
from pilothouse.controllers.crds import CustomResourceDefinitions
from pilothouse.registry.crd import Definitions

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"


def definition(
    plural: str = "widgets", kind: str = "Widget", group: str = "example.com", **names: Any
) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, **names},
            "versions": [version],
        },
    }


@pytest.fixture
def served(rig: Any, runner: asyncio.Runner) -> Any:
    """The controller, running."""

    async def start() -> CustomResourceDefinitions:
        made = CustomResourceDefinitions(rig.client("kube-apiserver"), Definitions(rig.store, rig.table))
        made.start()
        return made

    controller = runner.run(start())
    yield controller
    controller.close()


async def make(rig: Any, obj: Object) -> Object:
    await rig.ok("POST", DEFINITIONS, obj)
    await rig.settle()
    return await rig.ok("GET", f"{DEFINITIONS}/{obj['metadata']['name']}")


def conditions(obj: Object) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in obj["status"]["conditions"]}


async def test_accepts_and_serves(rig: Any, runner: Any, served: Any) -> None:
    obj = await make(rig, definition())
    assert list(conditions(obj).items()) == [
        ("NamesAccepted", ("True", "NoConflicts")),
        ("Established", ("True", "InitialNamesAccepted")),
    ]
    assert obj["status"]["acceptedNames"] == obj["spec"]["names"]
    managers = [(e["manager"], e.get("subresource")) for e in obj["metadata"]["managedFields"]]
    assert ("kube-apiserver", "status") in managers
    assert (await rig.ok("GET", WIDGETS))["kind"] == "WidgetList"
    groups = await rig.ok("GET", "/apis")
    assert "example.com" in [group["name"] for group in groups["groups"]]


async def test_names_that_are_taken_wait(rig: Any, runner: Any, served: Any) -> None:
    await make(rig, definition(shortNames=["w"]))
    second = definition("gadgets", "Widget", listKind="GadgetList", singular="gadget", shortNames=["w", "g"])
    obj = await make(rig, second)
    found = {c["type"]: (c["reason"], c["message"]) for c in obj["status"]["conditions"]}
    assert found == {
        "NamesAccepted": ("KindConflict", '"Widget" is already in use'),
        "Established": ("NotAccepted", "not all names are accepted"),
    }
    assert obj["status"]["acceptedNames"] == {
        "kind": "", "listKind": "GadgetList", "plural": "gadgets", "singular": "gadget",
    }  # fmt: skip
    assert (await rig.call("GET", "/apis/example.com/v1/namespaces/default/gadgets")).status == 404
    await rig.ok("DELETE", f"{DEFINITIONS}/widgets.example.com")
    await rig.settle()
    obj = await rig.ok("GET", f"{DEFINITIONS}/gadgets.example.com")
    assert conditions(obj)["Established"][0] == "True"
    await rig.ok("GET", "/apis/example.com/v1/namespaces/default/gadgets")


async def test_the_same_names_in_another_group(rig: Any, runner: Any, served: Any) -> None:
    await make(rig, definition())
    other = await make(rig, definition(group="example.org"))
    assert conditions(other)["Established"][0] == "True"


async def test_approval_is_told(rig: Any, runner: Any, served: Any) -> None:
    obj = definition(group="x.k8s.io")
    obj["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, a test"}
    found = conditions(await make(rig, obj))
    assert found["KubernetesAPIApprovalPolicyConformant"] == ("False", "UnapprovedAnnotation")


async def test_a_delete_removes_the_objects(rig: Any, runner: Any, served: Any) -> None:
    await make(rig, definition())
    await rig.ok(
        "POST", WIDGETS, {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}
    )
    stream = await rig.watch(f"{WIDGETS}?watch=1")
    stream.events()
    answer = await rig.ok("DELETE", f"{DEFINITIONS}/widgets.example.com")
    assert answer["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    assert conditions(answer)["Terminating"] == ("True", "InstanceDeletionPending")
    await rig.settle()
    assert stream.seen() == [("DELETED", "w")] and stream.closed
    assert (await rig.call("GET", f"{DEFINITIONS}/widgets.example.com")).status == 404
    gone = await rig.call("GET", WIDGETS)
    assert gone.status == 404 and gone.body == "404 page not found\n"
    await make(rig, definition())
    assert (await rig.ok("GET", WIDGETS))["items"] == []


async def test_an_object_that_is_held_keeps_the_definition(rig: Any, runner: Any, served: Any) -> None:
    await make(rig, definition())
    widget = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "finalizers": ["a.b/c"]},
    }
    await rig.ok("POST", WIDGETS, widget)
    await rig.ok("DELETE", f"{DEFINITIONS}/widgets.example.com")
    await rig.settle()
    obj = await rig.ok("GET", f"{DEFINITIONS}/widgets.example.com")
    assert conditions(obj)["Terminating"] == ("True", "InstanceDeletionInProgress")
    widget["metadata"] = {"name": "x"}
    why = await rig.fail(403, "POST", WIDGETS, widget)
    assert (
        why
        == 'widgets.example.com "x" is forbidden: create not allowed while custom resource definition is terminating'
    )
    headers = {"content-type": "application/merge-patch+json"}
    await rig.ok("PATCH", f"{WIDGETS}/w", {"metadata": {"finalizers": None}}, headers=headers)
    async with asyncio.timeout(5):
        while (await rig.call("GET", f"{DEFINITIONS}/widgets.example.com")).status != 404:
            await asyncio.sleep(0.05)


async def test_serves_what_was_stored_before(rig: Any, runner: Any, served: Any) -> None:
    await make(rig, definition())
    served.close()
    rig.table.remove("example.com", "v1", "widgets")
    again = CustomResourceDefinitions(rig.client("kube-apiserver"), Definitions(rig.store, rig.table))
    again.start()
    await rig.ok("GET", WIDGETS)
    again.close()
