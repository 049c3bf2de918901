"""Writing the objects of a fresh cluster to the store."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from harness import CONFIG_MAPS, Rig

from pilothouse.api.values.fields import Errors
from pilothouse.controllers.bootstrap import BootstrapObject, BootstrapSettings, ensure, objects
from pilothouse.controllers.bootstrap_writer import BootstrapWriter
from pilothouse.storage.encryption.errors import EncryptionError
from pilothouse.storage.memory import MemoryStorage

NOW = "2026-01-02T03:04:05Z"


def settings() -> BootstrapSettings:
    return BootstrapSettings(
        advertise_address="192.0.2.2",
        secure_port=6443,
        service_cidrs=("10.0.0.0/24",),
        hostname="host",
        now=NOW,
    )


@pytest.fixture
def writer(rig: Rig) -> Any:
    return writer_of(rig)


def writer_of(rig: Rig) -> BootstrapWriter:
    return BootstrapWriter(rig.store, rig.catalog, rig.readers, rig.services)


def planned(obj: Any, plural: str = "configmaps", manager: str = "boss") -> BootstrapObject:
    return BootstrapObject("", "v1", plural, {"apiVersion": "v1", "kind": "ConfigMap", **obj}, manager)


@pytest.fixture
def one() -> Any:
    return planned({"metadata": {"name": "a", "namespace": "default"}, "data": {"k": "v"}})


async def test_what_is_missing_is_made(rig: Rig, writer: BootstrapWriter, one: Any) -> None:
    assert writer.get(one) is None
    await writer.create_missing([one])
    made = await rig.ok("GET", CONFIG_MAPS + "/a")
    assert made["data"] == {"k": "v"} and made["metadata"]["uid"]
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("boss", "Update")
    assert writer.get(one) == made
    assert "uid" not in one.obj["metadata"], "the plan is not touched"


async def test_a_manager_owns_what_was_planned_alone(rig: Rig, writer: BootstrapWriter) -> None:
    await writer.create_missing([planned({"kind": "Namespace", "metadata": {"name": "n"}}, "namespaces")])
    made = await rig.ok("GET", "/api/v1/namespaces/n")
    assert (made["spec"], made["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
    (entry,) = made["metadata"]["managedFields"]
    assert "f:spec" not in entry["fieldsV1"]


async def test_what_is_there_is_left(rig: Rig, writer: BootstrapWriter, one: Any) -> None:
    before = await rig.config_map("a")
    await writer.create_missing([one])
    assert await rig.ok("GET", CONFIG_MAPS + "/a") == before


async def test_each_object_has_a_revision_of_its_own(rig: Rig, writer: BootstrapWriter) -> None:
    names = [f"n{i}" for i in range(5)]
    await writer.create_missing([planned({"metadata": {"name": n, "namespace": "default"}}) for n in names])
    listed = await rig.ok("GET", CONFIG_MAPS)
    assert len({i["metadata"]["resourceVersion"] for i in listed["items"]}) == 5


class Locked(MemoryStorage):
    """A store that can write no service while it is `locked`."""

    locked = True

    async def txn(self, ops: Any) -> Any:
        if self.locked and ops[0].key.startswith("/registry/services"):
            raise EncryptionError("no key")
        return await super().txn(ops)


async def test_what_can_not_be_written_gives_back_what_it_took(runner: asyncio.Runner, one: Any) -> None:
    storage = Locked()
    async with Rig(storage=storage) as rig:
        await gives_back(storage, writer_of(rig), one)


async def gives_back(storage: Any, writer: Any, one: Any) -> None:
    service = {"kind": "Service", "metadata": {"name": "s", "namespace": "default"}}
    spec = {"clusterIP": "10.0.0.77", "clusterIPs": ["10.0.0.77"], "ports": [{"port": 1}]}
    locked = planned({**service, "spec": spec}, "services")
    for _ in range(2):
        with pytest.raises(EncryptionError):
            await writer.create_missing([locked, one])
    assert writer.get(one) is not None
    storage.locked = False
    await writer.create_missing([locked])
    assert writer.get(locked)["spec"]["clusterIP"] == "10.0.0.77"


async def test_change_and_delete(rig: Rig, writer: BootstrapWriter, one: Any) -> None:
    await writer.create_missing([one])
    await writer.change(one, lambda obj: obj.update(data={"k": "w"}))
    assert (await rig.ok("GET", CONFIG_MAPS + "/a"))["data"] == {"k": "w"}
    await writer.delete(one)
    assert writer.get(one) is None


async def test_a_group_that_is_switched_off_is_passed_over(
    rig: Rig, writer: BootstrapWriter, one: Any
) -> None:
    rig.catalog.remove("", "v1", "configmaps")
    await writer.create_missing([one])
    await writer.change(one, lambda obj: obj.clear())
    await writer.delete(one)
    assert writer.get(one) is None
    assert await rig.storage.get("/registry/configmaps/default/a") is None


async def test_a_whole_cluster(rig: Rig, writer: BootstrapWriter) -> None:
    """And a second start finds nothing to do."""
    planned = objects(settings())
    await ensure(writer, planned)
    for path in (
        "/api/v1/namespaces/kube-public",
        "/api/v1/namespaces/default/services/kubernetes",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin",
        "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/exempt",
        "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical",
    ):
        made = await rig.ok("GET", path)
        assert made["metadata"]["creationTimestamp"] and made["metadata"]["uid"], path
    before = rig.storage.revision
    await ensure(writer, planned)
    assert rig.storage.revision == before


async def test_what_was_damaged_is_mended(rig: Rig, writer: BootstrapWriter) -> None:
    await ensure(writer, objects(settings()))
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin"
    role = await rig.ok("GET", path)
    await rig.ok("PUT", path, {**role, "rules": []})
    await ensure(writer, objects(settings()))
    assert (await rig.ok("GET", path))["rules"] == role["rules"]


@pytest.mark.parametrize("address", ["192.0.2.2", "2001:db8::2"])
async def test_all_objects_fit_the_rules_of_their_kinds(rig: Rig, address: str) -> None:
    """Nobody looks when they are written."""
    given = replace(settings(), advertise_address=address, kubelet_group="kubelets")
    made, writer = objects(given), writer_of(rig)
    assert await ensure(writer, made) == []
    for one in made:
        live = writer.get(one)
        assert live is not None, one.name
        resource = rig.catalog.get(one.group, one.version, one.plural)
        assert resource is not None
        rules, faults, ctx = resource.strategy, Errors(), writer._context(resource, one)
        for metadata in ("uid", "resourceVersion"):
            live["metadata"].pop(metadata)
        if rules.validate is not None:
            rules.validate(ctx, live, faults)
        assert faults.causes == [], one.name


async def test_the_rules_of_the_kinds_are_not_asked(rig: Rig, writer: BootstrapWriter, one: Any) -> None:
    resource = rig.catalog.get("", "v1", "configmaps")
    assert resource is not None and resource.strategy.validate is not None
    own = writer._strategy(resource)
    assert (own.validate, own.validate_update, own.validate_anew) == (None, None, None)
    assert own.prepare_update == resource.strategy.prepare_update and writer._strategy(resource) is own
