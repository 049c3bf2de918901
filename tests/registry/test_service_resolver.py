"""Resolution of Services to URLs, and the addresses to which requests are allowed."""

import base64
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from pilothouse.registry.resource import AggregatedServer
from pilothouse.registry.service_resolver import (
    ServiceResolver,
    Unroutable,
    allowed,
    port_of,
    random_endpoint,
)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::ffff:0.0.0.0",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::169.254.169.254",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "localhost",
        "",
    ],
)
def test_addresses_that_are_no_targets(address: str) -> None:
    assert not allowed(address)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "8.8.8.8", "fd00::1", "2001:db8::1", "::ffff:10.0.0.1", "64:ff9b::8.8.8.8"]
)
def test_addresses_that_are_targets(address: str) -> None:
    assert allowed(address)


def cluster(service: dict[str, Any] | None, *slices: dict[str, Any]) -> Any:
    """Readers that know one Service and its EndpointSlices."""

    def get(resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        return service

    def list_(resource: str, namespace: str = "") -> Iterable[dict[str, Any]]:
        return slices

    return SimpleNamespace(get=get, list=list_)


def service(**spec: Any) -> dict[str, Any]:
    spec = {"clusterIP": "10.0.0.9", "ports": [{"name": "a", "port": 443}]} | spec
    return {"metadata": {"name": "s", "namespace": "n"}, "spec": spec}


def slice_(
    *addresses: str, ready: bool | None = True, name: str = "a", family: str = "IPv4"
) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"kubernetes.io/service-name": "s"}},
        "addressType": family,
        "endpoints": [{"addresses": [one], "conditions": {"ready": ready}} for one in addresses],
        "ports": [{"name": name, "port": 8443}],
    }


BACKEND = AggregatedServer("uid", "n", "s", 443, base64.b64encode(b"pem").decode())


@pytest.mark.parametrize(
    ("made", "by_endpoints", "url"),
    [
        (service(), False, "https://10.0.0.9:443"),
        (service(clusterIP="fd00::9"), False, "https://[fd00::9]:443"),
        (service(type="NodePort"), False, "https://10.0.0.9:443"),
        (service(type="ExternalName", externalName="h.example"), False, "https://h.example:443"),
        (service(), True, "https://10.1.0.1:8443"),
        (service(clusterIP="None"), True, "https://10.1.0.1:8443"),
    ],
)
def test_urls(made: dict[str, Any], by_endpoints: bool, url: str) -> None:
    readers = cluster(made, slice_("10.1.0.1"))
    assert ServiceResolver(readers, by_endpoints=by_endpoints).url(BACKEND) == url


@pytest.mark.parametrize(
    ("made", "by_endpoints", "why"),
    [
        (None, False, 'service "s" not found'),
        (service(type="ExternalName"), True, 'unsupported service type "ExternalName"'),
        (service(clusterIP="None"), False, 'cannot route to service with ClusterIP "None"'),
        (service(ports=[]), False, 'no service port 443 found for service "s"'),
        (service(ports=[{"name": "b", "port": 443}]), True, 'no endpoints available for service "s"'),
    ],
)
def test_services_that_lead_nowhere(made: dict[str, Any] | None, by_endpoints: bool, why: str) -> None:
    readers = cluster(made, slice_("10.1.0.1"))
    with pytest.raises(Unroutable) as caught:
        ServiceResolver(readers, by_endpoints=by_endpoints).url(BACKEND)
    assert str(caught.value) == why


def test_a_backend_is_known_by_its_bundle_and_knows_us() -> None:
    resolver = ServiceResolver(cluster(None), cert_file="c", key_file="k")
    trust = resolver.trust(BACKEND)
    assert (trust.ca, trust.insecure, trust.server_name) == (b"pem", False, "s.n.svc")
    assert (trust.cert_file, trust.key_file) == ("c", "k")
    anybody = resolver.trust(AggregatedServer("uid", "n", "s", 443, "", True))
    assert anybody.insecure and not anybody.ca


def test_endpoints_are_ready_allowed_and_of_the_first_family() -> None:
    slices = [
        slice_("10.1.0.1"),
        slice_("fd00::1", family="IPv6"),
        slice_("fd00::2", family="IPv6", ready=False),
        slice_("::1", family="IPv6"),
        slice_("fd00::3", family="IPv6", name="b"),
    ]
    for _ in range(20):
        found = random_endpoint(cluster(None, *slices), service(ipFamilies=["IPv6", "IPv4"]), "a")
        assert found == "[fd00::1]:8443"
    assert random_endpoint(cluster(None), service(), "a") is None


def test_ports_of_a_service() -> None:
    assert port_of(service(), 443) == {"name": "a", "port": 443}
    assert port_of(service(), 80) is None
    assert port_of({}, 80) is None
