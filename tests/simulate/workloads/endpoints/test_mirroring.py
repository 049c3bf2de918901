"""Endpoints objects that users write have slices."""

from typing import Any

DISCOVERY = "/apis/discovery.k8s.io/v1"
CONTROLLER = "endpointslice-mirroring-controller"
SUBSET = {"addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}], "ports": [{"name": "sql", "port": 5432}]}


async def slices(cluster: Any) -> dict[str, Any]:
    await cluster.settle()
    items = (await cluster.get("endpointslices", DISCOVERY))["items"]
    return {one["addressType"]: one for one in items}


async def service(cluster: Any, **spec: Any) -> None:
    await cluster.post("services", {"metadata": {"name": "db"}, "spec": {"ports": [{"port": 5432}], **spec}})


async def test_each_family_has_a_slice(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("endpoints", {"metadata": {"name": "db", "labels": {"a": "b"}}, "subsets": [SUBSET]})
    assert await slices(cluster) == {}, "there is no service yet"
    await service(cluster)
    found = await slices(cluster)
    assert {family: one["endpoints"][0]["addresses"] for family, one in found.items()} == {
        "IPv4": ["192.0.2.1"],
        "IPv6": ["2001:db8::1"],
    }
    one = found["IPv4"]
    assert one["metadata"]["labels"] == {
        "a": "b",
        "kubernetes.io/service-name": "db",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
    }
    assert one["metadata"]["ownerReferences"][0]["kind"] == "Endpoints"
    assert one["ports"] == [{"name": "sql", "port": 5432, "protocol": "TCP"}]
    assert one["endpoints"][0]["conditions"] == {"ready": True}
    changed = [{"notReadyAddresses": [{"ip": "192.0.2.2"}], "ports": SUBSET["ports"]}]
    await cluster.patch("endpoints/db", {"subsets": changed})
    found = await slices(cluster)
    assert list(found) == ["IPv4"] and found["IPv4"]["metadata"]["name"] == one["metadata"]["name"]
    assert found["IPv4"]["endpoints"] == [{"addresses": ["192.0.2.2"], "conditions": {"ready": False}}]


async def test_endpoints_that_are_not_mirrored(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await service(cluster)
    await cluster.post("endpoints", {"metadata": {"name": "db"}, "subsets": [SUBSET]})
    assert len(await slices(cluster)) == 2
    skipped = {"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}
    await cluster.patch("endpoints/db", skipped)
    assert await slices(cluster) == {}
    await cluster.patch("endpoints/db", {"metadata": {"labels": None}})
    assert len(await slices(cluster)) == 2
    await cluster.patch("services/db", {"spec": {"selector": {"app": "db"}}})
    assert await slices(cluster) == {}
