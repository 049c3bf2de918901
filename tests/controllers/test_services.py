"""The repair of node ports and of the IPAddress objects of cluster IPs."""

import time
from typing import Any

import pytest
from harness import Rig
from metric_samples import samples

from pilothouse.controllers.services import GRACE, ServiceRepair
from pilothouse.registry.node_ports import KEY, decode, encode

SERVICES = "/api/v1/namespaces/default/services"
ADDRESSES = "/apis/networking.k8s.io/v1/ipaddresses"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"


def node_port(name: str, port: Any, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"type": "NodePort", "ports": [{"port": 1, "nodePort": port}], **spec},
    }


async def marked(rig: Rig) -> Any:
    bits = decode((await rig.storage.get(KEY)).value)[1]
    return {30000 + n for n in range(bits.bit_length()) if bits >> n & 1}


async def mark(rig: Rig, *ports: Any, spec: str = "30000-32767", first: int = 30000) -> None:
    """Write a bitmap as another server, or an operator, might."""
    value = encode(spec, sum(1 << port - first for port in ports))
    kv = await rig.storage.get(KEY)
    await (rig.storage.update(KEY, value, kv.mod) if kv else rig.storage.create(KEY, value))


async def told(rig: Rig) -> Any:
    items = (await rig.ok("GET", EVENTS))["items"]
    return sorted((e["reason"], e["regarding"]["name"], e["note"]) for e in items)


@pytest.fixture
def repair(rig: Rig) -> ServiceRepair:
    return ServiceRepair(rig.client("kube-apiserver"), rig.services.addresses, rig.services.node_ports)


async def test_a_fresh_store_gets_a_bitmap(rig: Rig, repair: ServiceRepair) -> None:
    await repair.repair()
    assert decode((await rig.storage.get(KEY)).value) == ("30000-32767", 0)
    revision = rig.storage.revision
    await repair.repair()
    assert rig.storage.revision == revision


async def test_a_port_that_is_not_marked_is_marked_and_told_of(rig: Rig, repair: ServiceRepair) -> None:
    await rig.ok("POST", SERVICES, node_port("a", 30007))
    await mark(rig)
    await repair.repair()
    assert await marked(rig) == {30007}
    assert await told(rig) == [("PortNotAllocated", "a", "Port 30007 is not allocated; repairing")]
    assert samples(repair.metrics)['apiserver_nodeport_repair_port_errors_total{type="repair"}'] == "1"
    [event] = (await rig.ok("GET", EVENTS))["items"]
    assert event["type"] == "Warning" and event["action"] == "PortAllocation"
    assert event["reportingController"] == "portallocator-repair-controller"
    await rig.fail(422, "POST", SERVICES, node_port("b", 30007))


async def test_a_port_that_is_marked_for_nothing_is_free_after_three_looks(
    rig: Rig, repair: ServiceRepair
) -> None:
    await rig.ok("POST", SERVICES, node_port("a", 30007))
    await mark(rig, 30007, 30008)
    for _ in range(2):
        await repair.repair()
        assert await marked(rig) == {30007, 30008}
    await repair.repair()
    assert await marked(rig) == {30007}
    assert samples(repair.metrics)['apiserver_nodeport_repair_port_errors_total{type="leak"}'] == "1"
    await rig.ok("POST", SERVICES, node_port("b", 30008))
    assert await told(rig) == []


async def test_a_leak_that_is_used_meanwhile_is_none(rig: Rig, repair: ServiceRepair) -> None:
    await mark(rig, 30008)
    await repair.repair()
    await repair.repair()
    await mark(rig)
    await rig.ok("POST", SERVICES, node_port("a", 30008))
    await repair.repair()
    await rig.ok("DELETE", f"{SERVICES}/a")
    await mark(rig, 30008)
    await repair.repair()
    assert await marked(rig) == {30008}


async def test_ports_of_another_range_and_of_two_services_are_told_of(
    rig: Rig, repair: ServiceRepair
) -> None:
    await mark(rig, 29990, 30007, spec="29990-30010", first=29990)
    first = await rig.ok("POST", SERVICES, {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 1}]}})
    for name, port in (("a", 30007), ("b", 30007), ("c", 80)):
        obj = {**first, "metadata": {**first["metadata"], "name": name, "uid": name}}
        obj["spec"] = {**first["spec"], "ports": [{"port": 1, "nodePort": port}], "clusterIPs": ["None"]}
        await put(rig, f"/registry/services/specs/default/{name}", obj)
    await repair.repair()
    assert decode((await rig.storage.get(KEY)).value)[0] == "30000-32767"
    assert await marked(rig) == {30007}
    assert await told(rig) == [
        (
            "PortAlreadyAllocated",
            "b",
            "Port 30007 was assigned to multiple services; please recreate service",
        ),
        (
            "PortOutOfRange",
            "c",
            "Port 80 is not within the port range 30000-32767; please recreate service",
        ),
    ]


async def put(rig: Rig, key: str, obj: Any) -> None:
    import orjson

    kv = await rig.storage.get(key)
    value = orjson.dumps(obj)
    await (rig.storage.update(key, value, kv.mod) if kv else rig.storage.create(key, value))


async def holder(rig: Rig, ip: Any) -> Any:
    return (await rig.ok("GET", f"{ADDRESSES}/{ip}"))["spec"]["parentRef"]["name"]


async def plain(rig: Rig, name: str, **spec: Any) -> Any:
    made = await rig.ok(
        "POST", SERVICES, {"metadata": {"name": name}, "spec": {"ports": [{"port": 1}], **spec}}
    )
    return made["spec"]["clusterIP"]


