"""Connections to other servers: proxies, kubelets, aggregated servers and webhooks."""

from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, egress_selector, misc
from pilothouse.process.frozen import frozen

NODE_ADDRESSES = ("Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP")


@frozen(eq=False)
class OutboundOptions(Section):
    """Connections to other servers: proxies, kubelets, aggregated servers and webhooks."""

    # fmt: off
    aggregator_reject_forwarding_redirect: bool = misc(True, "bool",
        "Do not pass redirects of aggregated servers on.")
    egress_selector_config_file: str = egress_selector("", "file",
        "EgressSelectorConfiguration: proxies for connections from the server.")
    enable_aggregator_routing: bool = misc(False, "bool",
        "Reach aggregated servers by endpoints instead of the service's address.")
    kubelet_certificate_authority: str = misc("", "file", "CA of kubelets.")
    kubelet_client_certificate: str = misc("", "file", "Client certificate for kubelets.")
    kubelet_client_key: str = misc("", "file", "Key of the client certificate for kubelets.")
    kubelet_preferred_address_types: tuple[str, ...] = misc(NODE_ADDRESSES, "strings",
        "Order in which a node's addresses are tried.")
    kubelet_timeout: float = misc(5.0, "duration", "Time for calls to kubelets.", effective=False)
    peer_advertise_ip: str = misc("", "string", "Address for other API servers.", effective=False)
    peer_advertise_port: str = misc("", "string", "Port for other API servers.", effective=False)
    peer_ca_file: str = misc("", "file",
        "CA of other API servers, which a history asks who has made their changes.")
    proxy_client_cert_file: str = misc("", "file",
        "Client certificate by which aggregated servers and webhooks know this server.")
    proxy_client_key_file: str = misc("", "file", "Key of --proxy-client-cert-file.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield the fault of a client certificate without its key, or the reverse."""
        yield from self.together("proxy_client_cert_file", "proxy_client_key_file")
