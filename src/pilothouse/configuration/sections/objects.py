"""The settings of the rules of some kinds: pods, events, Services."""

import ipaddress
from collections.abc import Iterator

from pilothouse.api.values.networks import Network, networks
from pilothouse.configuration.sections.section import Section, etcd, misc
from pilothouse.process.frozen import frozen


@frozen(eq=False)
class ObjectOptions(Section):
    """The settings of the rules of some kinds: pods, events, Services."""

    # fmt: off
    allow_privileged: bool = misc(False, "bool", "Allow privileged containers.")
    delete_collection_workers: int = etcd(1, "int", "Workers for a deletecollection.", effective=False)
    event_ttl: float = misc(3600.0, "duration", "Time for which events are kept.")
    kubernetes_service_node_port: int = misc(0, "int",
        "Node port of the service kubernetes; with 0 it has a cluster IP only.", effective=False)
    service_cluster_ip_range: str = misc("10.0.0.0/24", "string",
        "Range of cluster IPs; two of different families, with a comma, for dual stack.")
    service_node_port_range: tuple[int, int] = misc((30000, 32767), "portRange",
        "Range of node ports, as first-last or first+count.")
    # fmt: on

    @property
    def service_networks(self) -> tuple[Network, ...]:
        """The ranges of cluster IPs, the primary one first."""
        return networks(self.service_cluster_ip_range)

    def faults(self) -> Iterator[str]:
        """Yield the faults: times below 0, and ranges that Services cannot have."""
        yield from self.negative("event_ttl")
        port, (first, last) = self.kubernetes_service_node_port, self.service_node_port_range
        if not 0 <= port <= 65535:
            yield (
                f"--kubernetes-service-node-port {port} must be between 0 and 65535, inclusive. "
                "If 0, the Kubernetes master service will be of type ClusterIP"
            )
        elif port and not first <= port <= last:
            yield f"kubernetes service port range {first}-{last} doesn't contain {port}"
        ranges = self.service_cluster_ip_range.split(",")
        if len(ranges) > 2:
            yield "--service-cluster-ip-range must not contain more than two entries"
        networks = []
        for text in ranges:
            try:
                networks.append(ipaddress.ip_network(text.strip(), strict=False))
            except ValueError:
                yield f'--service-cluster-ip-range: "{text}" is not a valid CIDR'
        for network in networks:
            if network.num_addresses < 8:
                yield "the service cluster IP range must be at least 8 IP addresses"
        if len(networks) == 2 and networks[0].version == networks[1].version:
            yield "the two entries of --service-cluster-ip-range must be of different IP families"
