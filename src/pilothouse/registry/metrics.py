"""The metrics of consistent reads, of conversion webhooks, and of the allocators of addresses and node ports."""

from pilothouse.instruments import Counter, Gauge, Group, Histogram, Labels
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


WEBHOOK_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 45, 60)


class ConversionMetrics(Group):
    """How conversions by webhook ended, and how long they took (apiextensions-apiserver apiserver/conversion)."""

    def __init__(self) -> None:
        labels = ("failure_type", "result")
        self.requests = Counter(
            "apiserver_conversion_webhook_request_total",
            "[ALPHA] Counter for conversion webhook requests with success/failure and failure error type",
            labels,
        )
        self.seconds = Histogram(
            "apiserver_conversion_webhook_duration_seconds",
            "[ALPHA] Conversion webhook request latency",
            labels,
            WEBHOOK_SECONDS,
        )
        self.definitions = Histogram(
            "apiserver_crd_conversion_webhook_duration_seconds",
            "[ALPHA] CRD webhook conversion duration in seconds",
            ("crd_name", "from_version", "succeeded", "to_version"),
            [0.001 * 2**n for n in range(15)],
        )

    def succeeded(self, definition: str, version: str, to: str, seconds: float) -> None:
        """Count a batch of a definition's objects that was converted from `version` to `to`."""
        self._ended("", "success", seconds)
        self.definitions.observe(seconds, definition, version, "true", to)

    def failed(self, definition: str, version: str, to: str, failure: str, seconds: float) -> None:
        """Count one that failed; `failure` is its failure_type."""
        self._ended(failure, "failure", seconds)
        self.refused(definition, version, to, seconds)

    def refused(self, definition: str, version: str, to: str, seconds: float) -> None:
        """Count one that failed before the webhook was asked."""
        self.definitions.observe(seconds, definition, version, "false", to)

    def _ended(self, failure: str, result: str, seconds: float) -> None:
        self.requests.inc(failure, result)
        self.seconds.observe(seconds, failure, result)


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
