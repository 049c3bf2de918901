"""Events about files that configure the server."""

from typing import Any

from harness import Rig

from pilothouse.controllers.reload_events import WAITING, ReloadEvents
from pilothouse.reload import ReloadOutcome

EVENTS = "/api/v1/namespaces/kube-system/events"
LEASE = {"metadata": {"name": "apiserver-x", "namespace": "kube-system"}, "spec": {}}


async def events(rig: Rig) -> list[Any]:
    return list((await rig.ok("GET", EVENTS))["items"])


async def test_they_are_about_the_lease(rig: Rig) -> None:
    made = await rig.ok("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", LEASE)
    told = ReloadEvents(rig.client("kube-apiserver"), made)
    told.start()
    told.tell(ReloadOutcome("token-file", ("/a", "/b")))
    told.tell(ReloadOutcome("token-file", ("/a",), "no table"))
    await rig.settle()
    found = {event["reason"]: event for event in await events(rig)}
    assert (found["ConfigurationReloaded"]["type"], found["ConfigurationReloaded"]["message"]) == (
        "Normal",
        "token-file was reloaded [/a, /b]",
    )
    assert (found["ConfigurationRejected"]["type"], found["ConfigurationRejected"]["message"]) == (
        "Warning",
        "token-file was not reloaded, what was in force stays so: no table [/a]",
    )
    assert {event["involvedObject"]["uid"] for event in found.values()} == {made["metadata"]["uid"]}
    await told.close()


async def test_a_lease_that_is_gone_is_told_of_by_name(rig: Rig) -> None:
    told = ReloadEvents(rig.client("kube-apiserver"), LEASE)
    told.start()
    told.tell(ReloadOutcome("audit-policy", ("/a",)))
    await rig.settle()
    [event] = await events(rig)
    assert event["involvedObject"]["name"] == "apiserver-x" and "uid" not in event["involvedObject"]
    await told.close()


async def test_only_so_many_wait(rig: Rig) -> None:
    told = ReloadEvents(rig.client("kube-apiserver"), LEASE)
    for number in range(WAITING + 10):
        told.tell(ReloadOutcome("audit-policy", (f"/{number}",)))
    told.start()
    await rig.settle()
    assert len(await events(rig)) == WAITING
    await told.close()


async def test_without_a_lease_there_are_none(rig: Rig) -> None:
    told = ReloadEvents(rig.client("kube-apiserver"), None)
    told.start()
    told.tell(ReloadOutcome("audit-policy", ("/a",)))
    await rig.settle()
    assert await events(rig) == []
    await told.close()
