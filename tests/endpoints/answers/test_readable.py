"""Objects up to the depth limit are read, stored and shown in every form; deeper ones are refused."""

import asyncio
import json
from typing import Any

import pytest
from harness import CONFIG_MAPS, Rig, config_map

from pilothouse.api.types import depth

REVISIONS = "/apis/apps/v1/namespaces/default/controllerrevisions"
FORMS = {
    "plain": "application/json",
    "table": "application/json;as=Table;v=v1;g=meta.k8s.io",
    "partial": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "yaml": "application/yaml",
    "protobuf": "application/vnd.kubernetes.protobuf",
}


def nested(levels: int, make: str = "object") -> Any:
    """A value with so many levels."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if make == "object" else [value]
    return value


def revision(levels: int, make: str = "object", name: str = "a") -> Any:
    """A ControllerRevision, whose `data` may be any object, of so many levels in all."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": name},
        "revision": 1,
        "data": {"a": nested(levels - 2, make)},
    }


async def status(rig: Rig, path: str, accept: str) -> int:
    """The status of a GET whose body no test can decode."""
    return (await rig.respond("GET", path, headers={"Accept": accept})).status


def with_fields(levels: int) -> Any:
    """A ConfigMap whose managedFields have so many levels, the object's own included."""
    entry = {"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1"}
    fields: Any = {}
    for _ in range(levels - 4):
        fields = {"f:a": fields}
    return config_map("a", managedFields=[{**entry, "fieldsV1": fields}])


@pytest.mark.parametrize("make", ["object", "array"])
async def test_the_deepest_object_is_shown_in_every_form(rig: Rig, make: str) -> None:
    stream = {
        form: await rig.watch(REVISIONS + "?watch=1", headers={"Accept": accept})
        for form, accept in FORMS.items()
        if form != "yaml"
    }
    body = json.dumps(revision(depth.MAX_DEPTH, make)).encode()
    answer = await rig.call("POST", REVISIONS, body)
    assert answer.status == 201, answer.body
    for path in (REVISIONS + "/a", REVISIONS):
        for form, accept in FORMS.items():
            if form == "partial" and path == REVISIONS:
                accept = accept.replace("Metadata;", "MetadataList;")
            for pretty in ("", "?pretty=1", "?includeObject=Object"):
                found = await rig.call("GET", path + pretty, headers={"Accept": accept})
                assert found.status == 200, (form, path, found.body)
    assert all(one.data for one in stream.values())
    again = await rig.ok("GET", REVISIONS + "/a")
    assert (await rig.call("PUT", REVISIONS + "/a", again)).status == 200
    patch = {"metadata": {"labels": {"a": "b"}}}
    for kind in ("merge-patch", "strategic-merge-patch"):
        headers = {"Content-Type": f"application/{kind}+json"}
        assert (await rig.call("PATCH", REVISIONS + "/a", patch, headers=headers)).status == 200
    headers = {"Content-Type": "application/apply-patch+yaml"}
    applied = revision(depth.MAX_DEPTH, make)
    path = REVISIONS + "/a?fieldManager=m&force=1"
    assert (await rig.call("PATCH", path, applied, headers=headers)).status == 200


@pytest.mark.parametrize("make", ["object", "array"])
async def test_deeper_bodies_are_refused(rig: Rig, make: str) -> None:
    body = revision(depth.MAX_DEPTH + 1, make)
    assert "exceeded max depth" in await rig.fail(400, "POST", REVISIONS, body)
    headers = {"Content-Type": "application/yaml"}
    assert "exceeded max depth" in await rig.fail(400, "POST", REVISIONS, body, headers=headers)
    headers = {"Content-Type": "application/apply-patch+yaml"}
    path = REVISIONS + "/a?fieldManager=m"
    assert "exceeded max depth" in await rig.fail(400, "PATCH", path, body, headers=headers)


async def test_patches_do_not_make_it_deeper(rig: Rig) -> None:
    await rig.ok("POST", REVISIONS, revision(10))
    path, inner = REVISIONS + "/a", nested(depth.MAX_DEPTH - 1)
    headers = {"Content-Type": "application/merge-patch+json"}
    await rig.fail(400, "PATCH", path, {"data": {"b": inner}}, headers=headers)
    headers = {"Content-Type": "application/json-patch+json"}
    patch = [{"op": "add", "path": "/data/b", "value": inner}]
    assert "exceeded max depth" in await rig.fail(400, "PATCH", path, patch, headers=headers)
    patch = [{"op": "copy", "from": "/data", "path": "/data/a/a/a/a/a/a/b"}] * 2000
    answer = await rig.call("PATCH", path, patch, headers=headers)
    assert answer.status in (400, 422), answer.body
    longer = [{"op": "move", "from": "/data", "path": "/x"}, {"op": "add", "path": "/data", "value": {}}]
    longer.append({"op": "move", "from": "/x", "path": "/data/a"})
    answer = await rig.call("PATCH", path, longer * 2000, headers=headers)
    assert answer.status in (400, 422), answer.body


async def test_managed_fields_that_are_too_deep_are_refused(rig: Rig) -> None:
    assert "exceeded max depth" in await rig.fail(400, "POST", CONFIG_MAPS, with_fields(250))


@pytest.mark.parametrize("levels", [250, 600, 2000])
async def test_what_is_stored_deeper_is_served_or_refused_alone(runner: asyncio.Runner, levels: int) -> None:
    rig = Rig()
    await rig.storage.start()
    for name, obj in (("deep", with_fields(4)), ("flat", config_map("flat"))):
        obj["metadata"] |= {"name": name, "namespace": "default", "uid": name}
        obj["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
        head = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": obj["metadata"]}
        text = json.dumps(head, separators=(",", ":"))
        text = text.replace('"fieldsV1":{}', '"fieldsV1":' + '{"f:a":' * levels + "{}" + "}" * levels)
        await rig.storage.create(f"/registry/configmaps/default/{name}", text.encode())
    async with rig:
        assert await status(rig, CONFIG_MAPS, FORMS["plain"]) == 200
        for form in ("table", "partial"):
            accept = FORMS[form].replace("Metadata;", "MetadataList;")
            found = await rig.ok("GET", CONFIG_MAPS, headers={"Accept": accept})
            names = [
                (row.get("object") or row)["metadata"]["name"] for row in found.get("rows") or found["items"]
            ]
            assert names == ["deep", "flat"]
        for form, accept in FORMS.items():
            bears = form in ("plain", "table", "partial") or levels < 1000
            assert await status(rig, CONFIG_MAPS + "/deep", accept) == (200 if bears else 500), form
            assert await status(rig, CONFIG_MAPS + "/flat", accept) == 200
            if form != "yaml":
                await rig.watch(CONFIG_MAPS + "?watch=1&resourceVersion=0", headers={"Accept": accept})
