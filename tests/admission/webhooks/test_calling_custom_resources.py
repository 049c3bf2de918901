"""Webhooks and custom resources."""

import asyncio
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from converters import DEFINITIONS, GROUP, V1, V2, Boxes, box, definition, path
from webhooks import RULE, Hooked, allow, deny, label, patched

BOXES_RULE = {**RULE, "apiGroups": [GROUP], "resources": ["boxes"]}


@pytest.fixture
def hooked(runner: asyncio.Runner, tmp_path: pathlib.Path) -> Iterator[Hooked]:
    """A rig with a definition of boxes whose versions are converted by a webhook."""
    hooked = Hooked(tmp_path)
    runner.run(hooked.__aenter__())
    boxes = Boxes(hooked.rig)
    runner.run(boxes.start())
    hooked.boxes = boxes  # type: ignore[attr-defined]
    yield hooked
    runner.run(boxes.stop())
    runner.run(hooked.__aexit__())


async def test_custom_objects_are_refused_and_changed(hooked: Hooked) -> None:
    rule = {**BOXES_RULE, "operations": ["CREATE", "UPDATE"]}
    await hooked.mutating("/label", label("made"), rules=[rule])
    await hooked.validating(
        "/v", lambda request: {"allowed": request["object"]["spec"]["size"] != "9x9"}, rules=[rule]
    )
    made = await hooked.rig.ok("POST", path("v1"), box("a", V1))
    assert made["metadata"]["labels"] == {"made": "x"}
    bad = {**box("b", V1), "spec": {"size": "9x9"}}
    await hooked.rig.fail(400, "POST", path("v1"), bad)
    (request, *_) = hooked.server.asked("/label")
    assert request["kind"] == {"group": GROUP, "version": "v1", "kind": "Box"}


async def test_what_a_schema_does_not_know_is_pruned_and_what_it_forbids_refused(hooked: Hooked) -> None:
    await hooked.mutating(
        "/a", patched({"op": "add", "path": "/spec/unknown", "value": 1}), rules=[BOXES_RULE]
    )
    made = await hooked.rig.ok("POST", path("v1"), box("a", V1))
    assert made["spec"] == {"size": "2x3"}
    hooked.server.hooks["/a"] = patched({"op": "add", "path": "/spec/size", "value": 1})
    assert "spec.size" in await hooked.rig.fail(422, "POST", path("v1"), box("b", V1))


async def test_equivalent_versions_are_converted_by_the_definitions_webhook(hooked: Hooked) -> None:
    rule = {**BOXES_RULE, "apiVersions": ["v2"]}
    await hooked.mutating("/v2", patched({"op": "replace", "path": "/spec/width", "value": 7}), rules=[rule])
    await hooked.validating("/see", allow, rules=[rule])
    made = await hooked.rig.ok("POST", path("v1"), box("a", V1))
    assert (made["apiVersion"], made["spec"]) == (V1, {"size": "7x3"})
    (request,) = hooked.server.asked("/v2")
    assert (request["object"]["apiVersion"], request["object"]["spec"]) == (V2, {"width": 2, "height": 3})
    (request,) = hooked.server.asked("/see")
    assert request["object"]["spec"] == {"width": 7, "height": 3}
    await hooked.mutating("/exact", deny, rules=[rule], matchPolicy="Exact")
    await hooked.rig.ok("POST", path("v1"), box("b", V1))
    await hooked.rig.fail(400, "POST", path("v2"), box("c", V2))


async def test_a_conversion_that_fails_fails_the_request(hooked: Hooked) -> None:
    await hooked.validating("/see", allow, rules=[{**BOXES_RULE, "apiVersions": ["v2"]}])
    boxes: Any = hooked.boxes  # type: ignore[attr-defined]
    boxes.fake.broken = "conversion webhook for it is broken"
    assert "is broken" in await hooked.rig.fail(500, "POST", path("v1"), box("a", V1))


async def test_definitions_themselves(hooked: Hooked) -> None:
    rule = {**RULE, "apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"]}
    await hooked.validating("/no", deny, rules=[rule])
    other = definition()
    other["metadata"]["name"] = f"others.{GROUP}"
    other["spec"]["names"] = {"plural": "others", "kind": "Other"}
    await hooked.rig.fail(400, "POST", DEFINITIONS, other)
