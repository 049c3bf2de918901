"""Endpoints objects show the pods that a service selects."""

from typing import Any

from harness import pod
from virtual_time import VirtualLoop

CONTROLLER = "endpoints-controller"
PORTS = [
    {"name": "http", "port": 80, "targetPort": "http"},
    {"name": "admin", "port": 81, "targetPort": "admin"},
]


def service(**spec: Any) -> Any:
    return {
        "metadata": {"name": "web", "labels": {"team": "x"}},
        "spec": {"selector": {"app": "web"}, "ports": PORTS[:1], **spec},
    }


def web(name: str, *names: str) -> Any:
    ports = [{"name": one, "containerPort": 8080 + at} for at, one in enumerate(names or ("http",))]
    container = {"name": "c", "image": "nginx", "ports": ports}
    return pod(name, labels={"app": "web"}, spec={"containers": [container]})


async def endpoints(cluster: Any) -> Any:
    await cluster.settle()
    return await cluster.get("endpoints/web")


def names(addresses: Any) -> list[str]:
    return [one["targetRef"]["name"] for one in addresses]


async def test_ready_pods_and_others(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("services", service())
    assert "subsets" not in await endpoints(cluster)
    for name in ("a", "b"):
        await cluster.post("pods", web(name))
    await cluster.kubelet.ready("b", "False")
    found = await endpoints(cluster)
    [subset] = found["subsets"]
    a = await cluster.get("pods/a")
    target = {"kind": "Pod", "namespace": "default", "name": "a", "uid": a["metadata"]["uid"]}
    assert subset["addresses"] == [{"ip": a["status"]["podIP"], "targetRef": target}]
    assert names(subset["notReadyAddresses"]) == ["b"]
    assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert found["metadata"]["labels"] == {
        "team": "x",
        "endpoints.kubernetes.io/managed-by": "endpoint-controller",
    }


async def test_what_is_empty_is_left_out(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("services", service(ports=[{"port": 80}]))
    await cluster.post("pods", web("a"))
    [subset] = (await endpoints(cluster))["subsets"]
    assert subset["ports"] == [{"port": 80, "protocol": "TCP"}]
    await cluster.ok("DELETE", "/api/v1/namespaces/default/pods/a")
    assert "subsets" not in await endpoints(cluster)


async def test_ports_share_the_addresses_that_they_have_in_common(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("services", service(ports=PORTS))
    await cluster.post("pods", web("a", "http", "admin"))
    [subset] = (await endpoints(cluster))["subsets"]
    assert (names(subset["addresses"]), [p["name"] for p in subset["ports"]]) == (["a"], ["http", "admin"])
    await cluster.post("pods", web("b", "http"))
    found = {
        p["name"]: names(s["addresses"]) for s in (await endpoints(cluster))["subsets"] for p in s["ports"]
    }
    assert found == {"http": ["a", "b"], "admin": ["a"]}


async def test_more_than_an_object_holds_are_cut(cluster: Any, virtual: VirtualLoop) -> None:
    """Changes of so many pods are written together: else each would write all of them."""
    await cluster.run(CONTROLLER)
    await cluster.post("services", service())
    for number in range(1001):
        await cluster.ok("POST", "/api/v1/namespaces/default/pods", web(f"a{number:04}"))
    await virtual.advance(1)
    found = await endpoints(cluster)
    assert cluster.storage.revision < 2 * 1001 + 200
    assert sum(len(subset["addresses"]) for subset in found["subsets"]) == 1000
    assert found["metadata"]["annotations"]["endpoints.kubernetes.io/over-capacity"] == "truncated"
