"""Definitions from the acceptance of their names to the deletion of their objects."""

import asyncio
import json
from typing import Any

import pytest
from eventually import aeventually
from virtual_time import VirtualLoop

from pilothouse.api.values.fields import Object
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


pytestmark = pytest.mark.usefixtures("virtual")


@pytest.fixture
def served(rig: Any, runner: asyncio.Runner) -> Any:
    """The controller, running."""

    async def start() -> CustomResourceDefinitions:
        made = CustomResourceDefinitions(rig.client("kube-apiserver"), Definitions(rig.store, rig.catalog))
        made.start()
        return made

    controller = runner.run(start())
    yield controller
    runner.run(controller.close())


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
    unserved = rig.store.metrics.unserved.values
    assert unserved == {("gadgets.example.com", "KindConflict"): 1}
    await rig.ok("DELETE", f"{DEFINITIONS}/widgets.example.com")
    await rig.settle()
    assert unserved == {}
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
        why == 'widgets.example.com "x" is forbidden: create not allowed while custom resource definition is'
        " terminating"
    )
    headers = {"content-type": "application/merge-patch+json"}
    await rig.ok("PATCH", f"{WIDGETS}/w", {"metadata": {"finalizers": None}}, headers=headers)

    async def gone() -> bool:
        return (await rig.call("GET", f"{DEFINITIONS}/widgets.example.com")).status == 404

    await aeventually(gone, "the definition goes", 5)


async def test_serves_what_was_stored_before(rig: Any, runner: Any, served: Any) -> None:
    await make(rig, definition())
    await served.close()
    rig.catalog.remove("example.com", "v1", "widgets")
    again = CustomResourceDefinitions(rig.client("kube-apiserver"), Definitions(rig.store, rig.catalog))
    again.start()
    await rig.ok("GET", WIDGETS)
    await again.close()


# A definition that is stored and cannot be served: it says so, all others are served, and it can be fixed.

DEEPS = "/apis/example.com/v1/namespaces/default/deeps"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
KEY = "/registry/apiextensions.k8s.io/customresourcedefinitions/{}.example.com"
LEVELS = 150


