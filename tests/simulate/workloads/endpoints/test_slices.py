"""Endpoint slices show the pods that a service selects."""

from typing import Any

import pytest
from harness import pod
from virtual_time import VirtualLoop

DISCOVERY = "/apis/discovery.k8s.io/v1"
CONTROLLER = "endpointslice-controller"
ZONE = "topology.kubernetes.io/zone"
MERGE = {"Content-Type": "application/merge-patch+json"}


def service(name: str = "web", **spec: Any) -> Any:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {
        "metadata": {"name": name, "labels": {"team": "x"}},
        "spec": {"selector": {"app": "web"}, "ports": ports, **spec},
    }


def web(name: str, port: int = 8080, **spec: Any) -> Any:
    ports = [{"name": "http", "containerPort": port}]
    container = {"name": "c", "image": "nginx", "ports": ports}
    return pod(name, labels={"app": "web"}, spec={"containers": [container], **spec})


async def slices(cluster: Any) -> list[Any]:
    await cluster.settle()
    items: list[Any] = (await cluster.get("endpointslices", DISCOVERY))["items"]
    return items


async def test_a_slice_shows_the_pods(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("services", service())
    [empty] = await slices(cluster)
    assert (empty["endpoints"], empty["ports"]) == (None, None)
    await cluster.post("pods", web("a"))
    await cluster.post("pods", pod("other"))
    [one] = await slices(cluster)
    a = await cluster.get("pods/a")
    assert one["endpoints"] == [
        {
            "addresses": [a["status"]["podIP"]],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "namespace": "default", "name": "a", "uid": a["metadata"]["uid"]},
        }
    ]
    assert one["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert one["addressType"] == "IPv4"
    assert one["metadata"]["generateName"] == "web-"
    assert one["metadata"]["labels"] == {
        "team": "x",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    owner = one["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Service", "web", True)


async def test_a_pod_that_is_not_ready_or_ends(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("services", service())
    await cluster.post("pods", web("a"))
    await cluster.kubelet.ready("a", "False")
    [one] = await slices(cluster)
    assert one["endpoints"][0]["conditions"] == {"ready": False, "serving": False, "terminating": False}
    await cluster.kubelet.ready("a")
    await cluster.patch("pods/a", {"metadata": {"finalizers": ["example.com/slow"]}})
    await cluster.ok("DELETE", "/api/v1/namespaces/default/pods/a")
    [one] = await slices(cluster)
    assert one["endpoints"][0]["conditions"] == {"ready": False, "serving": True, "terminating": True}
    await cluster.patch("pods/a", {"metadata": {"finalizers": None}})
    [one] = await slices(cluster)
    assert one["endpoints"] is None


async def test_headless_services_name_hosts_and_may_show_all(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("services", service(clusterIP="None", publishNotReadyAddresses=True))
    await cluster.post("pods", web("a", hostname="a-0", subdomain="web"))
    await cluster.kubelet.ready("a", "False")
    [one] = await slices(cluster)
    assert one["endpoints"][0]["conditions"]["ready"] is True
    assert one["endpoints"][0]["hostname"] == "a-0"
    assert one["metadata"]["labels"]["service.kubernetes.io/headless"] == ""


async def test_pods_with_other_ports_have_a_slice_of_their_own(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("services", service())
    await cluster.post("pods", web("a"))
    await cluster.post("pods", web("b", port=9090))
    found = {
        one["ports"][0]["port"]: [e["targetRef"]["name"] for e in one["endpoints"]]
        for one in await slices(cluster)
    }
    assert found == {8080: ["a"], 9090: ["b"]}


async def test_full_slices_are_followed_by_others_and_endpoints_stay(
    cluster: Any, virtual: VirtualLoop
) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("services", service())
    for number in range(101):
        await cluster.ok("POST", "/api/v1/namespaces/default/pods", web(f"a{number:03}"))
    await virtual.advance(1)
    held = {one["metadata"]["name"]: len(one["endpoints"]) for one in await slices(cluster)}
    assert sorted(held.values()) == [1, 100]
    small = next(name for name, number in held.items() if number == 1)
    full = next(name for name, number in held.items() if number == 100)
    await cluster.ok("DELETE", "/api/v1/namespaces/default/pods/a000")
    await virtual.advance(1)
    after = {one["metadata"]["name"]: len(one["endpoints"]) for one in await slices(cluster)}
    assert after == {full: 99, small: 1}, "no endpoint has moved"


async def test_a_slice_that_is_deleted_is_made_again(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("services", service())
    await cluster.post("pods", web("a"))
    [one] = await slices(cluster)
    name = one["metadata"]["name"]
    await cluster.ok("DELETE", f"{DISCOVERY}/namespaces/default/endpointslices/{name}")
    [again] = await slices(cluster)
    assert again["metadata"]["name"] != name and again["endpoints"] == one["endpoints"]


@pytest.mark.parametrize(
    "spec", [{"selector": None}, {"type": "ExternalName", "externalName": "a.example.com"}]
)
async def test_services_without_pods_of_their_own_are_left_alone(cluster: Any, spec: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("services", service(**spec))
    assert await slices(cluster) == []


@pytest.mark.parametrize(
    ("distribution", "annotations", "hints"),
    [
        ("PreferClose", {}, {"forZones": [{"name": "east"}]}),
        ("PreferSameZone", {}, {"forZones": [{"name": "east"}]}),
        ("PreferSameNode", {}, {"forZones": [{"name": "east"}], "forNodes": [{"name": "n"}]}),
        ("PreferSameNode", {"service.kubernetes.io/topology-mode": "Auto"}, None),
        (None, {}, None),
    ],
)
async def test_endpoints_that_are_ready_say_for_whom_they_are(
    cluster: Any, distribution: str | None, annotations: Any, hints: Any
) -> None:
    await cluster.run(CONTROLLER)
    zone = {"topology.kubernetes.io/zone": "east"}
    await cluster.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n", "labels": zone}})
    made = service(trafficDistribution=distribution)
    await cluster.post("services", {**made, "metadata": {**made["metadata"], "annotations": annotations}})
    await cluster.post("pods", web("a", nodeName="n"))
    [one] = await slices(cluster)
    assert one["endpoints"][0].get("hints") == hints
    await cluster.kubelet.ready("a", "False")
    [one] = await slices(cluster)
    assert "hints" not in one["endpoints"][0]


async def machine(cluster: Any, name: str, zone: str, cpu: str = "4") -> None:
    """A node of a zone that is ready."""
    await cluster.ok("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": {ZONE: zone}}})
    status = {"allocatable": {"cpu": cpu}, "conditions": [{"type": "Ready", "status": "True"}]}
    await cluster.ok("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, headers=MERGE)


async def for_zones(cluster: Any) -> list[str]:
    """The zones that the endpoints of the one slice are for, "" for all."""
    [one] = await slices(cluster)
    named = (endpoint.get("hints", {}).get("forZones", [{"name": ""}]) for endpoint in one["endpoints"])
    return sorted(zone["name"] for [zone] in named)


async def reasons(cluster: Any) -> list[str]:
    items = (await cluster.get("events"))["items"]
    return [
        f"{one['type']} {one['reason']}: {one['message']}" for one in items if "Topology" in one["reason"]
    ]


async def test_endpoints_are_for_zones_in_proportion_to_processors(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    for name, zone in (("n0", "east"), ("n1", "west")):
        await machine(cluster, name, zone)
    made = service()
    made["metadata"]["annotations"] = {"service.kubernetes.io/topology-mode": "Auto"}
    await cluster.post("services", made)
    await cluster.post("pods", web("a", nodeName="n0"))
    assert await for_zones(cluster) == [""]
    few = "Insufficient number of endpoints (1 endpoints, 2 zones), addressType: IPv4"
    assert f"Warning TopologyAwareHintsDisabled: {few}" in await reasons(cluster)
    for name in "bcd":
        await cluster.post("pods", web(name, nodeName="n0"))
    assert await for_zones(cluster) == ["east", "east", "west", "west"]
    enabled = "Topology Aware Hints has been enabled, addressType: IPv4"
    assert f"Normal TopologyAwareHintsEnabled: {enabled}" in await reasons(cluster)
    await machine(cluster, "n2", "west", "12")
    assert await for_zones(cluster) == ["east", "west", "west", "west"]
    await cluster.patch("services/web", {"metadata": {"annotations": None}})
    assert await for_zones(cluster) == ["", "", "", ""]
    off = "Topology Aware Hints has been disabled, addressType: IPv4"
    assert f"Warning TopologyAwareHintsDisabled: {off}" in await reasons(cluster)
