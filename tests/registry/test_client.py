"""The client with which controllers read and write."""

import asyncio
from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig, config_map, plug, pod

from pilothouse import errors
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.registry.client import Client


@pytest.fixture
def client(rig: Rig) -> Any:
    return rig.client("robot")


@pytest.fixture
def config_maps(client: Any) -> Any:
    return client.resource("", "v1", "configmaps")


async def test_a_resource_must_be_there(client: Any) -> None:
    with pytest.raises(KeyError):
        client.resource("example.com", "v1", "nothings")


async def test_create(rig: Rig, client: Any, config_maps: Any) -> None:
    obj = config_map("a", namespace="default", data={"k": "v"})
    assert await client.create(config_maps, obj)
    assert not await client.create(config_maps, config_map("a", namespace="default"))
    made = await rig.ok("GET", CONFIG_MAPS + "/a")
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("robot", "Update")
    assert made["data"] == {"k": "v"} and made["metadata"]["uid"]


async def test_a_copy_is_private(rig: Rig, client: Any, config_maps: Any) -> None:
    await rig.config_map("a", data={"k": "v"})
    copy = client.get(config_maps, "default", "a")
    copy["data"]["k"] = "changed"
    assert client.get(config_maps, "default", "a")["data"] == {"k": "v"}
    assert client.get(config_maps, "default", "b") is None


async def test_change(rig: Rig, client: Any, config_maps: Any) -> None:
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


async def test_changes_at_once_all_count(rig: Rig, client: Any, config_maps: Any) -> None:
    await rig.config_map("a", data={"n": "0"})

    def add(obj: Any) -> None:
        obj["data"]["n"] = str(int(obj["data"]["n"]) + 1)

    await asyncio.gather(*(client.change(config_maps, "default", "a", add) for _ in range(10)))
    assert (await rig.ok("GET", CONFIG_MAPS + "/a"))["data"] == {"n": "10"}


