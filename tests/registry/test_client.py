"""How controllers read and write."""

import asyncio

import pytest
from harness import CONFIG_MAPS, config_map

from pilothouse import errors


@pytest.fixture
def client(rig):
    return rig.client("robot")


@pytest.fixture
def config_maps(client):
    return client.resource("", "v1", "configmaps")


async def test_a_resource_must_be_there(client):
    with pytest.raises(KeyError):
        client.resource("example.com", "v1", "nothings")


async def test_create(rig, client, config_maps):
    obj = config_map("a", namespace="default", data={"k": "v"})
    assert await client.create(config_maps, obj)
    assert not await client.create(config_maps, config_map("a", namespace="default"))
    made = await rig.ok("GET", CONFIG_MAPS + "/a")
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("robot", "Update")
    assert made["data"] == {"k": "v"} and made["metadata"]["uid"]


async def test_a_copy_is_private(rig, client, config_maps):
    await rig.config_map("a", data={"k": "v"})
    copy = client.get(config_maps, "default", "a")
    copy["data"]["k"] = "changed"
    assert client.get(config_maps, "default", "a")["data"] == {"k": "v"}
    assert client.get(config_maps, "default", "b") is None


async def test_change(rig, client, config_maps):
    made = await rig.config_map("a", data={"k": "u"})
    uid = made["metadata"]["uid"]
    await client.change(config_maps, "default", "a", lambda obj: obj.update(data={"k": "v"}), uid=uid)
    changed = await rig.ok("GET", CONFIG_MAPS + "/a")
    assert changed["data"] == {"k": "v"}
    assert {e["manager"] for e in changed["metadata"]["managedFields"]} >= {"robot"}
    before = rig.storage.revision
    await client.change(config_maps, "default", "a", lambda obj: obj.update(data={"k": "v"}))
    assert rig.storage.revision == before, "nothing to change"
    with pytest.raises(errors.Conflict):
        await client.change(config_maps, "default", "a", lambda obj: None, uid="other")
    endpoints = client.resource("", "v1", "endpoints")
    for resource in (config_maps, endpoints):  # a PUT may create endpoints
        with pytest.raises(errors.NotFound):
            await client.change(resource, "default", "none", lambda obj: None)


async def test_changes_at_once_all_count(rig, client, config_maps):
    await rig.config_map("a", data={"n": "0"})

    def add(obj):
        obj["data"]["n"] = str(int(obj["data"]["n"]) + 1)

    await asyncio.gather(*(client.change(config_maps, "default", "a", add) for _ in range(10)))
    assert (await rig.ok("GET", CONFIG_MAPS + "/a"))["data"] == {"n": "10"}


async def test_a_status_is_changed_by_its_own_rules(rig, client):
    namespaces = client.resource("", "v1", "namespaces")
    condition = {"type": "X", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": None}

    def edit(obj):
        obj["status"]["conditions"] = [condition]
        obj["spec"] = {}

    await client.change(namespaces, "", "default", edit, "status")
    live = await rig.ok("GET", "/api/v1/namespaces/default")
    assert live["status"]["conditions"][0]["type"] == "X" and live["spec"] == {"finalizers": ["kubernetes"]}


async def test_delete(rig, client, config_maps):
    made = await rig.config_map("a")
    assert not await client.delete(config_maps, "default", "a", {"preconditions": {"uid": "other"}})
    options = {"preconditions": {"uid": made["metadata"]["uid"]}, "propagationPolicy": "Foreground"}
    assert await client.delete(config_maps, "default", "a", options)
    assert (await rig.ok("GET", CONFIG_MAPS + "/a"))["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert await client.delete(config_maps, "default", "a", {"propagationPolicy": "Background"})
    assert not await client.delete(config_maps, "default", "a")
