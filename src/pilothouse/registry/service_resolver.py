"""Resolves the Service of an APIService or webhook to a URL and TLS trust (apiserver util/proxy)."""

import ipaddress
import random

from pilothouse.api.values.fields import Object
from pilothouse.outbound.http import Trust, bundle
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import AggregatedServer


class Unroutable(Exception):
    """The error when no URL can be found for a Service; the message is upstream's."""


class ServiceResolver:
    """Finds the URL of a backend and how to verify its certificate.

    `by_endpoints` selects the address of an endpoint instead of the Service's cluster IP
    (--enable-aggregator-routing). `cert_file` and `key_file` are the client certificate for backends
    (--proxy-client-cert-file, --proxy-client-key-file).
    """

    def __init__(
        self, readers: Readers, *, by_endpoints: bool = False, cert_file: str = "", key_file: str = ""
    ) -> None:
        self._readers = readers
        self._by_endpoints = by_endpoints
        self._cert_file = cert_file
        self._key_file = key_file

    def trust(self, backend: AggregatedServer) -> Trust:
        """TLS trust for a backend: its caBundle and the DNS name of its Service."""
        return Trust(
            b"" if backend.insecure else bundle(backend.ca_bundle),
            backend.insecure,
            f"{backend.name}.{backend.namespace}.svc",
            self._cert_file,
            self._key_file,
        )

    def url(self, backend: AggregatedServer) -> str:
        """The URL of a backend's root; raises Unroutable."""
        service = self._readers.get("services", backend.namespace, backend.name)
        if service is None:
            raise Unroutable(f'service "{backend.name}" not found')
        spec, by_endpoints = service.get("spec") or {}, self._by_endpoints
        kind = spec.get("type", "ClusterIP")
        if kind == "ExternalName" and not by_endpoints:
            return f"https://{spec.get('externalName', '')}:{backend.port}"
        if kind not in ("ClusterIP", "NodePort", "LoadBalancer"):
            raise Unroutable(f'unsupported service type "{kind}"')
        if not by_endpoints and kind == "ClusterIP" and spec.get("clusterIP") == "None":
            raise Unroutable('cannot route to service with ClusterIP "None"')
        port = port_of(service, backend.port)
        if port is None:
            raise Unroutable(f'no service port {backend.port} found for service "{backend.name}"')
        if not by_endpoints:
            return f"https://{url_host(spec.get('clusterIP', ''))}:{backend.port}"
        endpoint = random_endpoint(self._readers, service, port.get("name", ""))
        if endpoint is None:
            raise Unroutable(f'no endpoints available for service "{backend.name}"')
        return f"https://{endpoint}"


def port_of(service: Object, number: int) -> Object | None:
    """The port of a Service with this number, None if there is none."""
    ports: list[Object] = (service.get("spec") or {}).get("ports") or []
    return next((port for port in ports if port.get("port") == number), None)


def random_endpoint(readers: Readers, service: Object, port_name: str) -> str | None:
    """host:port of a random ready endpoint, of the service's first IP family if possible;
    None without any."""
    metadata = service["metadata"]
    families = (service.get("spec") or {}).get("ipFamilies") or [""]
    slices = [
        s
        for s in readers.list("endpointslices.discovery.k8s.io", metadata["namespace"])
        if (s["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == metadata["name"]
    ]
    random.shuffle(slices)
    slices.sort(key=lambda s: s.get("addressType") != families[0])
    for slice_ in slices:
        ports = [p for p in slice_.get("ports") or () if p.get("name", "") == port_name and p.get("port")]
        ready = [
            e["addresses"][0]
            for e in slice_.get("endpoints") or ()
            if (e.get("conditions") or {}).get("ready") is not False and allowed(e["addresses"][0])
        ]
        if ports and ready:
            return f"{url_host(random.choice(ready))}:{ports[0]['port']}"
    return None


def url_host(address: str) -> str:
    """An address in the form that URLs need: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


_IPv6 = ipaddress.IPv6Network
_EMBEDDING = (
    (_IPv6("::ffff:0:0/96"), 0),  # IPv4-mapped
    (_IPv6("::/96"), 0),  # IPv4-compatible
    (_IPv6("64:ff9b::/96"), 0),  # NAT64
    (_IPv6("64:ff9b:1::/48"), 0),  # NAT64 with a site-specific prefix; /48 is the shortest
    (_IPv6("2002::/16"), 80),  # 6to4
)
"""IPv6 networks that embed IPv4 addresses, and the number of bits that follow the embedded address."""


def allowed(address: str) -> bool:
    """Whether requests may be sent to an address:
    only unicast beyond this host and link (Go's IsGlobalUnicast).

    An IPv6 address that embeds an IPv4 address must pass for both.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if not _is_global_unicast(ip):
            return False
        inner = [
            ipaddress.IPv4Address(int(ip) >> shift & 0xFFFFFFFF)
            for network, shift in _EMBEDDING
            if ip in network
        ]
        return all(_is_global_unicast(one) for one in inner)
    return _is_global_unicast(ip)


def _is_global_unicast(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return not (ip.is_loopback or ip.is_unspecified or ip.is_multicast or ip.is_link_local) and (
        str(ip) != "255.255.255.255"
    )