async def test_a_status_is_changed_by_its_own_rules(rig: Rig, client: Any) -> None:
    namespaces = client.resource("", "v1", "namespaces")
    condition = {"type": "X", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": None}

    def edit(obj: Any) -> None:
        obj["status"]["conditions"] = [condition]
        obj["spec"] = {}

    await client.change(namespaces, "", "default", edit, "status")
    live = await rig.ok("GET", "/api/v1/namespaces/default")
    assert live["status"]["conditions"][0]["type"] == "X" and live["spec"] == {"finalizers": ["kubernetes"]}


async def test_delete(rig: Rig, client: Any, config_maps: Any) -> None:
    made = await rig.config_map("a")
    assert not await client.delete(config_maps, "default", "a", {"preconditions": {"uid": "other"}})
    options = {"preconditions": {"uid": made["metadata"]["uid"]}, "propagationPolicy": "Foreground"}
    assert await client.delete(config_maps, "default", "a", options)
    assert (await rig.ok("GET", CONFIG_MAPS + "/a"))["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert await client.delete(config_maps, "default", "a", {"propagationPolicy": "Background"})
    assert not await client.delete(config_maps, "default", "a")


class Note(AdmissionPlugin):
    """Notes what it is asked, and adds a label by giving another object."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def wants(self, a: Any) -> bool:
        return a.resource.plural == "configmaps"

    def mutate(self, a: Any) -> dict[str, Any] | None:
        self.asked.append(("mutate", a.operation, a.user.name))
        if a.obj is None:
            return None
        return {**a.obj, "metadata": {**a.obj["metadata"], "labels": {"by": "plugin"}}}

    def validate(self, a: Any) -> None:
        self.asked.append(("validate", a.operation, a.user.name))


async def test_a_pod_is_bound(rig: Rig, client: Any) -> None:
    made = await rig.ok("POST", PODS, pod("p"))
    metadata = {"namespace": "default", "name": "p", "uid": made["metadata"]["uid"]}
    await client.bind({"metadata": metadata, "target": {"kind": "Node", "name": "n"}})
    found = await rig.ok("GET", f"{PODS}/p")
    assert found["spec"]["nodeName"] == "n"
    assert [(one["type"], one["status"]) for one in found["status"]["conditions"]] == [
        ("PodScheduled", "True")
    ]
    with pytest.raises(errors.Conflict, match='already assigned to node "n"'):
        await client.bind({"metadata": metadata, "target": {"kind": "Node", "name": "m"}})
    with pytest.raises(errors.NotFound):
        await client.bind({"metadata": {**metadata, "name": "q"}, "target": {"kind": "Node", "name": "n"}})


async def test_admission_sees_what_controllers_write(rig: Rig, client: Any, config_maps: Any) -> None:
    plugin = Note()
    plug(rig.chain, plugin)
    await client.create(config_maps, config_map("a", namespace="default"))
    assert (await rig.ok("GET", CONFIG_MAPS + "/a"))["metadata"]["labels"] == {"by": "plugin"}
    await client.change(config_maps, "default", "a", lambda obj: obj["metadata"].pop("labels"))
    await client.apply(config_maps, "a", {"metadata": {"name": "a"}, "data": {"k": "v"}}, namespace="default")
    applied = await rig.ok("GET", CONFIG_MAPS + "/a")
    assert applied["metadata"]["labels"] == {"by": "plugin"} and applied["data"] == {"k": "v"}
    await client.delete(config_maps, "default", "a")
    operations = ("CREATE", "UPDATE", "UPDATE", "DELETE")
    assert plugin.asked == [
        (half, operation, "system:apiserver") for operation in operations for half in ("mutate", "validate")
    ]


async def test_admission_refuses_a_controller_as_any_other(rig: Rig, config_maps: Any) -> None:
    class Refuse(AdmissionPlugin):
        def validate(self, a: Any) -> None:
            raise a.refuse("no")

    plug(rig.chain, Refuse())
    with pytest.raises(errors.Forbidden):
        await rig.client().create(config_maps, config_map("a", namespace="default"))
    free = Client(rig.store, rig.catalog, rig.readers, rig.services, "test")
    assert await free.create(config_maps, config_map("a", namespace="default")), "passes no chain"


async def test_companions(rig: Rig) -> None:
    addresses = "ipaddresses.networking.k8s.io"
    companions = rig.services.companions
    assert companions.served(addresses) and not companions.served("nothings.example.com")
    spec = {"parentRef": {"resource": "services", "namespace": "default", "name": "s"}}
    labels = {"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "x"}
    obj: dict[str, Any] = {"metadata": {"name": "10.0.0.9", "labels": labels}, "spec": spec}
    assert await companions.create(addresses, {**obj, "metadata": dict(obj["metadata"])})
    assert not await companions.create(addresses, {**obj, "metadata": dict(obj["metadata"])})
    assert await companions.delete(addresses, "", "10.0.0.9")
    assert not await companions.delete(addresses, "", "10.0.0.9")
    assert not await companions.create("nothings.example.com", {"metadata": {"name": "a"}})
    assert not await companions.delete("nothings.example.com", "", "a")


class See(AdmissionPlugin):
    """Notes the versions of what it sees, and the options."""

    def __init__(self, plural: str) -> None:
        self.plural = plural
        self.seen: list[Any] = []

    def wants(self, a: Any) -> bool:
        return a.resource.plural == self.plural

    def mutate(self, a: Any) -> None:
        objects = (a.obj, a.old)
        self.seen.append((a.operation, *(obj and obj["apiVersion"] for obj in objects), a.options))


async def test_admission_sees_the_version_that_a_controller_writes(rig: Rig, client: Any) -> None:
    path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}, "maxReplicas": 2}
    await rig.ok("POST", path, {"metadata": {"name": "a"}, "spec": spec})
    plugin = See("horizontalpodautoscalers")
    plug(rig.chain, plugin)
    scalers = client.resource("autoscaling", "v1", "horizontalpodautoscalers")

    def edit(obj: Any) -> None:
        obj["spec"]["targetCPUUtilizationPercentage"] = 50

    await client.change(scalers, "default", "a", edit)
    made = await rig.ok("GET", path + "/a")
    assert made["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
    await client.apply(
        scalers, "a", {"metadata": {"name": "a"}, "spec": {"maxReplicas": 3}}, namespace="default"
    )
    assert (await rig.ok("GET", path + "/a"))["spec"]["maxReplicas"] == 3
    assert [seen[:3] for seen in plugin.seen] == [("UPDATE", "autoscaling/v1", "autoscaling/v1")] * 2


async def test_admission_sees_how_a_controller_deletes(rig: Rig, client: Any, config_maps: Any) -> None:
    plugin = See("configmaps")
    plug(rig.chain, plugin)
    await rig.config_map("a")
    await client.delete(config_maps, "default", "a", {"propagationPolicy": "Background"})
    options = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "propagationPolicy": "Background"}
    operation, obj, _, seen = plugin.seen[-1]
    assert (operation, obj, seen) == ("DELETE", None, options)


async def test_an_apply_does_not_create(rig: Rig, client: Any) -> None:
    endpoints = client.resource("", "v1", "endpoints")
    with pytest.raises(errors.NotFound):
        await client.apply(endpoints, "none", {"metadata": {"name": "none"}}, namespace="default")