def stored(plural: str, schema: Object, **spec: Any) -> bytes:
    """A definition as a server with no limit of depth would have stored it, accepted and established."""
    obj = definition(plural, plural.capitalize())
    obj = {
        "kind": obj.pop("kind"),
        "apiVersion": obj.pop("apiVersion"),
        "metadata": obj.pop("metadata"),
        **obj,
    }
    names = obj["spec"]["names"]
    names |= {"singular": plural, "listKind": f"{plural.capitalize()}List"}
    obj["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema
    obj["spec"] |= {"conversion": {"strategy": "None"}, **spec}
    obj["metadata"] |= {"uid": plural, "creationTimestamp": "2020-01-01T00:00:00Z", "generation": 1}
    true = [{"type": one, "status": "True", "reason": "x"} for one in ("NamesAccepted", "Established")]
    obj["status"] = {"acceptedNames": names, "conditions": true, "storedVersions": ["v1"]}
    return json.dumps(obj, separators=(",", ":")).encode()


def deep(levels: int) -> Object:
    schema: Object = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return {"type": "object", "properties": {"spec": schema}}


@pytest.fixture
def started(rig: Any, runner: asyncio.Runner) -> Any:
    """A function that puts values into the store and starts the controller; it gives that."""
    running = []

    async def start(**values: bytes) -> CustomResourceDefinitions:
        for plural, value in values.items():
            await rig.storage.create(KEY.format(plural), value)
        await rig.settle()
        controller = CustomResourceDefinitions(
            rig.client("kube-apiserver"), Definitions(rig.store, rig.catalog)
        )
        running.append(controller)
        controller.start()
        await rig.settle()
        return controller

    yield start
    for controller in running:
        runner.run(controller.close())


async def test_one_that_is_nested_too_deeply_keeps_nobody_from_being_served(
    rig: Any, runner: Any, started: Any
) -> None:
    await started(deeps=stored("deeps", deep(LEVELS)), widgets=stored("widgets", deep(1)))
    await rig.ok(
        "POST", WIDGETS, {"apiVersion": "example.com/v1", "kind": "Widgets", "metadata": {"name": "w"}}
    )
    assert (await rig.call("GET", DEEPS)).status == 404
    found = conditions(await rig.ok("GET", f"{DEFINITIONS}/deeps.example.com"))
    assert found["NonStructuralSchema"] == ("True", "Violations")
    assert found["Established"] == ("False", "NotServed")
    await rig.ok("DELETE", f"{DEFINITIONS}/deeps.example.com")
    await rig.settle()
    assert (await rig.call("GET", f"{DEFINITIONS}/deeps.example.com")).status == 404
    assert len((await rig.ok("GET", DEFINITIONS))["items"]) == 1


async def test_its_objects_go_with_it(rig: Any, virtual: VirtualLoop, started: Any) -> None:
    place = "/registry/example.com/deeps/default/one"
    obj = {
        "apiVersion": "example.com/v1",
        "kind": "Deeps",
        "metadata": {"name": "one", "namespace": "default"},
    }
    await rig.storage.create(place, json.dumps(obj).encode())
    await started(deeps=stored("deeps", deep(LEVELS)))
    await rig.ok("DELETE", f"{DEFINITIONS}/deeps.example.com")
    await virtual.advance(0.6)
    await rig.settle()
    assert await rig.storage.get(place) is None
    assert (await rig.call("GET", f"{DEFINITIONS}/deeps.example.com")).status == 404


async def test_it_is_served_once_it_is_mended(rig: Any, runner: Any, started: Any) -> None:
    await started(deeps=stored("deeps", deep(LEVELS)))
    live = await rig.ok("GET", f"{DEFINITIONS}/deeps.example.com")
    live["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = deep(2)
    await rig.ok("PUT", f"{DEFINITIONS}/deeps.example.com", live)
    await rig.settle()
    found = conditions(await rig.ok("GET", f"{DEFINITIONS}/deeps.example.com"))
    assert "NonStructuralSchema" not in found and found["Established"][0] == "True"
    await rig.ok("GET", DEEPS)


@pytest.mark.parametrize(
    "value",
    [b"{", b"[]", b'{"metadata":{"name":"x.example.com"}}', stored("deeps", {}, versions=[{"name": "v1"}])],
)
async def test_what_is_no_definition_is_left_alone(rig: Any, runner: Any, value: bytes, started: Any) -> None:
    controller = await started(widgets=stored("widgets", deep(1)))
    controller._process(value)
    await rig.ok("GET", WIDGETS)


async def test_a_schema_that_cannot_be_compiled_fails_its_own_requests(
    rig: Any, runner: Any, started: Any, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = {"type": "object", "properties": 1}  # which no server lets in
    controller = await started(widgets=stored("widgets", wrong))
    await make(rig, definition("others", "Other"))
    body = {"apiVersion": "example.com/v1", "metadata": {"name": "w"}}
    for _ in range(2):
        message = await rig.fail(500, "POST", WIDGETS, {**body, "kind": "Widgets"})
        assert "version v1 of definition widgets.example.com cannot be compiled" in message
    assert caplog.text.count("A schema cannot be compiled") == 1, "it is not tried again"
    await rig.ok("GET", WIDGETS)
    await rig.ok("POST", "/apis/example.com/v1/namespaces/default/others", {**body, "kind": "Other"})
    assert controller.definitions.fault("others.example.com") == ""


async def test_a_large_definition_is_compiled_before_its_first_object(
    rig: Any, runner: Any, started: Any
) -> None:
    controller = await started()
    obj = definition()
    properties = {f"p{i}": {"type": "string", "description": "x" * 100} for i in range(1500)}
    obj["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = {"type": "object", "properties": properties}
    await make(rig, obj)
    known = controller.definitions.get("widgets.example.com")
    assert known is not None
    await aeventually(lambda: known._checked["v1"].schema is not None, "the schema is compiled")
