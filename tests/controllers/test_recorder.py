"""Events that a controller writes."""

import pytest
from harness import Rig

from pilothouse.controllers.recorder import Recorder

EVENTS = "/apis/events.k8s.io/v1/namespaces"


async def test_a_warning_is_written_once(rig: Rig) -> None:
    recorder = Recorder(rig.client("kube-apiserver"), "some-controller")
    about = await rig.config_map("a")
    for _ in range(2):
        await recorder.warn(about, "Odd", "Looking", "it is odd")
    [event] = (await rig.ok("GET", f"{EVENTS}/default/events"))["items"]
    assert (event["type"], event["reason"], event["action"], event["note"]) == (
        "Warning",
        "Odd",
        "Looking",
        "it is odd",
    )
    assert event["reportingController"] == "some-controller"
    assert event["reportingInstance"].startswith("some-controller-")
    assert {m: event["regarding"][m] for m in ("kind", "name", "uid")} == {
        "kind": "ConfigMap",
        "name": "a",
        "uid": about["metadata"]["uid"],
    }
    await recorder.warn(about, "Odd", "Looking", "it is odder")
    assert len((await rig.ok("GET", f"{EVENTS}/default/events"))["items"]) == 2


async def test_what_has_no_namespace_is_told_of_in_default(rig: Rig) -> None:
    recorder = Recorder(rig.client("kube-apiserver"), "some-controller")
    about = await rig.ok("GET", "/api/v1/namespaces/kube-system")
    await recorder.warn(about, "Odd", "Looking", "it is odd")
    [event] = (await rig.ok("GET", f"{EVENTS}/default/events"))["items"]
    assert event["regarding"]["name"] == "kube-system"


async def test_what_can_not_be_written_is_let_go(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(rig.client("kube-apiserver"), "no controller's name")
    await recorder.warn(await rig.config_map("a"), "Odd", "Looking", "it is odd")
    assert "An event was not written" in caplog.text
    assert (await rig.ok("GET", f"{EVENTS}/default/events"))["items"] == []


async def test_what_was_told_is_remembered_boundedly(rig: Rig) -> None:
    recorder = Recorder(rig.client("kube-apiserver"), "some-controller", remembered=2)
    about = await rig.config_map("a")
    for note in ("a", "b", "c", "c", "a"):
        await recorder.warn(about, "Odd", "Looking", note)
    told = (await rig.ok("GET", f"{EVENTS}/default/events"))["items"]
    assert sorted(event["note"] for event in told) == ["a", "a", "b", "c"]


async def test_what_repeats_is_counted(rig: Rig) -> None:
    recorder = Recorder(rig.client("kube-apiserver"), "some-controller")
    about = await rig.config_map("a")
    for _ in range(3):
        await recorder.tell(about, "Normal", "Done", "it is done")
    await recorder.tell(about, "Normal", "Done", "x" * 5000)
    path = "/api/v1/namespaces/default/events"
    told = {event["message"]: event for event in (await rig.ok("GET", path))["items"]}
    assert {len(message): event["count"] for message, event in told.items()} == {10: 3, 1024: 1}
    first = told["it is done"]
    assert (first["type"], first["reason"], first["source"]) == (
        "Normal",
        "Done",
        {"component": "some-controller"},
    )
    assert first["firstTimestamp"] <= first["lastTimestamp"] and first["involvedObject"]["name"] == "a"
    await rig.ok("DELETE", f"{path}/{first['metadata']['name']}")
    await recorder.tell(about, "Normal", "Done", "it is done")
    again = [event for event in (await rig.ok("GET", path))["items"] if event["message"] == "it is done"]
    assert [event["count"] for event in again] == [1], "the first has expired by now"
