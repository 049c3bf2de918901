"""The metrics of consistent reads and of the allocators of addresses and node ports."""

from pilothouse.instruments import Counter, Gauge, Group, Labels
from pilothouse.registry.allocators import Addresses
from pilothouse.registry.node_ports import NodePorts


class ConsistentReadMetrics(Group):
    """How reads of the newest state ended (apiserver storage/cacher/metrics)."""

    def __init__(self) -> None:
        self.reads = Counter(
            "apiserver_watch_cache_consistent_read_total",
            "[ALPHA] Reads that had to be as new as the store.",
            ("fallback", "group", "resource", "success"),
        )


class AllocatorMetrics(Group):
    """How many addresses and node ports are in use and free (registry/core/service ipallocator, portallocator)."""

    def __init__(self, addresses: Addresses, ports: NodePorts) -> None:
        self._addresses = addresses
        self._ports = ports
        ip, port = "kube_apiserver_clusterip_allocator", "kube_apiserver_nodeport_allocator"
        self.allocated_ips = Gauge(
            f"{ip}_allocated_ips", "[ALPHA] Service addresses in use.", ("cidr",), lambda: self._ips(0)
        )
        self.available_ips = Gauge(
            f"{ip}_available_ips", "[ALPHA] Free service addresses.", ("cidr",), lambda: self._ips(1)
        )
        self.allocated_ports = Gauge(
            f"{port}_allocated_ports", "[ALPHA] Node ports in use.", (), lambda: {(): ports.usage()[0]}
        )
        self.available_ports = Gauge(
            f"{port}_available_ports", "[ALPHA] Free node ports.", (), lambda: {(): ports.usage()[1]}
        )

    def _ips(self, which: int) -> dict[Labels, float]:
        return {(cidr,): counts[which] for cidr, counts in self._addresses.usage().items()}
