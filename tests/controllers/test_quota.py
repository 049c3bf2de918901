"""The use that quotas tell follows what is there."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Rig, config_map, pod

from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.quota.ledger import SETTLE, Ledger
from pilothouse.admission.quota.plugin import ResourceQuota
from pilothouse.controllers.crds import CustomResourceDefinitions
from pilothouse.controllers.quota import ResourceQuotas
from pilothouse.registry.crd import Definitions
from pilothouse.storage.memory import MemoryStorage

NS = "/api/v1/namespaces/default"
QUOTAS = f"{NS}/resourcequotas"
MERGE = {"Content-Type": "application/merge-patch+json"}


class Counted(Rig):
    """A server with the controller."""

    controller: ResourceQuotas


@pytest.fixture
def rig(runner: asyncio.Runner) -> Iterator[Any]:
    """A server with the plugin and the controller."""
    plugin = ResourceQuota()
    rig = Counted((NamespaceLifecycle(), plugin))

    async def start() -> None:
        await rig.start()
        plugin.ledger.follow(rig.client("kube-apiserver"))
        rig.controller = ResourceQuotas(rig.client("kube-controller-manager"), plugin.ledger, delay=0)
        rig.controller.start()

    async def stop() -> None:
        await rig.controller.close()
        await plugin.ledger.close()
        await rig.stop()

    runner.run(start())
    yield rig
    runner.run(stop())


async def quota(rig: Any, hard: Any, **spec: Any) -> None:
    await rig.ok("POST", QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": hard, **spec}})
    await rig.settle()


async def status(rig: Any) -> Any:
    await rig.settle()
    return (await rig.ok("GET", f"{QUOTAS}/q"))["status"]


async def used(rig: Any) -> Any:
    return (await status(rig))["used"]


async def test_without_quotas_nothing_is_followed(rig: Any) -> None:
    assert not rig.controller._caches
    await quota(rig, {"configmaps": "9"})
    followed = dict(rig.controller._caches)
    assert "/registry/configmaps/" in followed
    await rig.config_map("a")
    await rig.ok("DELETE", f"{NS}/configmaps/a")
    assert (await used(rig))["configmaps"] == "0"
    await rig.ok("POST", QUOTAS, {"metadata": {"name": "r"}, "spec": {"hard": {"pods": "1"}}})
    assert rig.controller._caches == followed


async def test_a_new_quota_counts_what_is_there(rig: Any) -> None:
    for name in ("a", "b"):
        await rig.ok("POST", f"{NS}/pods", pod(name))
        await rig.config_map(name)
    hard = {"pods": "3", "count/pods": "3", "configmaps": "9", "count/nothings.example.com": "1"}
    await quota(rig, hard)
    counted = {"pods": "2", "count/pods": "2", "configmaps": "2"}
    assert await status(rig) == {"hard": hard, "used": counted}


async def test_use_falls_when_objects_go(rig: Any) -> None:
    await quota(rig, {"pods": "2", "secrets": "1"})
    await rig.ok("POST", f"{NS}/pods", pod("a"))
    await rig.ok("POST", f"{NS}/secrets", {"metadata": {"name": "s"}})
    assert await used(rig) == {"pods": "1", "secrets": "1"}
    await rig.ok("DELETE", f"{NS}/pods/a?gracePeriodSeconds=0")
    await rig.ok("DELETE", f"{NS}/secrets/s")
    assert await used(rig) == {"pods": "0", "secrets": "0"}


async def test_a_pod_that_has_ended_is_only_an_object(rig: Any) -> None:
    await quota(rig, {"pods": "2", "count/pods": "2"})
    await rig.ok("POST", f"{NS}/pods", pod("a"))
    await rig.ok("PATCH", f"{NS}/pods/a/status", {"status": {"phase": "Succeeded"}}, headers=MERGE)
    assert await used(rig) == {"pods": "0", "count/pods": "1"}


async def test_a_change_of_the_limits(rig: Any) -> None:
    await quota(rig, {"configmaps": "1"})
    await rig.config_map("a")
    assert await used(rig) == {"configmaps": "1"}
    new = {"configmaps": None, "pods": "1", "count/configmaps": "5"}
    await rig.ok("PATCH", f"{QUOTAS}/q", {"spec": {"hard": new}}, headers=MERGE)
    assert await status(rig) == {
        "hard": {"pods": "1", "count/configmaps": "5"},
        "used": {"pods": "0", "count/configmaps": "1"},
    }


async def test_scopes(rig: Any) -> None:
    await rig.ok("POST", f"{NS}/pods", pod("a"))
    await rig.ok("POST", f"{NS}/pods", pod("b", spec={"activeDeadlineSeconds": 9}))
    await quota(rig, {"pods": "5"}, scopes=["NotTerminating"])
    assert await used(rig) == {"pods": "1"}
    await rig.ok("PATCH", f"{NS}/pods/a", {"spec": {"activeDeadlineSeconds": 5}}, headers=MERGE)
    assert await used(rig) == {"pods": "0"}


async def test_a_service_that_shrinks(rig: Any) -> None:
    await quota(rig, {"services.nodeports": "5"})
    spec = {"type": "NodePort", "ports": [{"port": 80}]}
    await rig.ok("POST", f"{NS}/services", {"metadata": {"name": "s"}, "spec": spec})
    assert await used(rig) == {"services.nodeports": "1"}
    await rig.ok("PATCH", f"{NS}/services/s", {"spec": {"type": "ClusterIP"}}, headers=MERGE)
    assert await used(rig) == {"services.nodeports": "0"}


async def test_creators_and_deleters_together(rig: Any) -> None:
    """A charge for an object that is not there yet is not lost by a count in between."""
    await quota(rig, {"configmaps": "10"})

    async def churn(number: Any) -> Any:
        most = 0
        for n in range(12):
            name = f"{number}-{n}"
            answer = await rig.call("POST", f"{NS}/configmaps", config_map(name))
            listed = (await rig.ok("GET", f"{NS}/configmaps"))["items"]
            most = max(most, len(listed))
            if answer.status == 201 and n % 3:
                await rig.ok("DELETE", f"{NS}/configmaps/{name}")
        return most

    most = await asyncio.gather(*(churn(n) for n in range(16)))
    assert max(most) == 10
    there = len((await rig.ok("GET", f"{NS}/configmaps"))["items"])
    assert await used(rig) == {"configmaps": str(there)}


async def test_a_count_that_nothing_calls_for(rig: Counted) -> None:
    """A status that somebody has written is put right by the periodic count."""
    await quota(rig, {"configmaps": "10"})
    await rig.ok("PATCH", f"{QUOTAS}/q/status", {"status": {"used": {"configmaps": "7"}}}, headers=MERGE)
    assert await used(rig) == {"configmaps": "7"}
    rig.controller.queue.add("default/q")
    assert await used(rig) == {"configmaps": "0"}


DEFINITION = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}


async def test_custom_resources_are_counted_once_they_are_served(rig: Any) -> None:
    definitions = CustomResourceDefinitions(rig.client(), Definitions(rig.store, rig.catalog))
    definitions.start()
    await quota(rig, {"count/widgets.example.com": "1"})
    assert await used(rig) == {}
    await rig.ok("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", DEFINITION)
    assert await used(rig) == {"count/widgets.example.com": "0"}
    widgets = "/apis/example.com/v1/namespaces/default/widgets"
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}}
    await rig.ok("POST", widgets, widget)
    assert await used(rig) == {"count/widgets.example.com": "1"}
    why = await rig.fail(403, "POST", widgets, {**widget, "metadata": {"name": "b"}})
    assert why.startswith('widgets.example.com "b" is forbidden: exceeded quota: q')
    await rig.ok("DELETE", f"{widgets}/a")
    assert await used(rig) == {"count/widgets.example.com": "0"}
    await definitions.close()


class SharedStorage(MemoryStorage):
    others_write = True


async def test_a_count_waits_for_what_other_servers_have_charged(runner: asyncio.Runner) -> None:
    now = 100.0
    ledger = Ledger(clock=lambda: now)
    async with Rig((NamespaceLifecycle(), ResourceQuota(ledger)), storage=SharedStorage()) as rig:
        ledger.follow(rig.client("kube-apiserver"))
        ledger.counter = rig.client("kube-controller-manager")
        await rig.ok("POST", QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "5"}}})
        assert await ledger.recount("default", "q").outcome() is None
        body = {"status": {"used": {"pods": "1"}}}  # another server's charge, whose pod is not there yet
        await rig.ok("PATCH", f"{QUOTAS}/q/status", body, headers=MERGE)
        now += SETTLE / 4
        assert await ledger.recount("default", "q").outcome() == SETTLE * 3 / 4
        assert await used(rig) == {"pods": "1"}
        now += SETTLE
        assert await ledger.recount("default", "q").outcome() is None
        assert await used(rig) == {"pods": "0"}
        await ledger.close()


async def test_counts_and_charges_are_written_under_their_own_names(rig: Any) -> None:
    await quota(rig, {"pods": "5"})
    await rig.ok("POST", f"{NS}/pods", pod("a"))
    fields = (await rig.ok("GET", f"{QUOTAS}/q"))["metadata"]["managedFields"]
    managers = {f["manager"] for f in fields if f.get("subresource") == "status"}
    assert managers == {"kube-apiserver", "kube-controller-manager"}