async def test_an_address_without_an_object_gets_one(rig: Rig, repair: ServiceRepair) -> None:
    ip = await plain(rig, "a")
    await rig.ok("DELETE", f"{ADDRESSES}/{ip}")
    await repair.repair()
    assert await holder(rig, ip) == "a"
    assert await told(rig) == [
        ("ClusterIPNotAllocated", "a", f"Cluster IP [IPv4]: {ip} is not allocated; repairing")
    ]
    revision = rig.storage.revision
    await repair.repair()
    assert rig.storage.revision == revision
    assert samples(repair.metrics)['apiserver_clusterip_repair_ip_errors_total{type="repair"}'] == "1"


async def test_comparisons_that_fail_are_counted(rig: Rig, repair: ServiceRepair) -> None:
    ip = await plain(rig, "a", type="NodePort")
    await rig.ok("DELETE", f"{ADDRESSES}/{ip}")
    await mark(rig)
    await rig.storage.close()
    await repair.repair()
    found = samples(repair.metrics)
    for what in ("nodeport", "clusterip"):
        assert found[f"apiserver_{what}_repair_reconcile_errors_total"] == "1"


@pytest.mark.parametrize(
    "parent",
    [{"resource": "gateways", "name": "g"}, {"resource": "services", "namespace": "default", "name": "x"}],
)
async def test_an_object_that_stands_for_something_else_is_made_anew(
    rig: Rig, repair: ServiceRepair, parent: dict[str, Any]
) -> None:
    ip = await plain(rig, "a")
    await rig.ok("DELETE", f"{ADDRESSES}/{ip}")
    await rig.ok("POST", ADDRESSES, {"metadata": {"name": ip}, "spec": {"parentRef": parent}})
    await repair.repair()
    assert await holder(rig, ip) == "a"
    [(reason, _, note)] = await told(rig)
    assert reason == "ClusterIPNotAllocated" and "has a wrong reference; repairing" in note


async def test_an_object_without_our_labels_gets_them(rig: Rig, repair: ServiceRepair) -> None:
    ip = await plain(rig, "a")
    await rig.ok("DELETE", f"{ADDRESSES}/{ip}")
    parent = {"resource": "services", "namespace": "default", "name": "a"}
    await rig.ok("POST", ADDRESSES, {"metadata": {"name": ip}, "spec": {"parentRef": parent}})
    await repair.repair()
    labels = (await rig.ok("GET", f"{ADDRESSES}/{ip}"))["metadata"]["labels"]
    assert labels["ipaddress.kubernetes.io/managed-by"] == "ipallocator.k8s.io"


async def test_an_address_of_two_services_and_one_of_no_range_are_told_of(
    rig: Rig, repair: ServiceRepair
) -> None:
    ip = await plain(rig, "a")
    made = await rig.ok("GET", f"{SERVICES}/a")
    for name, taken in (("b", ip), ("c", "192.0.2.1")):
        obj = {**made, "metadata": {**made["metadata"], "name": name, "uid": name}}
        obj["spec"] = {**made["spec"], "clusterIP": taken, "clusterIPs": [taken]}
        await put(rig, f"/registry/services/specs/default/{name}", obj)
    await repair.repair()
    assert await holder(rig, ip) == "a"
    assert [(reason, name) for reason, name, _ in await told(rig)] == [
        ("ClusterIPAlreadyAllocated", "b"),
        ("ClusterIPOutOfRange", "c"),
    ]


async def test_an_object_of_ours_that_stands_for_nothing_goes_after_a_while(rig: Rig) -> None:
    now = time.time()
    repair = ServiceRepair(
        rig.client("kube-apiserver"), rig.services.addresses, rig.services.node_ports, lambda: now
    )
    ip = await plain(rig, "a")
    made = await rig.ok("GET", f"{ADDRESSES}/{ip}")
    other = await plain(rig, "b")
    await rig.ok("DELETE", f"{SERVICES}/a")
    leaked = {"metadata": {"name": ip, "labels": made["metadata"]["labels"]}, "spec": made["spec"]}
    await rig.ok("POST", ADDRESSES, leaked)
    wrong = {
        "metadata": {"name": "10.0.0.12", "labels": made["metadata"]["labels"]},
        "spec": {"parentRef": {}},
    }
    wrong["spec"]["parentRef"] = {"resource": "services", "namespace": "default", "name": "b"}
    await rig.ok("POST", ADDRESSES, wrong)
    foreign = {"metadata": {"name": "10.0.0.13"}, "spec": made["spec"]}
    await rig.ok("POST", ADDRESSES, foreign)
    await repair.repair()
    assert await holder(rig, ip) == "a"
    now += GRACE + 2
    await repair.repair()
    await rig.fail(404, "GET", f"{ADDRESSES}/{ip}")
    await rig.fail(404, "GET", f"{ADDRESSES}/10.0.0.12")
    assert await holder(rig, "10.0.0.13") == "a" and await holder(rig, other) == "b"


async def test_a_look_that_fails_is_tried_again(
    rig: Rig, repair: ServiceRepair, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.storage.create(KEY, b"nonsense")
    await repair.repair()
    assert "The repair of services' ports and addresses failed" in caplog.text


async def test_the_loop_looks_at_once(rig: Rig, repair: ServiceRepair) -> None:
    repair.start()
    await rig.settle()
    await repair.close()
    assert await marked(rig) == set()
