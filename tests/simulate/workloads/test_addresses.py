"""Load balancers and ingresses have addresses."""

from typing import Any

from pilothouse.simulate.workloads.maker import WorkloadOptions

NETWORKING = "/apis/networking.k8s.io/v1"
BALANCERS, INGRESSES = "service-lb-controller", "ingress addresses"


def service(name: str, **spec: Any) -> Any:
    return {"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], **spec}}


async def ingress(cluster: Any, name: str) -> Any:
    await cluster.settle()
    return (await cluster.get(f"services/{name}"))["status"]["loadBalancer"].get("ingress")


async def test_each_service_has_an_address_of_its_own(cluster: Any) -> None:
    await cluster.run(BALANCERS)
    for name in ("a", "b"):
        await cluster.post("services", service(name))
    assert await ingress(cluster, "a") == [{"ip": "203.0.113.1", "ipMode": "VIP"}]
    assert await ingress(cluster, "b") == [{"ip": "203.0.113.2", "ipMode": "VIP"}]
    assert {reason for reason, _ in await cluster.events("Service")} == {
        "EnsuringLoadBalancer",
        "EnsuredLoadBalancer",
    }
    await cluster.running.pop(BALANCERS).close()
    await cluster.ok("DELETE", "/api/v1/namespaces/default/services/a")
    assert (await cluster.get("services/a"))["metadata"]["deletionTimestamp"], "its cleanup is waited for"
    await cluster.run(BALANCERS)
    await cluster.settle()
    await cluster.fail(404, "GET", "/api/v1/namespaces/default/services/a")
    await cluster.post("services", service("c"))
    assert await ingress(cluster, "b") == [{"ip": "203.0.113.2", "ipMode": "VIP"}], "it stays over a restart"
    assert await ingress(cluster, "c") == [{"ip": "203.0.113.1", "ipMode": "VIP"}]


async def test_a_service_that_changes_its_type(cluster: Any) -> None:
    await cluster.run(BALANCERS)
    await cluster.post("services", service("a"))
    await cluster.patch("services/a", {"spec": {"type": "ClusterIP"}})
    assert await ingress(cluster, "a") is None
    assert "finalizers" not in (await cluster.get("services/a"))["metadata"]


async def test_services_of_another_load_balancer_and_addresses_that_are_asked_for(cluster: Any) -> None:
    await cluster.run(BALANCERS)
    await cluster.post("services", service("a", loadBalancerClass="example.com/lb"))
    assert await ingress(cluster, "a") is None
    await cluster.post("services", service("b", loadBalancerIP="203.0.113.77"))
    assert await ingress(cluster, "b") == [{"ip": "203.0.113.77", "ipMode": "VIP"}]
    await cluster.post("services", service("c", loadBalancerIP="nonsense"))
    assert await ingress(cluster, "c") == [{"ip": "203.0.113.1", "ipMode": "VIP"}]


async def test_a_range_that_is_used_up(cluster: Any) -> None:
    await cluster.run(BALANCERS, options=WorkloadOptions(load_balancers=("203.0.113.0/30",)))
    for name in ("a", "b", "c"):
        await cluster.post("services", service(name))
    assert await ingress(cluster, "c") is None
    assert "SyncLoadBalancerFailed" in dict(await cluster.events("Service"))
    await cluster.ok("DELETE", "/api/v1/namespaces/default/services/a")
    await cluster.patch("services/c", {"metadata": {"labels": {"again": "yes"}}})
    assert await ingress(cluster, "c") == [{"ip": "203.0.113.1", "ipMode": "VIP"}]


async def test_ingresses(cluster: Any) -> None:
    await cluster.run(INGRESSES)
    backend = {"service": {"name": "a", "port": {"number": 80}}}
    await cluster.post(
        "ingresses", {"metadata": {"name": "i"}, "spec": {"defaultBackend": backend}}, NETWORKING
    )
    found = await cluster.get("ingresses/i", NETWORKING)
    assert found["status"]["loadBalancer"] == {"ingress": [{"ip": "198.51.100.1"}]}
