"""Waiting for conditions of objects."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pilothouse.api.values.fields import Object
from pilothouse.testing.client import KubeClient
from pilothouse.testing.server import InProcess

MAPS = "/api/v1/namespaces/default/configmaps"
NODE = "/api/v1/nodes/n"
MERGE = "application/merge-patch+json"


def call(server: InProcess, *request: Any) -> Object:
    with KubeClient(server.url, server.context()) as client:
        return client.call(*request)


def later(work: Callable[[], object]) -> None:
    timer = threading.Timer(0.3, work)
    timer.daemon = True
    timer.start()


def node(server: InProcess, status: str) -> None:
    condition = {"type": "Ready", "status": status, "reason": "Tried", "message": "so it is"}
    call(server, "PATCH", f"{NODE}/status", {"status": {"conditions": [condition]}}, MERGE)


def test_a_condition_is_awaited(server: InProcess) -> None:
    call(server, "POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
    later(lambda: node(server, "True"))
    assert server.wait(("v1", "Node", "n"))["status"]["conditions"][0]["reason"] == "Tried"
    later(lambda: node(server, "False"))
    assert server.wait(NODE, "Ready=False")["kind"] == "Node"


def test_what_is_so_already_is_not_awaited(server: InProcess) -> None:
    found = server.wait(
        ("v1", "Namespace", "default"), lambda one: one["status"]["phase"] == "Active", timeout=0
    )
    assert (found["apiVersion"], found["kind"]) == ("v1", "Namespace")


def test_an_object_that_is_to_come_and_to_go(server: InProcess) -> None:
    later(lambda: call(server, "POST", MAPS, {"metadata": {"name": "a"}, "data": {"b": "c"}}))
    assert server.wait(f"{MAPS}/a", lambda one: one["data"]["b"] == "c")["metadata"]["name"] == "a"
    later(lambda: call(server, "DELETE", f"{MAPS}/a"))
    assert server.wait(("v1", "ConfigMap", "a", "default"), "delete")["metadata"]["name"] == "a"
    server.wait(f"{MAPS}/a", "delete", timeout=0)


def test_it_waits_by_a_watch(server: InProcess) -> None:
    """The requests do not become more with time."""
    collection = "/api/v1/namespaces/kube-public/configmaps"
    with pytest.raises(TimeoutError):
        server.wait(f"{collection}/a", timeout=1.0)
    with KubeClient(server.url, server.context()) as client:
        found = client.call("GET", "/debug/requests?limit=100")["requests"]
    asked = [one for one in found if one["path"] == collection]
    assert sorted(one["verb"] for one in asked) == ["list", "watch"]


def test_the_error_shows_conditions_and_events(server: InProcess) -> None:
    call(server, "POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
    node(server, "Unknown")
    for number, reason in enumerate(["Second", "First"]):
        event = {
            "metadata": {"name": f"e{number}"},
            "involvedObject": {"kind": "Node", "name": "n"},
            "type": "Warning",
            "reason": reason,
            "message": "no kubelet",
            "count": 3,
            "lastTimestamp": f"2026-01-01T00:00:0{2 - number}Z",
        }
        call(server, "POST", "/api/v1/namespaces/default/events", event)
    begun = time.monotonic()
    with pytest.raises(TimeoutError) as raised:
        server.wait(NODE, timeout=0.5)
    assert 0.5 <= time.monotonic() - begun < 5
    assert str(raised.value).splitlines() == [
        f"{NODE} did not meet Ready within 0.5 s",
        "conditions:",
        "  Ready=Unknown Tried: so it is",
        "events:",
        "  Warning First (x3): no kubelet",
        "  Warning Second (x3): no kubelet",
    ]


def test_the_error_shows_the_last_error_of_a_function(server: InProcess) -> None:
    def has_size(one: Object) -> bool:
        return bool(one["spec"]["size"])

    with pytest.raises(TimeoutError, match=r"did not meet has_size within 0\.1 s \(KeyError: 'size'\)"):
        server.wait(("v1", "Namespace", "default"), has_size, timeout=0.1)
    with pytest.raises(TimeoutError, match="the object does not exist"):
        server.wait(("v1", "Namespace", "none"), has_size, timeout=0.1)
